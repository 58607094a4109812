"""Autoscaling at work: with the scheduler's counts, once a second, it looks at boards and machine, and asks
core/autoscale.py how many consumers a queue gets.

A consumer fits if there is memory for one as large as those that run and, as far as they use CPUs, a CPU that
is not loaded. A number wished by hand wins; afterwards it goes on from there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Protocol

from procqueue.core.autoscale import Sample, Scaling, scaled
from procqueue.core.book import Book
from procqueue.core.events import Life
from procqueue.core.settings.model import QueueSettings, Scale
from procqueue.process import kernel
from procqueue.process.board import Doing
from procqueue.process.intent import Intent
from procqueue.process.log import Log
from procqueue.process.news import News
from procqueue.process.nursery import Kept, Nursery

#: This share of the machine's memory is left alone.
_SPARE = 0.05
#: Consumers that use less of a CPU than this each do not mind its load.
_IDLE_SHARE = 0.05
_PLENTY = 10_000


class Master(Protocol):
    """What autoscaling needs of its master."""

    book: Book
    intent: Intent
    log: Log
    news: News
    nursery: Nursery


@dataclass(frozen=True, slots=True)
class _Work:
    """What one consumer had done at a look: messages, and seconds of CPU."""

    handled: int
    cpu: float


@dataclass(frozen=True, slots=True)
class _Fleet:
    """The consumers of a queue at one look. `handled`: since the last one; `share`: of a CPU, each."""

    ready: int
    busy: int
    handled: int
    memory: float  # mean, bytes
    share: float


class Autoscaling:
    """Follows the load of one master's queues."""

    def __init__(self, master: Master) -> None:
        self._master = master
        self._work: dict[str, _Work] = {}  # by consumer
        self._at: dict[str, float] = {}  # by driver: the last look

    def look(self, driver: str) -> None:
        """Take a sample of each queue of a driver that has a scale; called with fresh counts."""
        intent = self._master.intent
        now = time.monotonic()
        passed = now - self._at.get(driver, now)
        self._at[driver] = now
        for name, queue in intent.queues.items():
            if queue.driver != driver:
                continue
            if queue.scale is None:
                intent.scalings.pop(name, None)
                continue
            fleet = self._fleet(name, passed)
            known = intent.scalings.get(name) or Scaling(queue.scale.min)
            intent.scalings[name] = self._next(queue, queue.scale, known, self._sample(queue, fleet, now))
        self._work = {id: done for id, done in self._work.items() if id in self._master.nursery.kept}

    def _next(self, queue: QueueSettings, scale: Scale, known: Scaling, sample: Sample) -> Scaling:
        if wish := self._master.intent.wishes.scaled.get(queue.name):
            count = min(scale.max, max(scale.min, wish.number))
            return replace(scaled(scale, known, sample), count=count, why="", since=sample.at)
        new = scaled(scale, known, sample)
        if new.count != known.count:
            self._master.log.info("scaled", queue=queue.name, why=new.why)
        return new

    def _sample(self, queue: QueueSettings, fleet: _Fleet, now: float) -> Sample:
        news, paused = self._master.news, self._master.intent.wishes.paused
        open_queues = [name for name in queue.serves if name not in paused and name not in news.paused]
        return Sample(
            at=now,
            waiting=sum(news.counts.get(name, {}).get("waiting", 0) for name in open_queues),
            oldest=max((news.oldest.get(name, 0.0) for name in open_queues), default=0.0),
            ready=fleet.ready,
            busy=fleet.busy,
            handled=fleet.handled,
            room=_room(fleet),
        )

    def _fleet(self, queue: str, passed: float) -> _Fleet:
        """Look at the consumers of a queue, and note what each has done."""
        kept = [kept for kept in self._master.nursery.kept.values() if kept.pool == queue and kept.pid]
        ready = busy = handled = 0
        memory = cpu = 0.0
        for one in kept:
            done, is_busy = self._look_at(one)
            before = self._work.get(one.id, _Work(0, done.cpu))
            self._work[one.id] = done
            ready += self._master.book.children[one.id].life is Life.READY
            busy += is_busy
            handled += max(0, done.handled - before.handled)
            cpu += done.cpu - before.cpu
            memory += self._master.nursery.resident_bytes(one) or 0
        number = max(1, len(kept))
        return _Fleet(ready, busy, handled, memory / number, cpu / number / max(passed, 0.1))

    def _look_at(self, kept: Kept) -> tuple[_Work, bool]:
        board = self._master.nursery.board(kept)
        cpu = kernel.cpu_seconds_of(kept.pid)
        if board is None:
            return _Work(0, cpu), False
        return _Work(board.handled, cpu), board.doing is Doing.BUSY


def _room(fleet: _Fleet) -> int:
    """Return how many more such consumers there is memory and CPU for."""
    available, total = kernel.memory()
    fits = _PLENTY
    if fleet.memory:
        fits = max(0, int((available - _SPARE * total) / fleet.memory))
    if fleet.share >= _IDLE_SHARE:
        fits = min(fits, int(kernel.free_cpus() / fleet.share))
    return fits
