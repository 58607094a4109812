"""The fake: takes what is pushed as a store would, and runs it here when the test says so.

Messages go through the same encoding, the same policy and the same hooks as with a real store; only processes
and time are missing. Time is a clock that the test advances, so delays and pauses between attempts cost none.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from procqueue.core import wire
from procqueue.core.errors import BadArguments, ProcqueueError
from procqueue.core.message import NO_COUNTERS, Charge, Counters, Reservation
from procqueue.core.settings.model import DriverSettings, QueueSettings
from procqueue.core.verdict import Kind, Verdict
from procqueue.drivers.contract import Answer, Entry, Lane, Locked, Pushed
from procqueue.drivers.sync import Ran
from procqueue.pushing import Producer
from procqueue.tasks import registry
from procqueue.tasks.call import Call, Delay, delay_seconds
from procqueue.tasks.inline import executor
from procqueue.tasks.task import Task

#: A run() that was not told how many ends with an error after so many: nothing else would end it.
MAX_RUNS = 10_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """The time of a fake. It stands still unless the test advances it."""

    def __init__(self) -> None:
        self.ms = time.time_ns() // 1_000_000

    @property
    def now(self) -> datetime:
        """The moment that it shows, in UTC."""
        return _EPOCH + timedelta(milliseconds=self.ms)

    def advance(self, by: Delay) -> None:
        """Let so much time pass: seconds, "10m", or a timedelta. What became due runs with the next run()."""
        self.ms += round(delay_seconds(by) * 1000)


@dataclass(frozen=True, slots=True)
class Fated:
    """A message that the fake holds, or held: the call, where it was pushed to, and when it is due."""

    id: str
    queue: str
    call: Call
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Failed:
    """A message that is not run again: `state` is "failed" or "timeout"; what left its last run."""

    id: str
    queue: str
    call: Call
    state: str
    attempts: int
    exception: BaseException | None


@dataclass(frozen=True, slots=True)
class _Held:
    queue: str
    entry: Entry
    call: Call
    place: int
    pushed_ms: int
    due_ms: int
    counters: Counters = NO_COUNTERS

    @property
    def has_begun(self) -> bool:
        return self.counters != NO_COUNTERS

    def holds(self, queue: str, key: str) -> bool:
        """Return whether no second message of that unique key may be pushed now."""
        traits = self.entry.traits
        return (self.queue, traits.unique) == (queue, key) and not (traits.until_begun and self.has_begun)

    def shown(self) -> Fated:
        return Fated(self.entry.id, self.queue, self.call, _EPOCH + timedelta(milliseconds=self.due_ms))


class Fake:
    """What was pushed, and running it. `queues`: their settings; None: any queue, with the defaults."""

    def __init__(self, queues: Mapping[str, QueueSettings] | None = None) -> None:
        self.clock = Clock()
        self.failed: list[Failed] = []
        self.expired: list[Fated] = []
        self.producer: Producer = _Door(self, queues)
        self._queues = queues
        self._held: list[_Held] = []
        self._pushed: deque[_Held] = deque()
        self._tombs: dict[tuple[str, str], int] = {}  # (queue, id) → until when it stays taken, ms
        self._locks: dict[tuple[str, str], tuple[str, int]] = {}  # (queue, key) → by whom, until when, ms
        self._running: _Held | None = None
        self._place = 0
        self._ticket = 0
        self._execute: Callable[[Reservation], Ran] = executor(self._settings_of)

    def pushed(self, task: Task[..., Any] | str | None = None) -> list[Call]:
        """Return what was pushed so far, in order: all of it, or the calls of one task.

        Arguments are as the handler will get them. A push that was a duplicate is not among them.
        """
        return [held.call for held in self._pushed if task is None or held.call.task == _name(task)]

    @property
    def messages(self) -> list[Fated]:
        """What waits to be run, the next first; what is not due yet stands behind it, by its time."""
        return [held.shown() for held in sorted(self._held, key=self._order)]

    def run(self, limit: int | None = None, *, raises: bool = True) -> int:
        """Run what is due, with what it pushes, and return how many runs there were.

        At most `limit` runs. A message that fails for good raises what its handler raised, unless `raises`
        is False; either way it stands in `failed`. Raises ProcqueueError after 10,000 runs without a limit.
        """
        runs = 0
        while limit is None or runs < limit:
            held = self._next()
            if held is None:
                break
            if runs == MAX_RUNS:
                raise ProcqueueError(f"{MAX_RUNS:,} messages have run and there is no end; use run(limit=…)")
            runs += 1
            self._run(held, raises)
        return runs

    def clear(self) -> None:
        """Forget all messages, and that they were pushed. The clock stays."""
        self._held.clear()
        self._pushed.clear()
        self._tombs.clear()
        self._locks.clear()
        self.failed.clear()
        self.expired.clear()

    def take(self, queue: str, entry: Entry) -> Answer:
        """Take one message as a store does: an id, and a unique key, exist once."""
        now, traits = self.clock.ms, entry.traits
        tomb = self._tombs.get((queue, entry.id), 0)
        if tomb > now or any((one.queue, one.entry.id) == (queue, entry.id) for one in self._alive()):
            return Pushed.DUPLICATE
        if traits.unique:
            replaced = next((one for one in self._held if one.holds(queue, traits.unique)), None)
            if traits.replace and replaced is not None:
                self._held.remove(replaced)
            elif holder := self._holder(queue, traits.unique):
                return Locked(holder)
            if traits.until_ms:
                self._locks[queue, traits.unique] = entry.id, now + traits.until_ms
        due = entry.at_ms if entry.at_ms is not None else now + entry.delay_ms
        self._place += 1
        held = _Held(queue, entry, _call_of(entry.body), self._place, now, due)
        self._held.append(held)
        self._pushed.append(held)
        return Pushed.QUEUED

    def _alive(self) -> list[_Held]:
        return self._held if self._running is None else [self._running, *self._held]

    def _holder(self, queue: str, key: str) -> str:
        """Return the id of the message under whose unique key nothing can be pushed now, or ""."""
        by, until = self._locks.get((queue, key), ("", 0))
        if until > self.clock.ms:
            return by
        return next((one.entry.id for one in self._alive() if one.holds(queue, key)), "")

    def _order(self, held: _Held) -> tuple[bool, int, int, int]:
        """Due ones by priority, then by the time since which they wait; then the others (law D8)."""
        is_due = held.due_ms <= self.clock.ms
        return not is_due, -held.entry.traits.priority if is_due else 0, held.due_ms, held.place

    def _next(self) -> _Held | None:
        for held in [held for held in self._held if self._has_expired(held)]:
            self._held.remove(held)
            self.expired.append(held.shown())
        due = [held for held in self._held if held.due_ms <= self.clock.ms]
        return min(due, key=self._order, default=None)

    def _has_expired(self, held: _Held) -> bool:
        expires = held.entry.traits.expires_ms
        return bool(expires) and not held.has_begun and self.clock.ms >= held.pushed_ms + expires

    def _run(self, held: _Held, raises: bool) -> None:
        self._held.remove(held)
        self._ticket += 1
        entry = held.entry
        reservation = Reservation(
            held.queue, entry.id, self._ticket, entry.body, held.counters, held.pushed_ms
        )
        begun = replace(held, counters=held.counters.charged(Charge.RELEASE))
        before, self._running = self._running, begun
        try:
            ran = self._execute(reservation)
        finally:
            self._running = before
        verdict = ran.verdict
        counters = held.counters.charged(verdict.charge)
        if verdict.kind in (Kind.RETURN, Kind.RELEASE):
            self._place += 1
            due = self.clock.ms + verdict.delay_ms
            self._held.append(replace(held, counters=counters, due_ms=due, place=self._place))
            return
        if entry.remember_ms:
            self._tombs[held.queue, entry.id] = self.clock.ms + entry.remember_ms
        if verdict.is_final:
            self._fail(held, verdict, counters, ran.exception, raises)

    def _fail(
        self, held: _Held, verdict: Verdict, counters: Counters, error: BaseException | None, raises: bool
    ) -> None:
        state = "failed" if verdict.kind is Kind.FAIL else "timeout"
        self.failed.append(Failed(held.entry.id, held.queue, held.call, state, counters.attempts, error))
        if raises and error is not None:
            raise error

    def _settings_of(self, queue: str) -> QueueSettings:
        known = self._queues.get(queue) if self._queues is not None else None
        return known or QueueSettings(name=queue)


class _Door(Producer):
    """The producer's door to a fake: the same for all threads."""

    def __init__(self, fake: Fake, queues: Mapping[str, QueueSettings] | None) -> None:
        super().__init__(DriverSettings("sync://"), queues, push_timeout=1.0)
        self._fake = fake

    def _open(self) -> _Store:
        return _Store(self._fake)


class _Store:
    """What a producer pushes to."""

    def __init__(self, fake: Fake) -> None:
        self._fake = fake

    def push(
        self,
        queue: str,
        entries: Sequence[Entry],
        lane: Lane | None = None,  # noqa: ARG002
        *,
        inside: bool = False,  # noqa: ARG002
    ) -> list[Answer]:
        return [self._fake.take(queue, entry) for entry in entries]

    def close(self) -> None:
        pass


def _name(task: Task[..., Any] | str) -> str:
    return task if isinstance(task, str) else task.name


def _call_of(body: bytes) -> Call:
    """Return the call of a message, its arguments converted where the task is known."""
    document = wire.decode(body)
    task = registry.find(document.task)
    args, kwargs = list(document.args), dict(document.kwargs)
    if task is not None:
        try:
            args, kwargs = task.arguments.bind(document)
        except BadArguments:
            pass  # the run will say so
    return Call(document.task if task is None else task.name, tuple(args), kwargs)
