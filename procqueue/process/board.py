"""The board: a file in state_dir where one consumer writes what it is doing, and others read it (law S7).

Every fact is one aligned 8-byte word, so that no reader sees half of it; what belongs together is ordered,
not locked: the deadline and the verdicts are written before RUNNING, the verdict as it ended before ENDED.
The file outlives the process: whoever reaps it, or a later master, still knows how each message stood.

    word 0      magic and version            word 4   length of the identity (JSON, from byte 64)
    word 1      messages handled             word 5   number of the registration at the store, 0: the first
    word 2      beat of the scheduler        word 6   who was killed on purpose: ticket << 8 | Mark
    word 3      state of the process (Doing) word 7   moment (monotonic ms) at which an orphan is ended by
                                                      its own kernel timer (consumer/lastresort.py)
    from 2048   the slots of each queue, of 9 words: ticket << 8 | code · deadline in monotonic ms ·
                verdict if killed · if dead · if interrupted · as it ended · ticket that the scheduler
                settled · moment (monotonic ms) until which a cancelled run has to end · its ticket
    then        a text for each slot: "began_ms id task", for display only

A queue has 63 slots more than its consumer runs messages at once; the identity says how many ("slots").

What is held and not begun can be taken back: the consumer claims its next slot, and the scheduler marks
slots TAKEN, under an flock of this file. Apart from that, from the word of who was killed, and from those
that say which tickets the scheduler has settled, or wants to be cancelled, everyone but the owner only reads.

Here is the layout, and the owner's side, which maps the file. The others must not: view.py.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from procqueue.core.fate import Code

MAGIC = int.from_bytes(b"PQBOARD\x03", "little")
#: So many messages of a queue may be held beside those that run.
AHEAD = 63

# Where things lie. All numbers of words but those that end in _AT and _BYTES, which are bytes.
IDENTITY_AT = 64
SLOTS_AT = 2048
SLOT_WORDS = 9
TEXT_BYTES = 240
HANDLED, BEAT, DOING, IDENTITY_LENGTH, REGISTRATION, MARK, ENDS = range(1, 8)
# word 0: ticket, code
DEADLINE, IF_KILLED, IF_DEAD, IF_INTERRUPTED, ENDED, SETTLED, KILL_AT, CANCELLED = range(1, SLOT_WORDS)


class Doing(IntEnum):
    """What the process as a whole is doing."""

    STARTING = 0
    IDLE = 1
    BUSY = 2
    STOPPING = 3


class Mark(IntEnum):
    """Why a process is killed on purpose. The numbers are stored: append, never renumber."""

    STOPPED = 1  # it had not left in time
    TIMEOUT = 2  # one of its messages had not ended in time: the ticket says which


class Board:
    """The board of this very process, mapped. How the others see it: view.View."""

    def __init__(
        self, path: str, fd: int, queues: Sequence[str], identity: dict[str, Any], slots: int
    ) -> None:
        self.path = path
        self.queues = tuple(queues)
        self.identity = identity
        self.slots = slots  # of each queue
        # The first word of each slot: looked up five times for each message.
        self._at = [[slot_at(slots, number, slot) for slot in range(slots)] for number in range(len(queues))]
        self._texts = text_at(len(queues), slots, 0, 0)
        self._fd = fd
        self._map = mmap.mmap(fd, os.fstat(fd).st_size)
        # A handler's own child must not be able to write what its parent is doing.
        self._map.madvise(mmap.MADV_DONTFORK)
        self._bytes = memoryview(self._map)
        self.words = self._bytes.cast("Q")

    @classmethod
    def create(cls, path: str, queues: Sequence[str], identity: dict[str, Any], at_once: int = 1) -> Board:
        """Make the file whole, then let it appear under its name; `at_once`: how many messages may run."""
        draft = f"{path}.draft"
        fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            board = cls.fill(path, fd, queues, identity, at_once)
        except ValueError:
            os.close(fd)
            os.unlink(draft)
            raise
        os.rename(draft, path)
        return board

    @classmethod
    def fill(
        cls, path: str, fd: int, queues: Sequence[str], identity: dict[str, Any], at_once: int = 1
    ) -> Board:
        """Fill in an empty file; it is no board before the last word is written, the magic."""
        slots = at_once + AHEAD
        text = json.dumps({**identity, "slots": slots, "queues": list(queues)}).encode()
        if len(text) > SLOTS_AT - IDENTITY_AT:
            raise ValueError(
                f"a consumer cannot serve {len(queues)} queues: their names do not fit its board"
            )
        # Allocated, not sparse: a store to a page that the full disk cannot hold would be a SIGBUS.
        os.posix_fallocate(fd, 0, size_of(len(queues), slots))
        board = cls(path, fd, queues, identity, slots)
        board._bytes[IDENTITY_AT : IDENTITY_AT + len(text)] = text
        board.words[IDENTITY_LENGTH] = len(text)
        board.words[0] = MAGIC
        return board

    def close(self) -> None:
        """Unmap it. The file stays."""
        self.words.release()
        self._bytes.release()
        self._map.close()
        os.close(self._fd)

    def fileno(self) -> int:
        """Return the descriptor, so that a forked child can give it back by number."""
        return self._fd

    # the owner writes

    def hold(self, queue: int, slot: int, ticket: int) -> None:
        """Note a reservation that is not begun."""
        self.words[self._at[queue][slot]] = ticket << 8 | Code.HELD

    def prepare(
        self, queue: int, slot: int, deadline_ms: int, if_killed: int, if_dead: int, if_interrupted: int
    ) -> None:
        """Write the deadline (monotonic ms, 0: none) and the packed verdicts of what may end the run."""
        at, words = self._at[queue][slot], self.words
        words[at + DEADLINE] = deadline_ms
        words[at + IF_KILLED] = if_killed
        words[at + IF_DEAD] = if_dead
        words[at + IF_INTERRUPTED] = if_interrupted

    def claim(self, queue: int, slot: int, ticket: int) -> bool:
        """Turn a held slot into a running one; False if it was taken back meanwhile."""
        return self._from_held(queue, slot, ticket, Code.RUNNING)

    def drop(self, queue: int, slot: int, ticket: int) -> bool:
        """Give up a held slot; False if it was taken back meanwhile."""
        return self._from_held(queue, slot, ticket, Code.FREE)

    def is_taken(self, queue: int, slot: int, ticket: int) -> bool:
        """Return whether the scheduler has taken it back."""
        return self.words[self._at[queue][slot]] == ticket << 8 | Code.TAKEN

    def set_deadline(self, queue: int, slot: int, deadline_ms: int) -> None:
        """Move the deadline of a running slot."""
        self.words[self._at[queue][slot] + DEADLINE] = deadline_ms

    def end(self, queue: int, slot: int, ticket: int, verdict: int, *, owing: bool = False) -> None:
        """Note how the run ended; `owing`: its hook is still to be run."""
        at = self._at[queue][slot]
        self.words[at + ENDED] = verdict
        self.words[at] = ticket << 8 | (Code.OWING if owing else Code.ENDED)

    def describe(self, queue: int, slot: int, began_ms: int, id: str, task: str) -> None:
        """Write what people see of a running slot."""
        text = f"{began_ms} {id} {task}".encode("utf-8", "replace")[: TEXT_BYTES - 1] + b"\n"
        at = self._texts + (queue * self.slots + slot) * TEXT_BYTES
        self._bytes[at : at + len(text)] = text

    def set_handled(self, number: int) -> None:
        """Write how many messages were handled."""
        self.words[HANDLED] = number

    def set_beat(self, moment_ms: int) -> None:
        """Show that the loop turns."""
        self.words[BEAT] = moment_ms

    def set_doing(self, doing: Doing) -> None:
        """Write what the process as a whole is doing."""
        self.words[DOING] = doing

    @property
    def registration(self) -> int:
        """Which registration at the store is the present one, from 1."""
        return max(1, self.words[REGISTRATION])

    def set_registration(self, number: int) -> None:
        """Write which registration at the store is the present one (registration.py)."""
        self.words[REGISTRATION] = number

    def set_end(self, moment_ms: int) -> None:
        """Write when the kernel will end this process, which has heard of its master's death."""
        self.words[ENDS] = moment_ms

    def is_cancelled(self, queue: int, slot: int, ticket: int) -> bool:
        """Return whether the scheduler wants this run to end."""
        return self.words[self._at[queue][slot] + CANCELLED] == ticket

    def last_ticket(self, queue: str) -> int:
        """Return the largest ticket in the slots of a queue, 0 if there was none."""
        number = self.queues.index(queue)
        return max(self.words[self._at[number][slot]] >> 8 for slot in range(self.slots))

    def settled_by_others(self, queue: str) -> set[int]:
        """Return the tickets that the scheduler has settled."""
        number = self.queues.index(queue)
        return {self.words[self._at[number][slot] + SETTLED] for slot in range(self.slots)}

    def _from_held(self, queue: int, slot: int, ticket: int, code: Code) -> bool:
        at = self._at[queue][slot]
        held = ticket << 8 | Code.HELD
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        mine = self.words[at] == held
        if mine:
            self.words[at] = ticket << 8 | code
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        return mine


def slot_at(slots: int, queue: int, slot: int) -> int:
    """Return the number of the first word of a slot, on a board with so many for each queue."""
    return SLOTS_AT // 8 + (queue * slots + slot) * SLOT_WORDS


def text_at(queues: int, slots: int, queue: int, slot: int) -> int:
    """Return where the text of a slot begins (bytes), on a board for so many queues."""
    texts = SLOTS_AT + max(queues, 1) * slots * SLOT_WORDS * 8
    return texts + (queue * slots + slot) * TEXT_BYTES


def size_of(queues: int, slots: int) -> int:
    """Return how many bytes a board for so many queues has."""
    return SLOTS_AT + max(queues, 1) * slots * (SLOT_WORDS * 8 + TEXT_BYTES)
