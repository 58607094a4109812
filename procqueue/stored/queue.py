"""`procqueue.queue("emails")`: what stands in a queue, and what people do about it. The CLI's verbs use this.

Each call takes this thread's connection, as a push does, and may raise DriverUnavailable and DriverError.
Next to read: walk.py, change.py, gate.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec, TypeVar

from procqueue.core.filters import REMOVABLE, RETRYABLE, Filters
from procqueue.core.message import Counts, State
from procqueue.drivers.contract import MAX_ENTRIES, Driver, Pause
from procqueue.stored import asked, change
from procqueue.stored.cancel import Cancelled, cancel, living
from procqueue.stored.gate import Gate
from procqueue.stored.groups import Group, groups
from procqueue.stored.view import StoredMessage, view_of
from procqueue.stored.walk import walk
from procqueue.tasks.call import Delay, delay_seconds

P = ParamSpec("P")
T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Changed:
    """What retry and forget did. `missing`: the ids left alone, and the state they stand in (None: gone)."""

    count: int
    missing: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Paused:
    """Since and until when a queue is paused (None: until it is resumed)."""

    since: datetime
    until: datetime | None


class Queue:
    """One queue of the store. It holds nothing open itself, and may be used by any thread.

    What `messages`, `groups`, `retry` and `forget` take to choose: `state`, `task` (its exact name), `error`
    (a part of the last error), `kind` (exactly what `groups` calls its error), `older_than` (seconds or "7d":
    since it failed or was parked, else since its push), `args` ({"user_id": 42}; {"0": 42} is the first
    positional one). They mean what stood there when they began. Wrong ones raise ValueError or TypeError.
    """

    def __init__(self, name: str, driver: Driver) -> None:
        self.name = name
        self._driver = driver

    def __repr__(self) -> str:
        return f"<Queue {self.name}>"

    def counts(self) -> Counts:
        """Return how many messages stand where."""
        return self._driver.counts(self.name)

    def oldest(self) -> float | None:
        """Return for how many seconds the head of the queue has been waiting, None if nothing waits."""
        ms = self._driver.oldest_ms(self.name)
        return None if ms is None else ms / 1000

    def message(self, id: str) -> StoredMessage | None:
        """Return one stored message, None if it is not (or no longer) there."""
        one = self._driver.message(self.name, id)
        return None if one is None else view_of(one)

    def messages(
        self,
        state: str | None = None,
        *,
        task: str | None = None,
        error: str | None = None,
        kind: str | None = None,
        older_than: Delay | None = None,
        args: Mapping[str, Any] | None = None,
        limit: int | None = None,
        skip: int = 0,
    ) -> Iterator[StoredMessage]:
        """Return the messages, read lazily, in the order in which they would leave their state.

        `skip`: how many to leave out at the beginning, whatever they are.
        """
        states = asked.states(state, tuple(State), "be listed")
        filters = asked.filters(task, error, older_than, args, kind)
        most = asked.limit(limit)
        return self._messages(states, filters, most, asked.whole("skip", skip, 0))

    def groups(
        self,
        state: str = "failed",
        *,
        task: str | None = None,
        error: str | None = None,
        kind: str | None = None,
        older_than: Delay | None = None,
        args: Mapping[str, Any] | None = None,
    ) -> list[Group]:
        """Return how often each task stands there with the same kind of error, the most frequent first."""
        states = asked.states(state, tuple(State), "be grouped")
        filters = asked.filters(task, error, older_than, args, kind)
        return groups(walk(self._driver, self.name, states, filters))

    def retry(
        self,
        *ids: str,
        state: str = "failed",
        task: str | None = None,
        error: str | None = None,
        kind: str | None = None,
        older_than: Delay | None = None,
        args: Mapping[str, Any] | None = None,
        limit: int | None = None,
        rate: float | str | None = None,
        dry_run: bool = False,
        note: change.Note = change.silent,
    ) -> Changed:
        """Run messages of `state` (failed or timeout) again, with fresh counters: those named, or all meant.

        `limit`: no more than so many. `rate`: no more in a second. `dry_run`: only count them. `note` hears,
        again and again, how many more are done. A hundred are changed in one atomic step.
        """
        (one,) = asked.states(state, RETRYABLE, "run again")
        filters = asked.filters(task, error, older_than, args, kind)
        most, speed = asked.limit(limit), asked.rate(rate)
        if ids:
            asked.no_filters(filters, most, speed, dry_run)
            return self._changed(ids, lambda some: self._driver.retry(self.name, one, some))
        found = change.meant(self._driver, self.name, one, filters, most)
        if dry_run:
            return Changed(sum(map(len, found)), {})
        return Changed(change.retry(self._driver, self.name, one, found, speed, note), {})

    def forget(
        self,
        *ids: str,
        state: str | None = None,
        task: str | None = None,
        error: str | None = None,
        kind: str | None = None,
        older_than: Delay | None = None,
        args: Mapping[str, Any] | None = None,
        limit: int | None = None,
        rate: float | str | None = None,
        dry_run: bool = False,
        everything: bool = False,
        note: change.Note = change.silent,
    ) -> Changed:
        """Remove messages for ever, as retry takes them; what runs stays. `state` None: wherever they stand.

        Without ids and filters it wants `everything=True`.
        """
        states = asked.states(state, REMOVABLE, "be removed")
        filters = asked.filters(task, error, older_than, args, kind)
        most, speed = asked.limit(limit), asked.rate(rate)
        if ids:
            asked.no_filters(filters, most, speed, dry_run)
            return self._changed(ids, lambda some: self._removed(some, None if state is None else states[0]))
        if not (filters or everything or dry_run):
            raise ValueError("forget() without ids and filters removes everything: say everything=True")
        total = 0
        for one in states:
            left = most - total if most else 0
            if most and left <= 0:
                break
            found = change.meant(self._driver, self.name, one, filters, left)
            if dry_run:
                total += sum(map(len, found))
            elif filters or most or speed:
                total += change.forget(self._driver, self.name, one, found, speed, note)
            else:
                total += change.clear(self._driver, self.name, one, note)
        return Changed(total, {})

    def cancel(self, *ids: str, everything: bool = False) -> Cancelled:
        """Let messages be handled no more: what waits or is delayed goes now, what runs when it has ended.

        A handler that runs gets Cancelled. With `everything=True`, and no ids, all of these.
        """
        if bool(ids) == everything:
            raise ValueError("cancel() wants ids, or everything=True, and not both")
        return cancel(self._driver, self.name, ids or living(self._driver, self.name))

    @property
    def gate(self) -> Gate:
        """Return the producers' switch."""
        return Gate(self.name, self._driver)

    def pause(self, for_: Delay | None = None) -> Paused:
        """Hand out no more messages, on all hosts, until `resume` or for so long. What runs is finished."""
        for_ms = None if for_ is None else round(delay_seconds(for_) * 1000)
        if for_ms == 0:
            raise ValueError(f"for_={for_!r} is no time")
        return _paused(self._driver.pause(self.name, for_ms))

    def resume(self) -> bool:
        """Hand messages out again; return whether the queue was paused."""
        return self._driver.resume(self.name)

    def paused(self) -> Paused | None:
        """Return since and until when the queue is paused, None if it is not."""
        pause = self._driver.paused(self.name)
        return None if pause is None else _paused(pause)

    # the same without blocking the event loop

    async def acounts(self) -> Counts:
        """See counts."""
        return await asyncio.to_thread(self.counts)

    async def aoldest(self) -> float | None:
        """See oldest."""
        return await asyncio.to_thread(self.oldest)

    async def amessage(self, id: str) -> StoredMessage | None:
        """See message."""
        return await asyncio.to_thread(self.message, id)

    async def amessages(self, state: str | None = None, **options: Any) -> AsyncIterator[StoredMessage]:
        """See messages; for `async for`."""
        messages = self.messages(state, **options)
        while some := await asyncio.to_thread(_next, messages):
            for one in some:
                yield one

    async def agroups(self, state: str = "failed", **options: Any) -> list[Group]:
        """See groups."""
        return await asyncio.to_thread(self.groups, state, **options)

    async def aretry(self, *ids: str, **options: Any) -> Changed:
        """See retry."""
        return await asyncio.to_thread(self.retry, *ids, **options)

    async def aforget(self, *ids: str, **options: Any) -> Changed:
        """See forget."""
        return await asyncio.to_thread(self.forget, *ids, **options)

    async def acancel(self, *ids: str, everything: bool = False) -> Cancelled:
        """See cancel."""
        return await asyncio.to_thread(self.cancel, *ids, everything=everything)

    async def apause(self, for_: Delay | None = None) -> Paused:
        """See pause."""
        return await asyncio.to_thread(self.pause, for_)

    async def aresume(self) -> bool:
        """See resume."""
        return await asyncio.to_thread(self.resume)

    async def apaused(self) -> Paused | None:
        """See paused."""
        return await asyncio.to_thread(self.paused)

    def _messages(
        self, states: tuple[State, ...], filters: Filters, most: int, skip: int
    ) -> Iterator[StoredMessage]:
        if skip:
            states, skip = self._behind(states, skip)
        for number, one in enumerate(walk(self._driver, self.name, states, filters, skip), 1):
            yield view_of(one)
            if number == most:
                return

    def _behind(self, states: tuple[State, ...], skip: int) -> tuple[tuple[State, ...], int]:
        counts = self.counts()
        for place, state in enumerate(states):
            size = getattr(counts, state.value)
            if skip < size:
                return states[place:], skip
            skip -= size
        return (), 0

    def _changed(self, ids: tuple[str, ...], change_some: Callable[[list[str]], list[str]]) -> Changed:
        once = list(dict.fromkeys(ids))
        done = {id for some in change.chunks(once) for id in change_some(list(some))}
        missing = {id: self._state_of(id) for id in once if id not in done}
        return Changed(len(done), missing)

    def _removed(self, ids: list[str], state: State | None) -> list[str]:
        had = self._driver.forget(self.name, ids, state)
        return [id for id, was in had.items() if was in REMOVABLE and state in (None, was)]

    def _state_of(self, id: str) -> str | None:
        one = self._driver.message(self.name, id)
        return None if one is None else one.state.value


def _next(messages: Iterator[StoredMessage]) -> list[StoredMessage]:
    return [one for _, one in zip(range(MAX_ENTRIES), messages, strict=False)]


def _paused(pause: Pause) -> Paused:
    since = _EPOCH + timedelta(milliseconds=pause.since_ms)
    until = None if pause.until_ms is None else _EPOCH + timedelta(milliseconds=pause.until_ms)
    return Paused(since, until)
