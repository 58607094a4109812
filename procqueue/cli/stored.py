"""Stored messages for people: as documents, in pages over several states, and changed in bulk.

Bulk changes go through the driver a hundred at a time, so that no consumer waits behind them; each ends after
as many as there were at its beginning, although failing messages may keep coming.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from procqueue.cli.output import moment
from procqueue.core import wire
from procqueue.core.message import State, Stored
from procqueue.core.record import Record
from procqueue.drivers.contract import MAX_ENTRIES, Driver


def page(driver: Driver, queue: str, states: Sequence[State], offset: int, limit: int) -> dict[str, Any]:
    """Return the document of `procqueue messages`. `next`: the offset of the next page, None at the end."""
    sizes = _sizes(driver, queue)
    found: list[Stored] = []
    skip = offset
    for state in states:
        while len(found) < limit and skip < sizes[state]:
            some = driver.messages(queue, state, skip, min(MAX_ENTRIES, limit - len(found)))
            if not some:
                break
            found += some
            skip += len(some)
        skip = max(0, skip - sizes[state])
    total = sum(sizes[state] for state in states)
    end = offset + len(found)
    return {
        "v": 1,
        "messages": [document(one) for one in found],
        "total": total,
        "next": end if found and end < total else None,
    }


def document(one: Stored) -> dict[str, Any]:
    """Return one message as `messages` shows it. `task` and `error` are None where there is none to read."""
    try:
        task: str | None = wire.decode(one.body).task
    except wire.Unreadable:
        task = None
    counters = {name: getattr(one.counters, name) for name in one.counters.__slots__}
    return {
        "id": one.id,
        "queue": one.queue,
        "task": task,
        "state": one.state.value,
        **counters,
        "pushed_at": moment(one.pushed_ms),
        "due_at": moment(one.due_ms),
        "error": _last_error(one),
    }


def retry_all(driver: Driver, queue: str, state: State, note: Callable[[int], None]) -> list[str]:
    """Make every message of `state` waiting; return their ids. `note` hears how many are done."""
    retried: list[str] = []
    for ids in _heads(driver, queue, state):
        found = driver.retry(queue, state, ids)
        retried += found
        note(len(found))
        if not found:
            break
    return retried


def forget_all(driver: Driver, queue: str, states: Sequence[State], note: Callable[[int], None]) -> int:
    """Remove every message of `states`; return how many."""
    total = 0
    for state in states:
        left = _sizes(driver, queue)[state]
        while left > 0 and (gone := driver.clear(queue, state)):
            note(gone)
            total += gone
            left -= gone
    return total


def count(driver: Driver, queue: str, states: Sequence[State]) -> int:
    """Return how many messages stand in `states`."""
    sizes = _sizes(driver, queue)
    return sum(sizes[state] for state in states)


def in_chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield as many ids as a driver takes at once."""
    for start in range(0, len(ids), MAX_ENTRIES):
        yield ids[start : start + MAX_ENTRIES]


def _heads(driver: Driver, queue: str, state: State) -> Iterator[list[str]]:
    """Yield the ids at the head of a state, again and again, as many in all as there are now."""
    left = _sizes(driver, queue)[state]
    while left > 0:
        ids = [one.id for one in driver.messages(queue, state, 0, min(MAX_ENTRIES, left))]
        if not ids:
            return
        left -= len(ids)
        yield ids


def _sizes(driver: Driver, queue: str) -> dict[State, int]:
    counts = driver.counts(queue)
    return {state: getattr(counts, state.value) for state in State}


def _last_error(one: Stored) -> str | None:
    for line in reversed(one.history):
        try:
            return Record.decode(line).error or None
        except (ValueError, TypeError):
            continue
    return None
