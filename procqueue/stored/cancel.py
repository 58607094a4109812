"""Cancelling messages: what waits goes at once, what runs is told to end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from procqueue.core.message import NO_COUNTERS, State
from procqueue.core.outcome import Ending
from procqueue.core.record import NoticeHeader
from procqueue.drivers.contract import Driver
from procqueue.stored.change import chunks
from procqueue.stored.walk import walk

#: Where a message may still come to be handled.
LIVE = (State.WAITING, State.DELAYED, State.RESERVED)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What cancel did. `removed`: ids that are gone; `cancelling`: that run, and go when they have ended.

    `missing`: the ids left alone, and the state they stand in (None: gone).
    """

    removed: tuple[str, ...]
    cancelling: tuple[str, ...]
    missing: Mapping[str, str | None]


def cancel(driver: Driver, queue: str, ids: Sequence[str]) -> Cancelled:
    """Let messages be handled no more."""
    found: dict[str, State | None] = {}
    for some in chunks(list(dict.fromkeys(ids))):
        found |= driver.cancel(queue, {id: _header(queue, id) for id in some})
    return Cancelled(
        tuple(id for id, state in found.items() if state in (State.WAITING, State.DELAYED)),
        tuple(id for id, state in found.items() if state is State.RESERVED),
        {id: state and state.value for id, state in found.items() if state not in LIVE},
    )


def living(driver: Driver, queue: str) -> list[str]:
    """Return the ids of all that may still be handled."""
    return [one.id for one in walk(driver, queue, LIVE)]


def _header(queue: str, id: str) -> bytes:
    counters = NO_COUNTERS.pack()
    return NoticeHeader(id, queue, Ending.CANCELLED, "cancelled by hand", counters, "").encode()
