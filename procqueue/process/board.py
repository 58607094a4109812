"""The board: a file in state_dir where one consumer writes what it is doing, and others read it (law S7).

Every fact is one aligned 8-byte word, so that no reader sees half of it; what belongs together is ordered,
not locked: the deadline and the verdicts are written before RUNNING, the verdict as it ended before ENDED.
The file outlives the process: whoever reaps it, or a later master, still knows how each message stood.

    word 0      magic and version            word 3   state of the process (Doing)
    word 1      messages handled             word 4   length of the identity (JSON, from byte 64)
    word 2      beat of the scheduler               word 5   number of the registration, 0 is the first
    from 2048   64 slots per queue of 7 words: ticket << 8 | code · deadline in monotonic ms ·
                verdict if killed · if dead · if interrupted · as it ended · ticket that the scheduler settled
    then        64 texts per queue: "began_ms id task", for display only

What is held and not begun can be taken back: the consumer claims its next slot, and the scheduler marks
slots TAKEN, under an flock of this file. Apart from that, and from a word of its own that says which tickets
the scheduler has settled, everyone but the owner only reads.
"""

from __future__ import annotations

import errno
import fcntl
import json
import mmap
import os
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from procqueue.core.fate import Code, Slot
from procqueue.core.verdict import ACK, UNTOUCHED, Verdict

MAGIC = int.from_bytes(b"PQBOARD\x01", "little")
SLOTS = 64

_IDENTITY_AT = 64
_SLOTS_AT = 2048
_SLOT_WORDS = 7
_TEXT_BYTES = 240
_HANDLED, _BEAT, _DOING, _IDENTITY_LENGTH, _REGISTRATION = 1, 2, 3, 4, 5
_WORD, _DEADLINE, _IF_KILLED, _IF_DEAD, _IF_INTERRUPTED, _ENDED, _SETTLED = range(_SLOT_WORDS)


class Doing(IntEnum):
    """What the process as a whole is doing."""

    STARTING = 0
    IDLE = 1
    BUSY = 2
    STOPPING = 3


class NoBoard(Exception):
    """There is no board, or what is there is none."""


@dataclass(frozen=True, slots=True)
class Running:
    """A message that runs, for display."""

    id: str
    task: str
    began_ms: int  # monotonic


class Board:
    """One mapped board; its owner writes, everyone else reads and at most takes slots."""

    def __init__(self, path: str, fd: int, queues: Sequence[str], identity: dict[str, Any]) -> None:
        self.path = path
        self.queues = tuple(queues)
        self.identity = identity
        self._fd = fd
        self._map = mmap.mmap(fd, os.fstat(fd).st_size)
        # A handler's own child must not be able to write what its parent is doing.
        self._map.madvise(mmap.MADV_DONTFORK)
        self._bytes = memoryview(self._map)
        self.words = self._bytes.cast("Q")

    # making and opening

    @classmethod
    def create(cls, path: str, queues: Sequence[str], identity: dict[str, Any]) -> Board:
        """Make the file whole, then let it appear under its name."""
        text = json.dumps({**identity, "queues": list(queues)}).encode()
        if len(text) > _SLOTS_AT - _IDENTITY_AT:
            raise ValueError(
                f"a consumer cannot serve {len(queues)} queues: their names do not fit its board"
            )
        draft = f"{path}.draft"
        fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        # Allocated, not sparse: a store to a page that the full disk cannot hold would be a SIGBUS.
        os.posix_fallocate(fd, 0, _size(len(queues)))
        board = cls(path, fd, queues, identity)
        board._bytes[_IDENTITY_AT : _IDENTITY_AT + len(text)] = text
        board.words[_IDENTITY_LENGTH] = len(text)
        board.words[0] = MAGIC
        os.rename(draft, path)
        return board

    @classmethod
    def open(cls, path: str) -> Board:
        """Map an existing board; a handler may have scribbled on it, so all is checked.

        Raises NoBoard, and OSError where the descriptors or the memory for it are used up.
        """
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                raise
            raise NoBoard(f"{path}: {error.strerror}") from error
        try:
            head = os.pread(fd, _SLOTS_AT, 0)
            if len(head) < _SLOTS_AT or int.from_bytes(head[:8], "little") != MAGIC:
                raise NoBoard(f"{path}: not a board of this version")
            length = int.from_bytes(head[_IDENTITY_LENGTH * 8 : _IDENTITY_LENGTH * 8 + 8], "little")
            identity = json.loads(head[_IDENTITY_AT : _IDENTITY_AT + length])
            queues = [str(queue) for queue in identity["queues"]]
            if os.fstat(fd).st_size < _size(len(queues)):
                raise NoBoard(f"{path}: cut short")
            return cls(path, fd, queues, identity)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            os.close(fd)
            raise NoBoard(f"{path}: {error}") from error
        except (NoBoard, OSError):
            os.close(fd)
            raise

    def close_file(self) -> None:
        """Give back the descriptor; the mapping stays. For who only reads: taking and claiming need it."""
        os.close(self._fd)
        self._fd = -1

    def close(self) -> None:
        """Unmap it. The file stays."""
        self.words.release()
        self._bytes.release()
        self._map.close()
        if self._fd < 0:
            return
        os.close(self._fd)

    def fileno(self) -> int:
        """Return the descriptor, so that a forked child can give it back by number."""
        return self._fd

    # the owner writes

    def hold(self, queue: int, slot: int, ticket: int) -> None:
        """Note a reservation that is not begun."""
        self.words[self._at(queue, slot)] = ticket << 8 | Code.HELD

    def prepare(
        self, queue: int, slot: int, deadline_ms: int, if_killed: int, if_dead: int, if_interrupted: int
    ) -> None:
        """Write the deadline (monotonic ms, 0: none) and the packed verdicts of what may end the run."""
        at, words = self._at(queue, slot), self.words
        words[at + _DEADLINE] = deadline_ms
        words[at + _IF_KILLED] = if_killed
        words[at + _IF_DEAD] = if_dead
        words[at + _IF_INTERRUPTED] = if_interrupted

    def claim(self, queue: int, slot: int, ticket: int) -> bool:
        """Turn a held slot into a running one; False if it was taken back meanwhile."""
        return self._from_held(queue, slot, ticket, Code.RUNNING)

    def drop(self, queue: int, slot: int, ticket: int) -> bool:
        """Give up a held slot; False if it was taken back meanwhile."""
        return self._from_held(queue, slot, ticket, Code.FREE)

    def set_deadline(self, queue: int, slot: int, deadline_ms: int) -> None:
        """Move the deadline of a running slot."""
        self.words[self._at(queue, slot) + _DEADLINE] = deadline_ms

    def end(self, queue: int, slot: int, ticket: int, verdict: int, *, owing: bool = False) -> None:
        """Note how the run ended; `owing`: its hook is still to be run."""
        at = self._at(queue, slot)
        self.words[at + _ENDED] = verdict
        self.words[at] = ticket << 8 | (Code.OWING if owing else Code.ENDED)

    def describe(self, queue: int, slot: int, began_ms: int, id: str, task: str) -> None:
        """Write what people see of a running slot."""
        text = f"{began_ms} {id} {task}".encode("utf-8", "replace")[: _TEXT_BYTES - 1] + b"\n"
        at = self._text_at(queue, slot)
        self._bytes[at : at + len(text)] = text

    def set_handled(self, number: int) -> None:
        """Write how many messages were handled."""
        self.words[_HANDLED] = number

    def set_beat(self, moment_ms: int) -> None:
        """Show that the loop turns."""
        self.words[_BEAT] = moment_ms

    def set_doing(self, doing: Doing) -> None:
        """Write what the process as a whole is doing."""
        self.words[_DOING] = doing

    def set_registration(self, number: int) -> None:
        """Write which registration at the store is the present one (registration.py)."""
        self.words[_REGISTRATION] = number

    # others read

    @property
    def registration(self) -> int:
        """Which registration at the store is the present one, from 1."""
        return max(1, self.words[_REGISTRATION])

    @property
    def handled(self) -> int:
        """How many messages the process has handled."""
        return self.words[_HANDLED]

    @property
    def beat(self) -> int:
        """The last moment (monotonic ms) at which the loop turned, 0 before the first."""
        return self.words[_BEAT]

    @property
    def doing(self) -> Doing:
        """What the process says it is doing."""
        try:
            return Doing(self.words[_DOING])
        except ValueError:
            return Doing.BUSY

    def slots(self, queue: str) -> dict[int, Slot]:
        """Return ticket → slot for one queue. Words that make no sense are left out."""
        if queue not in self.queues:
            return {}
        number = self.queues.index(queue)
        read = (self._slot(self._at(number, slot)) for slot in range(SLOTS))
        return {slot.ticket: slot for slot in read if slot is not None}

    def tickets(self, queue: str) -> list[int]:
        """Return the last ticket of each slot of a queue, also of those that are free again."""
        number = self.queues.index(queue)
        return [self.words[self._at(number, slot)] >> 8 for slot in range(SLOTS)]

    def overdue(self, now_ms: int) -> int | None:
        """Return the ticket of a run that has passed its deadline, None if there is none."""
        for at in self._slot_offsets():
            word = self.words[at]
            if word & 0xFF in (Code.RUNNING, Code.OWING):
                deadline = self.words[at + _DEADLINE]
                if deadline and deadline <= now_ms:
                    return word >> 8
        return None

    def next_deadline(self) -> int | None:
        """Return the earliest deadline (monotonic ms) of what runs."""
        running = (at for at in self._slot_offsets() if self.words[at] & 0xFF in (Code.RUNNING, Code.OWING))
        deadlines = [self.words[at + _DEADLINE] for at in running]
        return min((deadline for deadline in deadlines if deadline), default=None)

    def running(self) -> list[Running]:
        """Return what runs, for display."""
        found = []
        for number in range(len(self.queues)):
            for slot in range(SLOTS):
                if self.words[self._at(number, slot)] & 0xFF in (Code.RUNNING, Code.OWING):
                    found += self._described(number, slot)
        return found

    def running_tickets(self) -> set[int]:
        """Return the tickets of what runs."""
        words = (self.words[at] for at in self._slot_offsets())
        return {word >> 8 for word in words if word & 0xFF in (Code.RUNNING, Code.OWING)}

    def held(self) -> bool:
        """True if something is held and not begun."""
        return any(self.words[at] & 0xFF == Code.HELD for at in self._slot_offsets())

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
            for slot in range(SLOTS):
                at = self._at(number, slot)
                word = self.words[at]
                if word & 0xFF == Code.HELD:
                    self.words[at] = word & ~0xFF | Code.TAKEN
                if word & 0xFF in (Code.HELD, Code.TAKEN):
                    taken.append(word >> 8)
            return sorted(taken)

    def _from_held(self, queue: int, slot: int, ticket: int, code: Code) -> bool:
        at = self._at(queue, slot)
        held = ticket << 8 | Code.HELD
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        mine = self.words[at] == held
        if mine:
            self.words[at] = ticket << 8 | code
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        return mine

    def done(self, queue: str) -> list[int]:
        """Return the tickets that ended as done and, as far as the board knows, are not settled."""
        slots = self.slots(queue).values()
        ended = {slot.ticket for slot in slots if slot.code is Code.ENDED and slot.ended == ACK}
        return sorted(ended - self.settled_by_others(queue))

    def mark_settled(self, queue: str, tickets: Container[int]) -> None:
        """Note that the scheduler has settled what `done` returned.

        In a word of its own, which the owner only reads: the owner may be using the slot anew meanwhile.
        """
        number = self.queues.index(queue)
        for slot in range(SLOTS):
            at = self._at(number, slot)
            ticket = self.words[at] >> 8
            if ticket in tickets:
                self.words[at + _SETTLED] = ticket

    def settled_by_others(self, queue: str) -> set[int]:
        """Return the tickets that the scheduler has settled."""
        number = self.queues.index(queue)
        return {self.words[self._at(number, slot) + _SETTLED] for slot in range(SLOTS)}

    @contextmanager
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

    def _slot(self, at: int) -> Slot | None:
        word, _, *verdicts = self.words[at : at + _SETTLED]
        if word & 0xFF in (Code.FREE, Code.HELD, Code.TAKEN):
            none = UNTOUCHED
            return Slot(word >> 8, Code(word & 0xFF), none, none, none, none) if word else None
        try:
            killed, dead, interrupted, ended = (Verdict.unpack(v) if v else UNTOUCHED for v in verdicts)
            return Slot(word >> 8, Code(word & 0xFF), killed, dead, interrupted, ended)
        except ValueError:
            return None

    def _described(self, queue: int, slot: int) -> list[Running]:
        at = self._text_at(queue, slot)
        text = bytes(self._bytes[at : at + _TEXT_BYTES]).split(b"\n")[0].decode("utf-8", "replace")
        began, _, rest = text.partition(" ")
        id, _, task = rest.partition(" ")
        return [Running(id, task, int(began))] if began.isdecimal() else []

    def _slot_offsets(self) -> range:
        first = _SLOTS_AT // 8
        return range(first, first + len(self.queues) * SLOTS * _SLOT_WORDS, _SLOT_WORDS)

    def _at(self, queue: int, slot: int) -> int:
        return _SLOTS_AT // 8 + (queue * SLOTS + slot) * _SLOT_WORDS

    def _text_at(self, queue: int, slot: int) -> int:
        texts = _SLOTS_AT + len(self.queues) * SLOTS * _SLOT_WORDS * 8
        return texts + (queue * SLOTS + slot) * _TEXT_BYTES


def _size(queues: int) -> int:
    return _SLOTS_AT + max(queues, 1) * SLOTS * (_SLOT_WORDS * 8 + _TEXT_BYTES)
