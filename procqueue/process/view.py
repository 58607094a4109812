"""A board as everybody but its owner sees it (law S7); the layout: board.py.

It is read from the file, never mapped: the handlers of its owner can cut the file short, and whoever has it
mapped would die of it (SIGBUS). A read copies many words and may meet a store in between, so it is done
twice: a slot that differs is being written, and counts as free. A board with words that make no sense was
scribbled on, and nothing that it says of messages is believed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import sys
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

from procqueue.core.fate import Cause, Code, Slot
from procqueue.core.verdict import ACK, UNTOUCHED, Verdict
from procqueue.process import board as at
from procqueue.process.board import MAGIC, Doing, Mark

_RUNS = (Code.RUNNING, Code.OWING)
_FREE = (0,) * at.SLOT_WORDS
_Words = tuple[int, ...]  # of one slot, as in board.py


class NoBoard(Exception):
    """There is no board, or what is there is none."""


@dataclass(frozen=True, slots=True)
class Running:
    """A message that runs, for display."""

    id: str
    task: str
    began_ms: int  # monotonic


class View:
    """One open board of another process."""

    def __init__(self, fd: int, queues: tuple[str, ...], identity: dict[str, Any], slots: int) -> None:
        self.queues = queues
        self._each = slots  # of each queue
        self.identity = identity
        self._fd = fd
        self._put_off: dict[int, int] = {}  # ticket → ms

    @classmethod
    def open(cls, path: str) -> View:
        """Open an existing board; a handler may have scribbled on it, so all is checked.

        Raises NoBoard, and OSError where the descriptors or the memory for it are used up.
        """
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                raise
            raise NoBoard(f"{path}: {error.strerror}") from error
        try:
            return cls(fd, *_identity(path, fd))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            os.close(fd)
            raise NoBoard(f"{path}: {error}") from error
        except (NoBoard, OSError):
            os.close(fd)
            raise

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)

    # the process

    @property
    def handled(self) -> int:
        """How many messages the process has handled."""
        return self._word(at.HANDLED)

    @property
    def beat(self) -> int:
        """The last moment (monotonic ms) at which the loop turned, 0 before the first."""
        return self._word(at.BEAT)

    @property
    def doing(self) -> Doing:
        """What the process says it is doing."""
        try:
            return Doing(self._word(at.DOING))
        except ValueError:
            return Doing.BUSY

    @property
    def registration(self) -> int:
        """Which registration at the store is the present one, from 1."""
        return max(1, self._word(at.REGISTRATION))

    def mark(self, cause: Cause, ticket: int = 0) -> None:
        """Say why the process is about to be killed, so that whoever reclaims it knows (S8).

        It may be another one than who kills: the killer's successor, or the other scheduler of this host.
        """
        mark = Mark.TIMEOUT if cause is Cause.TIMEOUT else Mark.STOPPED
        with contextlib.suppress(OSError):  # the disk is gone: then it is killed all the same
            self._write(at.MARK, ticket << 8 | mark)

    @property
    def killed(self) -> tuple[Cause, int] | None:
        """Why it was killed on purpose, and the ticket whose deadline was enforced; None if it was not."""
        word = self._word(at.MARK)
        match word & 0xFF:
            case Mark.TIMEOUT:
                return Cause.TIMEOUT, word >> 8
            case Mark.STOPPED:
                return Cause.STOPPED, 0
            case _:
                return None

    @property
    def ends(self) -> int:
        """The moment (monotonic ms) at which the kernel ends it, an orphan, by its own wish; 0: none."""
        return self._word(at.ENDS)

    # its messages

    def slots(self, queue: str) -> dict[int, Slot] | None:
        """Return ticket → slot for one queue; None if the board has no such queue, or was scribbled on."""
        if queue not in self.queues:
            return None
        try:
            read = [_slot(words) for words in self._slots_of(queue)]
        except ValueError:
            return None
        return {slot.ticket: slot for slot in read if slot.ticket} if read else None

    def overdue(self, now_ms: int, *, as_written: bool = False) -> int | None:
        """Return the ticket of a run that has passed its deadline, None if there is none.

        `as_written`: by what its owner goes by, who knows nothing of `put_off`.
        """
        for ticket, deadline in self._deadlines():
            if deadline + (0 if as_written else self._put_off.get(ticket, 0)) <= now_ms:
                return ticket
        return None

    def next_deadline(self) -> int | None:
        """Return the earliest deadline (monotonic ms) of what runs."""
        return min((at + self._put_off.get(ticket, 0) for ticket, at in self._deadlines()), default=None)

    def put_off(self, ms: int) -> None:
        """Let what runs now have so much longer, in the eyes of this reader."""
        self._put_off = {ticket: self._put_off.get(ticket, 0) + ms for ticket in self.running_tickets()}

    def _deadlines(self) -> Iterator[tuple[int, int]]:
        for words in self._slots():
            if words[0] & 0xFF in _RUNS:
                yield from ((words[0] >> 8, moment) for moment in _deadlines(words))

    def running(self) -> list[Running]:
        """Return what runs, for display."""
        found = []
        for number, words in enumerate(self._slots()):
            if words[0] & 0xFF in _RUNS:
                found += self._described(*divmod(number, self._each))
        return found

    def running_tickets(self) -> set[int]:
        """Return the tickets of what runs."""
        return {words[0] >> 8 for words in self._slots() if words[0] & 0xFF in _RUNS}

    def held(self) -> bool:
        """True if something is held and not begun."""
        return any(words[0] & 0xFF == Code.HELD for words in self._slots())

    def tickets(self, queue: str) -> list[int]:
        """Return the last ticket of each slot of a queue, also of those that are free again."""
        return [words[0] >> 8 for words in self._slots_of(queue)]

    def done(self, queue: str) -> list[int]:
        """Return the tickets that ended as done and, as far as the board knows, are not settled."""
        slots = (self.slots(queue) or {}).values()
        ended = {slot.ticket for slot in slots if slot.code is Code.ENDED and slot.ended == ACK}
        return sorted(ended - {words[at.SETTLED] for words in self._slots_of(queue)})

    # what the scheduler writes

    def take_held(self, queue: str) -> list[int]:
        """Mark all held slots of a queue as TAKEN and return the tickets of all TAKEN ones.

        Also of those taken before: whoever took them may have been kept from returning them. [] while the
        owner claims one.
        """
        number = self.queues.index(queue)
        with self._locked_at_once() as locked:
            if not locked:
                return []
            taken = []
            for slot, (word, *_) in enumerate(self._slots_of(queue)):
                if word & 0xFF == Code.HELD:
                    self._write(at.slot_at(self._each, number, slot), word & ~0xFF | Code.TAKEN)
                if word & 0xFF in (Code.HELD, Code.TAKEN):
                    taken.append(word >> 8)
            return sorted(taken)

    def cancel(self, queue: str, ticket: int, kill_at_ms: int) -> bool:
        """Ask for the end of a run until a moment (monotonic ms); False if none runs, or was asked before."""
        number = self.queues.index(queue)
        for slot, words in enumerate(self._slots_of(queue)):
            if words[0] == ticket << 8 | Code.RUNNING and words[at.CANCELLED] != ticket:
                first = at.slot_at(self._each, number, slot)
                self._write(first + at.KILL_AT, kill_at_ms)
                self._write(first + at.CANCELLED, ticket)
                return True
        return False

    def is_cancelled(self, queue: str, ticket: int) -> bool:
        """Return whether a run that goes on was asked to end."""
        asked = (ticket << 8 | Code.RUNNING, ticket)
        return any((words[0], words[at.CANCELLED]) == asked for words in self._slots_of(queue))

    def mark_settled(self, queue: str, tickets: Container[int]) -> None:
        """Note that the scheduler has settled what `done` returned.

        In a word of its own, which the owner only reads: the owner may be using the slot anew meanwhile.
        """
        number = self.queues.index(queue)
        for slot, (word, *_) in enumerate(self._slots_of(queue)):
            if word >> 8 in tickets:
                self._write(at.slot_at(self._each, number, slot) + at.SETTLED, word >> 8)

    @contextlib.contextmanager
    def _locked_at_once(self) -> Iterator[bool]:
        # Never wait: the owner may have been stopped (SIGSTOP) with the lock in its hands.
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    # the file

    def _read(self, size: int, offset: int) -> bytes:
        try:
            return os.pread(self._fd, size, offset)
        except OSError:  # the disk is gone: as if the file were cut short
            return b""

    def _word(self, number: int) -> int:
        return int.from_bytes(self._read(8, number * 8), sys.byteorder)  # 0 beyond the end of the file

    def _write(self, number: int, value: int) -> None:
        os.pwrite(self._fd, value.to_bytes(8, sys.byteorder), number * 8)

    def _slots_of(self, queue: str) -> list[_Words]:
        first = self.queues.index(queue) * self._each
        return self._slots()[first : first + self._each]

    def _slots(self) -> list[_Words]:
        """Return the words of all slots; none if the file is cut short."""
        size = len(self.queues) * self._each * at.SLOT_WORDS * 8
        twice = [self._read(size, at.SLOTS_AT) for _ in range(2)]
        if min(map(len, twice)) < size:
            return []
        first, second = (memoryview(read).cast("Q").tolist() for read in twice)
        step = at.SLOT_WORDS
        if first == second:
            return [tuple(first[n : n + step]) for n in range(0, len(first), step)]
        pairs = ((first[n : n + step], second[n : n + step]) for n in range(0, len(first), step))
        return [tuple(one) if one == other else _FREE for one, other in pairs]

    def _described(self, queue: int, slot: int) -> list[Running]:
        data = self._read(at.TEXT_BYTES, at.text_at(len(self.queues), self._each, queue, slot))
        text = data.split(b"\n")[0].decode("utf-8", "replace")
        began, _, rest = text.partition(" ")
        id, _, task = rest.partition(" ")
        return [Running(id, task, int(began))] if began.isdecimal() else []


def _identity(path: str, fd: int) -> tuple[tuple[str, ...], dict[str, Any], int]:
    """Return the queues, who it is, and how many slots each queue has."""
    head = os.pread(fd, at.SLOTS_AT, 0)
    if len(head) < at.SLOTS_AT or int.from_bytes(head[:8], sys.byteorder) != MAGIC:
        raise NoBoard(f"{path}: not a board of this version")
    length = int.from_bytes(head[at.IDENTITY_LENGTH * 8 :][:8], sys.byteorder)
    identity = json.loads(head[at.IDENTITY_AT :][:length])
    queues = tuple(str(queue) for queue in identity["queues"])
    slots = int(identity.pop("slots"))
    if slots < 1 or os.fstat(fd).st_size < at.size_of(len(queues), slots):
        raise NoBoard(f"{path}: cut short")
    return queues, identity, slots


def _deadlines(words: _Words) -> list[int]:
    """Return when a run has to end (monotonic ms): its deadline, and that of its cancel."""
    cancelled = words[at.KILL_AT] if words[at.CANCELLED] == words[0] >> 8 else 0
    return [moment for moment in (words[at.DEADLINE], cancelled) if moment]


def _slot(words: _Words) -> Slot:
    """Return what a slot says. Raises ValueError where that makes no sense."""
    word, _, *verdicts = words[: at.SETTLED]
    ticket, code = word >> 8, Code(word & 0xFF)
    if code in (Code.FREE, Code.HELD, Code.TAKEN):
        return Slot(ticket, code, UNTOUCHED, UNTOUCHED, UNTOUCHED, UNTOUCHED)
    killed, dead, interrupted, ended = (Verdict.unpack(v) if v else UNTOUCHED for v in verdicts)
    return Slot(ticket, code, killed, dead, interrupted, ended)
