"""What people and the scheduler ask of a queue at Redis beside the way of its messages (contract.Upkeep)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from procqueue.core.message import State
from procqueue.drivers.contract import MAX_ENTRIES


class Upkeep(Protocol):
    """A part of RedisDriver: its verbs are scripts like all others."""

    def _run(
        self,
        verb: str,
        queue: str,
        args: Sequence[str | bytes | int] = (),
        consumer: str | None = None,
        *,
        more_keys: Sequence[str] = (),
        pushing: bool = False,
    ) -> Any: ...

    def trim(self, queue: str, state: State, count: int, age_ms: int) -> int:
        """Drop the oldest of `state` beyond `count`, and those older than `age_ms`; return how many."""
        if state not in (State.FAILED, State.TIMEOUT):
            raise ValueError(f"only failed and timeout are kept for a time, not {state.value!r}")
        return int(self._run("trim", queue, (state.value, count, age_ms, MAX_ENTRIES)))
