"""The sync driver: runs the task inside push, through the same encoding and policy, and stores nothing.

Laws D2, D11 and D12 hold as everywhere. A run that ends badly is tried again at once: what the policy would
have waited is recorded in `pauses`. How a message is run is not known here (drivers import no tasks):
`execute` comes from the producer. A unique key is taken while its message runs (a handler that pushes the
same is told so), or for its time; nothing waits here, so priorities and times to begin in mean nothing.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from procqueue.core.message import NO_COUNTERS, Reservation
from procqueue.core.verdict import Kind, Verdict
from procqueue.drivers.contract import Answer, Entry, Lane, Locked, Pushed

#: A message that has been run so often inside one push is given up: nothing else would end the push.
MAX_RUNS: Final = 1000

#: So many pauses are remembered.
MAX_PAUSES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Ran:
    """One run: what the policy made of it, and what left the handler (never None where it ended badly)."""

    verdict: Verdict
    exception: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """A wait that a store would have kept and this driver did not: the delay of a push, or of a retry."""

    queue: str
    id: str
    ms: int


class SyncDriver:
    """Runs messages where they are pushed. `raises`: what the last run raised leaves push."""

    name = "sync"

    def __init__(self, execute: Callable[[Reservation], Ran], *, raises: bool = True) -> None:
        self._execute = execute
        self._raises = raises
        self._ticket = 0
        self._keys: dict[tuple[str, str], tuple[str, float]] = {}  # by whom, until when (monotonic)
        self.pauses: deque[Pause] = deque(maxlen=MAX_PAUSES)

    def push(
        self,
        queue: str,
        entries: Sequence[Entry],
        lane: Lane | None = None,  # noqa: ARG002  # no answer gets lost here
        *,
        inside: bool = False,  # noqa: ARG002  # there is no gate where nothing is stored
    ) -> list[Answer]:
        """Run `entries` one after the other, each to its end. Raises what their handlers raise in the end."""
        return [self._push(queue, entry) for entry in entries]

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""

    def _push(self, queue: str, entry: Entry) -> Answer:
        traits = entry.traits
        if not traits.unique:
            self._run(queue, entry)
            return Pushed.QUEUED
        key = queue, traits.unique
        holder, until = self._keys.get(key, ("", 0.0))
        if until > time.monotonic():
            return Locked(holder)
        if not traits.until_begun:
            self._keys[key] = (
                entry.id,
                time.monotonic() + traits.until_ms / 1000 if traits.until_ms else math.inf,
            )
        try:
            self._run(queue, entry)
        finally:
            if not traits.until_ms:
                self._keys.pop(key, None)
        return Pushed.QUEUED

    def _run(self, queue: str, entry: Entry) -> None:
        pushed_ms = time.time_ns() // 1_000_000
        delay_ms = entry.delay_ms if entry.at_ms is None else max(0, entry.at_ms - pushed_ms)
        if delay_ms:
            self.pauses.append(Pause(queue, entry.id, delay_ms))
        counters = NO_COUNTERS
        for _ in range(MAX_RUNS):
            reservation = Reservation(queue, entry.id, self._next_ticket(), entry.body, counters, pushed_ms)
            ran = self._execute(reservation)
            if ran.verdict.kind is Kind.ACK:
                return
            if ran.verdict.is_final or isinstance(ran.exception, KeyboardInterrupt):  # Ctrl-C is no attempt
                break
            counters = counters.charged(ran.verdict.charge)
            if ran.verdict.delay_ms:
                self.pauses.append(Pause(queue, entry.id, ran.verdict.delay_ms))
        else:
            text = f"message {entry.id} was run {MAX_RUNS} times and is still not done"
            ran = Ran(ran.verdict, RuntimeError(text))
        if ran.exception is not None and (self._raises or isinstance(ran.exception, KeyboardInterrupt)):
            raise ran.exception

    def _next_ticket(self) -> int:
        self._ticket = max(self._ticket + 1, time.time_ns() // 1000)
        return self._ticket
