"""When a consumer has done enough: max_messages, max_age, max_memory. It asks for a successor before."""

from __future__ import annotations

import os
import time

from procqueue.core.events import Reason
from procqueue.core.settings.model import QueueSettings

#: From this share of max_messages or max_age on, the successor is asked for.
_ASK_AT = 0.9
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Limits:
    """The limits of one consumer, spread by `jitter` so that not all of a queue leave at once.

    `draw`: a random number in [0, 1).
    """

    def __init__(self, queue: QueueSettings, draw: float) -> None:
        spread = 1 + queue.jitter * (2 * draw - 1)
        self._most = max(1, round(queue.max_messages * spread)) if queue.max_messages else 0
        self._until = time.monotonic() + queue.max_age * spread if queue.max_age else 0.0
        self._ask_until = self._until - queue.max_age * spread * (1 - _ASK_AT)
        self._memory = queue.max_memory
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC) if queue.max_memory else -1
        self.handled = 0
        self.is_set = bool(self._most or self._until or self._memory)

    def room(self, begun: int) -> int:
        """Return how many messages may still be taken in, while so many are begun."""
        return max(0, self._most - self.handled - begun) if self._most else 1 << 30

    def seconds_left(self) -> float:
        """Return the time until the age says something new."""
        if not self._until:
            return float("inf")
        now = time.monotonic()
        return max(0.0, (self._ask_until if now < self._ask_until else self._until) - now)

    def nearly(self) -> Reason | None:
        """Return the limit that is close enough to ask for a successor."""
        if self._most and self.handled >= self._most * _ASK_AT:
            return Reason.MAX_MESSAGES
        if self._until and time.monotonic() >= self._ask_until:
            return Reason.MAX_AGE
        return None

    def reached(self) -> Reason | None:
        """Return the limit that is reached: nothing more may be taken in."""
        if self._most and self.handled >= self._most:
            return Reason.MAX_MESSAGES
        if self._until and time.monotonic() >= self._until:
            return Reason.MAX_AGE
        return None

    def over_memory(self) -> bool:
        """True if the resident memory is above max_memory; asked after each message."""
        if self._statm < 0:
            return False
        return int(os.pread(self._statm, 64, 0).split()[1]) * _PAGE > self._memory
