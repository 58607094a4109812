"""Lanes: what keeps a push that is repeated from being stored twice (law D10).

A producer's chunks go under the name of a session and a number in it, 1, 2, 3 …; the store takes only the
next number, so a chunk whose answer was lost can be sent again, also after its messages were handled.
A session belongs to one push at a time (Sessions): it is given back when all that went under it was answered,
and else never used again, because a copy of a chunk may still be on its way under its next number.
Next to read: contract.py (push, Lane), then producer.py, which says how long to try.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from procqueue.core.errors import DriverError, DriverUnavailable, Gap, UnknownSession
from procqueue.drivers.contract import SESSION_KEPT_MS, Answer, Entry, Lane, Pushed, PushesAhead

#: So many chunks are on their way at once where the driver can (contract.PushesAhead).
WINDOW: Final = 4

#: For so long a chunk can be repeated exactly: the store keeps its session for longer.
REPEATABLE_SECONDS: Final = SESSION_KEPT_MS / 1000 - 600


class Store(Protocol):
    """What a lane needs of a driver."""

    def push(
        self, queue: str, entries: Sequence[Entry], lane: Lane | None = None, *, inside: bool = False
    ) -> list[Answer]: ...
    def close(self) -> None: ...


@dataclass(slots=True)
class Session:
    """The name that chunks go under, and the number of the last one that was answered."""

    name: str = field(default_factory=lambda: secrets.token_hex(12))
    last: int = 0


class Sessions:
    """The sessions of this process at one store that are free now: as many as were ever needed at once."""

    def __init__(self) -> None:
        self._renew()

    def take(self, queue: str) -> Session:
        """Return a session that is nobody else's until it is given back."""
        if self._pid != os.getpid():
            self._renew()
        free = self._free.get(queue)
        try:
            return free.pop() if free else Session()
        except IndexError:  # another thread was quicker
            return Session()

    def give_back(self, queue: str, session: Session) -> None:
        """Let the next push use the session; whatever went under it has been answered."""
        if self._pid == os.getpid():
            self._free.setdefault(queue, []).append(session)

    def _renew(self) -> None:
        self._free: dict[str, list[Session]] = {}  # first: those inherited over a fork are the parent's
        self._pid = os.getpid()


@dataclass(slots=True, eq=False)
class Chunk:
    """What is stored together."""

    entries: list[Entry]
    lost_at: tuple[float, float] | None = None  # a copy was sent and not answered: monotonic, wall clock


class Course:
    """Chunks of one queue on their way to the store, in order, each stored once however often it is sent.

    Add chunks; ask for the answer to the oldest until there is one. After an error nothing is on its way, and
    asking again sends again what has no answer. Not for two threads at once. `inside`: a handler pushes.
    """

    def __init__(self, queue: str, session: Session, *, inside: bool = False) -> None:
        self.queue = queue
        self.session = session
        self._inside = inside
        self.chunks: deque[Chunk] = deque()  # without an answer; the first is number session.last + 1
        self._on_the_way: deque[Callable[[], list[Answer]]] = deque()  # the answers to the first of them
        self._room = 1  # how many chunks may be without an answer
        self._is_told = True  # the last asking ended in a way that says what became of the chunk

    @property
    def is_full(self) -> bool:
        """True if an answer has to come before another chunk is added."""
        return len(self.chunks) >= self._room

    @property
    def flows(self) -> bool:
        """True if chunks may be sent before the one in front of them is answered."""
        return self._room > 1

    @property
    def is_clean(self) -> bool:
        """True if no copy of a chunk without an answer can be anywhere, so that its number is free."""
        return self._is_told and not self._on_the_way and not any(chunk.lost_at for chunk in self.chunks)

    @property
    def is_doubtful(self) -> bool:
        """True if it is not known whether the oldest chunk is stored, and with it those behind it."""
        return bool(self.chunks) and self.chunks[0].lost_at is not None

    @property
    def is_too_old(self) -> bool:
        """True if the store may have forgotten the session of what is lost, so that it cannot be repeated."""
        if not self.chunks or (lost_at := self.chunks[0].lost_at) is None:
            return False
        # The monotonic clock does not count the sleep of a suspended machine; the other one may be set.
        return max(time.monotonic() - lost_at[0], time.time() - lost_at[1]) > REPEATABLE_SECONDS

    def add(self, entries: list[Entry]) -> None:
        """Put a chunk behind the others."""
        self.chunks.append(Chunk(entries))

    def send_ahead(self, store: Store) -> None:
        """Send what was added without waiting. That the store is away will be said by `answer`."""
        assert isinstance(store, PushesAhead)
        try:
            while (place := len(self._on_the_way)) < len(self.chunks):
                entries = self.chunks[place].entries
                lane = self._lane(place)
                self._on_the_way.append(store.push_ahead(self.queue, entries, lane, inside=self._inside))
        except DriverUnavailable as error:
            self._stop(len(self._on_the_way) + error.sent)
        except BaseException:
            self._stop(len(self._on_the_way) + 1)
            raise

    def answer(self, store: Store) -> list[Answer]:
        """Send the oldest chunk unless it is on its way, wait for its answer, and return it.

        Raises what push raises, but for Gap and UnknownSession. A chunk that finds the gate closed leaves its
        number to the next; if an earlier copy of it may still come, DriverError, and it stays the oldest.
        """
        self._is_told = False
        try:
            answers = self._ask(store)
        except (Gap, UnknownSession):
            self._begin_anew()
            answers = self._ask(store)
        if Pushed.GATE_CLOSED in answers[:1]:
            self._turned_away()
        else:
            self.chunks.popleft()
            self.session.last += 1
        self._room = WINDOW if hasattr(store, "push_ahead") else 1  # isinstance of a protocol takes 4 µs
        self._is_told = True  # not before: an exception from a signal may come between any two lines
        return answers

    def _ask(self, store: Store) -> list[Answer]:
        try:
            if not self._on_the_way:
                return store.push(self.queue, self.chunks[0].entries, self._lane(0), inside=self._inside)
            answers = self._on_the_way[0]()
            self._on_the_way.popleft()
            return answers
        except (Gap, UnknownSession):
            raise
        except DriverUnavailable as error:
            self._stop(max(1, len(self._on_the_way)), is_first_refused=not error.sent)
            self._is_told = True
            raise
        except Exception:  # it was refused; what is on its way behind it can only be a gap
            self._stop(len(self._on_the_way), is_first_refused=True)
            self._is_told = True
            raise

    def _turned_away(self) -> None:
        if self.chunks[0].lost_at is not None:
            self._stop(len(self._on_the_way) + 1)
            self._is_told = True
            raise DriverError("the gate is closed, and a copy that was sent before may still find it open")
        self.chunks.popleft()
        if self._on_the_way:  # under numbers that now nothing leads up to: in that session they stay a gap
            self._begin_anew()

    def _begin_anew(self) -> None:
        # The store lost its memory or went back in time: what is lost is not stored in the history that it
        # has now, and its copies, should they still come, are refused there.
        self._stop(0)
        for chunk in self.chunks:
            chunk.lost_at = None
        self.session = Session()

    def _stop(self, sent: int, *, is_first_refused: bool = False) -> None:
        """Note that nothing is on its way any more: the first `sent` chunks were, and were not answered."""
        now = time.monotonic(), time.time()
        for place in range(is_first_refused, sent):
            self.chunks[place].lost_at = self.chunks[place].lost_at or now
        self._on_the_way.clear()
        self._room = 1

    def _lane(self, place: int) -> Lane:
        return Lane(self.session.name, self.session.last + 1 + place)
