"""What `work --once` and `work --burst` change: the consumer ends by itself, and says if a run ended badly.

An ordinary consumer has no Stint and asks none of this.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from procqueue.core.message import Charge, Reservation
from procqueue.core.verdict import Settlement
from procqueue.drivers.contract import Driver
from procqueue.process.registration import split_name

#: An idle consumer looks so often whether others are done with what it might have to run.
_LOOK_EVERY = 0.1


@dataclass(frozen=True, slots=True)
class Burst:
    """How much there is to do: one message, or all there are. `wait`: seconds to wait for the first."""

    once: bool
    wait: float = 0.0


class Stint:
    """One consumer's share of a burst."""

    def __init__(self, burst: Burst, consumer: str, host: str) -> None:
        self._once = burst.once
        self._until = time.monotonic() + burst.wait
        self._consumer = consumer
        self._host = host
        self._handled = 0

    @property
    def over(self) -> bool:
        """True if nothing more may be taken, whatever there is."""
        return self._once and self._handled > 0

    def room(self, room: int, begun: int) -> int:
        """Return how many messages may be taken in, of `room`, while so many are begun."""
        return min(room, 0 if self.over or begun else 1) if self._once else room

    def note(self, reservation: Reservation, settlement: Settlement) -> bool:
        """Count a run; False if it ended badly."""
        if reservation.is_notice:
            return True
        self._handled += 1
        return not settlement.verdict.is_final and settlement.verdict.charge is not Charge.ATTEMPT

    def is_empty(self, driver: Driver, queues: Sequence[str]) -> bool:
        """True if nothing waits, is due, or is owned by this host, and it is not worth to wait for more."""
        if self._handled == 0 and time.monotonic() < self._until:
            return False
        return not any(self._has_something(driver, queue) for queue in queues)

    def seconds_left(self) -> float:
        """Return how long an idle wait may take."""
        left = self._until - time.monotonic()
        return left if self._handled == 0 and left > 0 else _LOOK_EVERY

    def _has_something(self, driver: Driver, queue: str) -> bool:
        if driver.promote(queue).moved:
            return True
        counts = driver.counts(queue)
        if (counts.waiting and not driver.paused(queue)) or counts.inbox:
            return True
        # A predecessor that is finishing, or one that died and is not reclaimed yet.
        others = (n for n in driver.consumers(queue, self._host) if split_name(n)[0] != self._consumer)
        return any(driver.owned(queue, one) for one in others)
