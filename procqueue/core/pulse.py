"""The pulse of a pool: what its deaths and refused forks say about its next start (law S10). No clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: So many uncaused deaths within so many seconds are a problem worth an exit code.
LOOP_DEATHS, LOOP_WINDOW = 5, 60.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """What failed starts say about the next. One that began before a failure belongs to the same round."""

    rounds: int = 0
    failed_at: float = float("-inf")
    not_before: float = float("-inf")


CALM = Backoff()


def after_failure(backoff: Backoff, began: float, at: float, delay_max: float, draw: float) -> Backoff:
    """Return the back-off after a start that began at `began` and failed at `at`.

    The delay doubles from 1 s to `delay_max`; `draw` in [0, 1) spreads the restarts of many.
    """
    # Ten consumers that fail together failed once: the delay grows with the rounds, not with the consumers.
    rounds = backoff.rounds + 1 if began > backoff.failed_at else max(backoff.rounds, 1)
    delay = min(2.0 ** min(rounds - 1, 30), delay_max) * (1 + 0.2 * draw)
    return Backoff(rounds, at, max(backoff.not_before, at + delay))


@dataclass(frozen=True, slots=True)
class Pulse:
    """What deaths and refused forks of a pool say about its next start.

    Each generation has its own back-off: broken new code must not delay the replacement of the old, nor the
    repaired code wait for the broken.
    """

    starts: Mapping[int, Backoff] = field(default_factory=dict)  # generation → its children that never stood
    forks: Backoff = CALM
    deaths: tuple[float, ...] = ()  # uncaused ones of the last LOOP_WINDOW seconds

    def start_at(self, generation: int) -> float:
        """Return the moment from which a child of this generation may be started."""
        return max(self.forks.not_before, self.starts.get(generation, CALM).not_before)

    def rounds(self, generation: int) -> int:
        """Return how many starts of this generation failed one after the other."""
        return self.starts.get(generation, CALM).rounds

    def loops(self, now: float) -> bool:
        """True if the pool's children die too often to be called healthy."""
        return sum(now - at < LOOP_WINDOW for at in self.deaths) >= LOOP_DEATHS
