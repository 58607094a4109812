"""Whether this process was there all the time, by the clocks of this machine (core/vigil.py)."""

from __future__ import annotations

import time

from procqueue.core.vigil import Absence, Vigil


class Presence:
    """The presence of one process."""

    def __init__(self) -> None:
        self._vigil = Vigil(time.monotonic(), _boot())

    def look(self, due: float = float("-inf")) -> tuple[float, Absence | None]:
        """Return the moment (monotonic), and how this process was away; `due`: see Vigil."""
        now = time.monotonic()
        return now, self._vigil.looked(now, _boot(), due)


def _boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
