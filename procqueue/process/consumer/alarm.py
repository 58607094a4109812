"""The soft timeouts' timer: SIGALRM for what runs, and no system call for messages that are quick.

Messages of a batch that end at once leave the timer as the first of them set it: it fires a little early for
the later ones, and whoever hears it looks at the clock, and sets it again for what is left.
"""

from __future__ import annotations

import math
import signal
import time

#: The timer is left alone while it is early by no more than so many seconds: no handler is interrupted
#: sooner before its time is over.
_EARLY = 0.01
#: We may have been off the CPU for so many seconds between a look at the clock and one at the timer.
_PAUSED = 1.0


class Alarm:
    """One timer for all that runs: it is set for the one whose time is over first."""

    def __init__(self) -> None:
        self._due = math.inf  # when the time of what runs is over
        self._fires = math.inf  # when the timer fires

    def until(self, due: float) -> None:
        """Give what runs until a monotonic moment, which may have passed; infinite: as long as it wants."""
        if due == math.inf:
            self._due = math.inf
            if self._fires != math.inf:
                self.off()
            return
        self._due = due
        if not due - _EARLY <= self._fires <= due:
            self._arm(max(1e-6, due - time.monotonic()))

    def rest(self) -> None:
        """Note that nothing runs now. The timer may go on: it is for nobody."""
        self._due = math.inf

    def off(self) -> bool:
        """Stop the timer; False if somebody else had set it meanwhile."""
        self._due = math.inf
        wanted, self._fires = self._fires, math.inf
        left, every = signal.setitimer(signal.ITIMER_REAL, 0)
        if wanted == math.inf:
            return left == every == 0
        return every == 0 and left > 0 and abs(time.monotonic() + left - wanted) < _PAUSED

    def is_due(self) -> bool:
        """Return, when the timer has fired, whether the time of what runs is over; else set it again."""
        self._fires = math.inf
        left = self._due - time.monotonic()
        if left <= 0:
            return True
        if left != math.inf:
            self._arm(left)
        return False

    def _arm(self, seconds: float) -> None:
        # In this order, because `is_due` may come from a signal handler in the middle of it.
        self._fires = time.monotonic() + seconds
        signal.setitimer(signal.ITIMER_REAL, seconds)
