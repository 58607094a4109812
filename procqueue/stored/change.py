"""Changing many messages: at most a hundred in one atomic step, and not faster than asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from procqueue.core.filters import Filters
from procqueue.core.message import State
from procqueue.drivers.contract import MAX_ENTRIES, Driver
from procqueue.stored.walk import matches

T = TypeVar("T")

#: Hears how many more are done; for progress bars.
Note = Callable[[int], object]


def silent(_done: int) -> None:
    """Note nothing."""


def retry(
    driver: Driver, queue: str, state: State, ids: Iterator[Sequence[str]], rate: float, note: Note
) -> int:
    """Make messages of `state` waiting; return how many."""
    return _paced(ids, rate, lambda some: len(driver.retry(queue, state, some)), note)


def forget(
    driver: Driver, queue: str, state: State, ids: Iterator[Sequence[str]], rate: float, note: Note
) -> int:
    """Remove messages that stand in `state`; return how many."""

    def remove(some: Sequence[str]) -> int:
        return sum(was is state for was in driver.forget(queue, some, state).values())

    return _paced(ids, rate, remove, note)


def clear(driver: Driver, queue: str, state: State, note: Note) -> int:
    """Remove as many messages of `state` as there are now, from the head; return how many."""
    left = getattr(driver.counts(queue), state.value)
    total = 0
    while total < left and (gone := driver.clear(queue, state)):
        total += gone
        note(gone)
    return total


def meant(driver: Driver, queue: str, state: State, filters: Filters, limit: int) -> Iterator[list[str]]:
    """Yield the ids that `filters` mean, by pages, at most `limit` (0: all).

    A page is read before the one in front of it is handed out: what is done about a page must not remove
    the place from which the next one goes on.
    """
    previous: list[str] = []
    left = limit or 1 << 62
    for found in matches(driver, queue, (state,), filters):
        yield previous
        previous = [one.id for one in found[:left]]
        left -= len(previous)
        if left <= 0:
            break
    yield previous


def chunks(items: Sequence[T], size: int = MAX_ENTRIES) -> Iterator[Sequence[T]]:
    """Yield as many as a driver takes at once."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _paced(
    ids: Iterator[Sequence[str]], rate: float, change: Callable[[Sequence[str]], int], note: Note
) -> int:
    """Change them in chunks, at most `rate` in a second (0: no limit); return how many were changed."""
    began = time.monotonic()
    total = sent = 0
    at_once = max(1, min(MAX_ENTRIES, int(rate / 5))) if rate else MAX_ENTRIES
    for page in ids:
        for some in chunks(page, at_once):
            if rate:
                time.sleep(max(0.0, began + sent / rate - time.monotonic()))
            done = change(some)
            sent += len(some)
            total += done
            note(done)
    return total
