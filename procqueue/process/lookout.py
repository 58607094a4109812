"""The lookout: each second the boards are read for messages past their deadline, and memory is measured.

A deadline that is seen coming is met to the millisecond; one that begins and ends within a second may be
enforced up to a second late. A scheduler's board says whether its loop turns: one that is stopped, or stuck
in a call, has to go before other hosts would call this one dead (law D6). Nothing here decides: it makes
events of what it sees.
"""

from __future__ import annotations

from collections.abc import Iterator

from procqueue.core.book import Book
from procqueue.core.events import Event, Overdue, OverMemory, Reason, Silent, Spent
from procqueue.core.watch import Watch, scheduler_patience
from procqueue.process.intent import Intent
from procqueue.process.nursery import Kept, Nursery
from procqueue.process.pools import is_scheduler

_LOOK_EVERY = 1.0


class Lookout:
    """Looks after what the children of one master do. `at` is the moment of the next look (monotonic)."""

    def __init__(self, nursery: Nursery, intent: Intent) -> None:
        self._nursery = nursery
        self._intent = intent
        patience = scheduler_patience(intent.settings.master.host_timeout)
        self._every = min(_LOOK_EVERY, patience / 2)
        self._watch = Watch(self._every, patience)
        self._beats_at = float("-inf")  # when to look at the scheduler again
        self.at = float("inf")

    def soon(self, now: float) -> None:
        """Begin to look: somebody can work."""
        self.at = min(self.at, now + self._every)

    def put_off(self, seconds: float) -> None:
        """Forgive what has passed in so many seconds, in which nobody could look."""
        self._watch.failed()
        for kept in self._nursery.kept.values():
            if kept.is_consumer and (board := self._nursery.board(kept)) is not None:
                board.put_off(int(seconds * 1000))

    def look(self, book: Book, now: float) -> list[Event]:
        """Return what was seen."""
        self.at = float("inf")
        seen = [event for kept in self._nursery.kept.values() for event in self._look_at(kept, book, now)]
        return [*seen, *self._look_at_schedulers(book, now)]

    def _look_at(self, kept: Kept, book: Book, now: float) -> Iterator[Event]:
        child = book.children[kept.id]
        hard, soft = self._intent.max_memory_hard(kept.pool), self._intent.max_memory(kept.pool)
        if child.killed or (
            not (kept.queues and child.ready is not None) and not (kept.is_program and (hard or soft))
        ):
            return
        self.soon(now)
        memory = self._nursery.resident_bytes(kept) or 0 if hard or soft else 0
        if hard and memory > hard:
            kept.detail["memory"] = memory
            yield OverMemory(kept.id)
        elif soft and memory > soft:
            kept.detail["memory"] = memory
            yield Spent(kept.id, Reason.MAX_MEMORY)
        board = self._nursery.board(kept)
        if board is None:
            return
        if board.overdue(int(now * 1000)) is not None:
            yield Overdue(kept.id)
        elif deadline := board.next_deadline():
            self.at = min(self.at, max(now + 0.01, deadline / 1000 + 0.001))

    def _look_at_schedulers(self, book: Book, now: float) -> Iterator[Event]:
        """See who stands still. After a sleep of our own the watch begins anew."""
        schedulers = [kept for kept in self._nursery.kept.values() if is_scheduler(kept.pool)]
        if schedulers:
            self.soon(now)
        if now < self._beats_at:
            return
        self._beats_at = now + self._every
        beats: dict[str, int] = {}
        for kept in schedulers:
            board = self._nursery.board(kept)
            if board is not None and board.beat and not book.children[kept.id].killed:
                beats[kept.id] = board.beat
        for id in self._watch.saw(now, beats):
            yield Silent(id)
