"""What people and the scheduler ask of a queue at Redis beside the way of its messages.

Implements drivers/upkeep.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from procqueue.core.message import State
from procqueue.drivers.contract import MAX_ENTRIES, OPEN_GATE, Gate, GateState
from procqueue.drivers.upkeep import RestartMark, Tick, Ticked

#: So many messages are cancelled in one step.
_AT_ONCE = 10

#: What push_tick.lua answers.
_TICKED = (Ticked.KNOWN, Ticked.DONE, Ticked.SKIPPED, Ticked.DUPLICATE, Ticked.CLOSED)


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

    def set_gate(self, queue: str, state: GateState) -> Gate:
        """Let producers push, or not, from now on."""
        return Gate(state, self._run("set_gate", queue, (state.value, "")))

    def turn_gate(self, queue: str, was: GateState, state: GateState) -> bool:
        """Turn the gate if it stands at `was`; True if it did."""
        return bool(self._run("set_gate", queue, (state.value, was.value)) != -1)

    def gate(self, queue: str) -> Gate:
        """Return how the gate stands."""
        found = self._run("gate", queue)
        return Gate(GateState(str(found[0], "ascii")), found[1]) if found else OPEN_GATE

    def mark_restart(self, queue: str) -> RestartMark:
        """Ask all hosts that serve the queue now to restart its consumers."""
        return RestartMark(*self._run("mark_restart", queue))

    def restart_mark(self, queue: str) -> RestartMark | None:
        """Return the last mark, None if there was none."""
        found = self._run("restart_mark", queue)
        return RestartMark(*found) if found else None

    def push_tick(self, queue: str, cron: str, tick: Tick, body: bytes | None, *, alone: bool) -> Ticked:
        """Store the message of a tick that is newer than the last of that cron, and note the tick."""
        message = () if body is None else (tick.id, body)
        args = (cron, tick.ms, tick.schedule, int(alone), *message)
        return _TICKED[self._run("push_tick", queue, args, pushing=body is not None)]

    def ticks(self, queue: str) -> dict[str, Tick]:
        """Return how far each cron has come."""
        found = iter(self._run("ticks", queue))
        return {str(name, "utf-8"): _tick(value) for name, value in zip(found, found, strict=True)}

    def cancel(self, queue: str, headers: Mapping[str, bytes]) -> Mapping[str, State | None]:
        """Remove what waits or is delayed, mark what is reserved; answer the state each had."""
        states: dict[str, State | None] = {}
        todo = list(headers.items())
        for start in range(0, len(todo), _AT_ONCE):  # it walks the waiting ids for each
            some = todo[start : start + _AT_ONCE]
            args = [part for one in some for part in one]
            answers = self._run("cancel", queue, args)
            states |= {
                id: answer and State(str(answer, "ascii"))
                for (id, _), answer in zip(some, answers, strict=True)
            }
        return states

    def cancelling(self, queue: str) -> frozenset[str]:
        """Return the reserved messages that were cancelled."""
        return frozenset(str(id, "utf-8") for id in self._run("cancelling", queue))

    def trim(self, queue: str, state: State, count: int, age_ms: int) -> int:
        """Drop the oldest of `state` beyond `count`, and those older than `age_ms`; return how many."""
        if state not in (State.FAILED, State.TIMEOUT):
            raise ValueError(f"only failed and timeout are kept for a time, not {state.value!r}")
        return int(self._run("trim", queue, (state.value, count, age_ms, MAX_ENTRIES)))


def _tick(value: bytes) -> Tick:
    ms, id, schedule = str(value, "utf-8").split(" ", 2)
    return Tick(int(ms), schedule, id if id != "-" else "")
