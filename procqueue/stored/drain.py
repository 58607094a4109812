"""Draining queues: producers are kept out until all that is stored is handled; handlers push on meanwhile.

The gate stands at `draining` while a drain waits, and goes back to where it stood, however the drain ends:
only kill -9 leaves it. It is turned only from where this drain has seen it, so that neither a second drain
nor a hand that turns it meanwhile is overruled. Next to read: cli/drain.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from procqueue.core.errors import DriverUnavailable, ProcqueueError
from procqueue.core.message import Counts
from procqueue.core.watch import Watch, beat_interval
from procqueue.drivers.contract import Driver, GateState

T = TypeVar("T")

#: Hears what is left in each queue, at each look.
Note = Callable[[Mapping[str, Counts]], object]

#: Between two looks (s): soon at first, for a queue may be empty already.
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Drained:
    """How a drain ended: what was left in each queue, whether that is nothing, how the gates stand now."""

    left: Mapping[str, Counts]
    is_empty: bool
    gates: Mapping[str, str]


class Drain:
    """One drain of some queues. `host_timeout`: after how long a silent host, or store, is given up (s).

    `delayed`: wait for delayed messages too. `keep`: once all is handled, leave the gates closed.
    """

    def __init__(
        self, driver: Driver, queues: Sequence[str], host_timeout: float, *, delayed: bool, keep: bool
    ) -> None:
        self._driver = driver
        self._queues = tuple(dict.fromkeys(queues))
        self._patience = host_timeout
        self._delayed = delayed
        self._keep = keep
        self._before: dict[str, GateState] = {}  # the gates that are ours, and how they stood
        self._hosts = {queue: _Hosts(driver, queue, host_timeout) for queue in self._queues}

    def run(self, timeout: float | None, note: Note) -> Drained:
        """Wait until all is handled, or `timeout` seconds. Raises ProcqueueError, DriverUnavailable.

        Refuses, with unchanged gates, if a queue is paused, served by no living host, or drained already.
        """
        give_up = None if timeout is None else time.monotonic() + timeout
        stood = self._check()
        after = None
        try:
            for queue, gate in stood.items():
                self._shut(queue, gate)
            left, is_empty = self._wait_empty(give_up, note)
            after = GateState.CLOSED if self._keep and is_empty else None
        finally:
            gates = self._turn_back(after)
        return Drained(left, is_empty, gates)

    def _check(self) -> dict[str, GateState]:
        """Refuse what would never end; return how the gates stand."""
        stood = {}
        for queue in self._queues:
            self._refuse_paused(queue)
            stood[queue] = self._driver.gate(queue).state
            if stood[queue] is GateState.DRAINING:
                raise _drained_already(queue)
        for hosts in self._hosts.values():
            hosts.wait_alive()
        return stood

    def _shut(self, queue: str, stood: GateState) -> None:
        self._before[queue] = stood  # first: who is interrupted here turns it back
        if not self._driver.turn_gate(queue, stood, GateState.DRAINING):
            del self._before[queue]
            raise _drained_already(queue)

    def _wait_empty(self, give_up: float | None, note: Note) -> tuple[dict[str, Counts], bool]:
        pause, was_empty = _FIRST_PAUSE, False
        longest = min(_LONGEST_PAUSE, beat_interval(self._patience))
        while True:
            left = {queue: self._patiently(partial(self._look, queue)) for queue in self._queues}
            note(left)
            is_empty = not any(map(self._to_do, left.values()))
            # They are looked at one after the other: what moves from one to another shows at the second look.
            if is_empty and (was_empty or len(left) == 1):
                return left, True
            if give_up is not None and time.monotonic() >= give_up:
                return left, False
            was_empty = is_empty
            until = pause if give_up is None else min(pause, give_up - time.monotonic())
            time.sleep(max(0.0, until))
            pause = min(longest, 2 * pause)

    def _to_do(self, counts: Counts) -> int:
        delayed = counts.delayed if self._delayed else 0
        return counts.waiting + counts.inbox + counts.reserved + delayed

    def _look(self, queue: str) -> Counts:
        """Return what is left, if it is still worth waiting for."""
        counts = self._driver.counts(queue)
        if (state := self._driver.gate(queue).state) is not GateState.DRAINING:
            self._before.pop(queue)  # whoever turned it wants it so
            text = f"the gate of queue {queue!r} was turned to {state} meanwhile: the drain is over"
            raise ProcqueueError(text)
        if self._to_do(counts):
            self._refuse_paused(queue)
            self._hosts[queue].check()
        return counts

    def _refuse_paused(self, queue: str) -> None:
        if self._driver.paused(queue):
            text = f"queue {queue!r} is paused, so it would never be empty: procqueue resume {queue} first"
            raise ProcqueueError(text)

    def _turn_back(self, after: GateState | None) -> dict[str, str]:
        """Turn our gates to `after`, None: to where they stood; return how all stand."""
        stuck = []
        for queue, before in self._before.items():
            try:
                self._patiently(partial(self._driver.turn_gate, queue, GateState.DRAINING, after or before))
            except DriverUnavailable:
                stuck.append(queue)
        if stuck:
            names = " ".join(stuck)
            raise DriverUnavailable(
                f"the store went away, and the gate still drains: procqueue gate open {names} when it is back"
            )
        return {queue: self._driver.gate(queue).state.value for queue in self._queues}

    def _patiently(self, ask: Callable[[], T]) -> T:
        """Ask again while the store is away, as long as a host may be silent."""
        give_up = time.monotonic() + self._patience
        while True:
            try:
                return ask()
            except DriverUnavailable:
                if time.monotonic() >= give_up:
                    raise
                time.sleep(_LONGEST_PAUSE)


class _Hosts:
    """The hosts of one queue: is there one that beats, and has a consumer?"""

    def __init__(self, driver: Driver, queue: str, host_timeout: float) -> None:
        self._driver = driver
        self._queue = queue
        self._timeout = host_timeout
        self._interval = beat_interval(host_timeout)
        self._watch = Watch(self._interval, host_timeout)
        self._served_at = time.monotonic()

    def wait_alive(self) -> None:
        """Return as soon as one beats: within two beats. Raises ProcqueueError if none does."""
        give_up = time.monotonic() + 2 * self._interval
        first = self._serving()
        while first.items() <= self._serving().items():
            if not first or time.monotonic() >= give_up:
                raise _nobody(self._queue)
            time.sleep(self._interval / 10)

    def check(self) -> None:
        """Raise ProcqueueError if all have been silent, or without a consumer, for host_timeout."""
        serving = self._serving()
        now = time.monotonic()
        if set(serving) - set(self._watch.saw(now, serving)):
            self._served_at = now
        elif serving or now - self._served_at > self._timeout:
            raise _nobody(self._queue)

    def _serving(self) -> dict[str, int]:
        beats = self._driver.beats(self._queue).hosts
        return {one.host: one.value for one in beats if self._driver.consumers(self._queue, one.host)}


def _nobody(queue: str) -> ProcqueueError:
    return ProcqueueError(
        f"queue {queue!r} is served by no living host, so it would never be empty: procqueue start runs its "
        "consumers, procqueue hosts shows who is silent"
    )


def _drained_already(queue: str) -> ProcqueueError:
    return ProcqueueError(
        f"queue {queue!r} is drained already, or its gate was turned just now; if that drain was killed, "
        f"procqueue gate open {queue} ends it"
    )
