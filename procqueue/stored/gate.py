"""`procqueue.queue("emails").gate`: the producers' switch of a queue."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from procqueue.drivers.contract import Driver, GateState
from procqueue.drivers.contract import Gate as StoredGate

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stands:
    """How a gate stands: open, closed or draining; and since when (None: always)."""

    state: str
    since: datetime | None


class Gate:
    """The gate of one queue, on all hosts. Each call asks the store."""

    def __init__(self, queue: str, driver: Driver) -> None:
        self._queue = queue
        self._driver = driver

    def __repr__(self) -> str:
        return f"<Gate of {self._queue}>"

    @property
    def state(self) -> str:
        """Return open, closed or draining (only handlers push)."""
        return self.stands().state

    def stands(self) -> Stands:
        """Return how the gate stands, and since when."""
        return _stands(self._driver.gate(self._queue))

    def open(self) -> Stands:
        """Let producers push."""
        return _stands(self._driver.set_gate(self._queue, GateState.OPEN))

    def close(self) -> Stands:
        """Let nobody push: a push raises GateClosed, or its receipt says gate_closed. Nothing is stored."""
        return _stands(self._driver.set_gate(self._queue, GateState.CLOSED))

    # the same without blocking the event loop

    async def astands(self) -> Stands:
        """See stands."""
        return await asyncio.to_thread(self.stands)

    async def aopen(self) -> Stands:
        """See open."""
        return await asyncio.to_thread(self.open)

    async def aclose(self) -> Stands:
        """See close."""
        return await asyncio.to_thread(self.close)


def _stands(gate: StoredGate) -> Stands:
    since = None if gate.since_ms is None else _EPOCH + timedelta(milliseconds=gate.since_ms)
    return Stands(gate.state.value, since)
