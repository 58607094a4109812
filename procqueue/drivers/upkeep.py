"""What people and the scheduler ask of a queue beside the way of its messages.

A part of the contract of drivers: next to read is contract.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from procqueue.core.message import State


class GateState(StrEnum):
    """The producers' switch of a queue."""

    OPEN = "open"
    CLOSED = "closed"  # nothing is stored, documents stay in the inbox
    DRAINING = "draining"  # only handlers push, and the inbox is taken in


@dataclass(frozen=True, slots=True)
class Gate:
    """How the gate of a queue stands, and since when (ms of the driver's clock; None: always)."""

    state: GateState
    since_ms: int | None = None


OPEN_GATE = Gate(GateState.OPEN)


@dataclass(frozen=True, slots=True)
class Tick:
    """How far a cron has come: its last tick (ms since 1970), by which schedule, and what it pushed last."""

    ms: int
    schedule: str
    id: str = ""  # "": nothing yet


class Ticked(StrEnum):
    """What became of a tick."""

    DONE = "done"  # pushed; or noted, where there was nothing to push
    KNOWN = "known"  # somebody has taken it, or a later one
    SKIPPED = "skipped"  # the message that the cron pushed last is still to be handled
    DUPLICATE = "duplicate"  # a message of that id exists
    CLOSED = "closed"  # the gate is not open: the tick is not noted either, and may come again


@dataclass(frozen=True, slots=True)
class RestartMark:
    """When somebody asked all hosts to restart a queue (ms of the driver's clock), and how long ago that is.

    `at_ms` only grows. Hosts compare it with what they saw before, and `age_ms` with their own age.
    """

    at_ms: int
    age_ms: int


class Upkeep(Protocol):
    """What people and the scheduler ask of a queue beside the way of its messages."""

    def set_gate(self, queue: str, state: GateState) -> Gate:
        """Let producers push, or not, from now on; of a gate that stands so already nothing changes."""

    def gate(self, queue: str) -> Gate:
        """Return how the gate stands."""

    def turn_gate(self, queue: str, was: GateState, state: GateState) -> bool:
        """Turn the gate to `state` if it stands at `was`; False if not: then nothing was changed."""

    def mark_restart(self, queue: str) -> RestartMark:
        """Ask all hosts that serve the queue now to restart its consumers; each asking is a new mark."""

    def restart_mark(self, queue: str) -> RestartMark | None:
        """Return the last mark, None if there was none."""

    def push_tick(self, queue: str, cron: str, tick: Tick, body: bytes | None, *, alone: bool) -> Ticked:
        """Store `body` as the message `tick.id` if the tick is newer than the last of that cron, and note it.

        None only notes it. `alone`: not while what the cron pushed last is waiting, delayed or reserved.
        While the gate is closed or draining no body is stored. Raises Full.
        """

    def ticks(self, queue: str) -> dict[str, Tick]:
        """Return how far each cron has come."""

    def cancel(self, queue: str, headers: Mapping[str, bytes]) -> Mapping[str, State | None]:
        """Let messages be handled no more; answer the state each had (None: not stored).

        What waits or is delayed is removed. What is reserved is marked: whatever its verdict, it is gone with
        its settlement, on whatever host and by whomever that is made. Both leave a notice with the header
        given for that id (D15), but for what ended as done. What failed or is parked stays.
        """

    def cancelling(self, queue: str) -> frozenset[str]:
        """Return the reserved messages that are marked."""

    def trim(self, queue: str, state: State, count: int, age_ms: int) -> int:
        """Drop messages of `state` (failed, timeout), the oldest first: those beyond `count`, and those that
        stand there for longer than `age_ms`; 0 is no limit. At most MAX_ENTRIES; return how many.
        """
