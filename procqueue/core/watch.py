"""The watch: who is dead because it beats no more, judged by the observer's own wake-ups (law D6).

An observer feeds it each time it wakes: its own moment, the beats it read, which server told them. No two
clocks are compared: what counts is how often *we* were awake and found a beat where it was. Whatever makes us
unsure (a gap in our own wake-ups, an error, another server) makes us begin again, so that an observer that
slept, or a store that was away, kills nobody. Nothing here reads a clock.
Used for hosts (process/hosts.py) and for the scheduler of this host (process/lookout.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

#: A host beats, and looks at the others, so often in its host_timeout.
BEATS_PER_TIMEOUT = 15

#: A scheduler whose beat word stands still for so long is replaced …
_SCHEDULER_PATIENCE = 5.0
#: … and in any case well before other hosts call its host dead: there have to be two such waits left.
_SCHEDULER_SHARE = 3


def beat_interval(host_timeout: float) -> float:
    """Return the seconds between two beats of a host."""
    return host_timeout / BEATS_PER_TIMEOUT


def scheduler_patience(host_timeout: float) -> float:
    """Return the seconds after which a scheduler that shows no beat is replaced."""
    return min(_SCHEDULER_PATIENCE, host_timeout / _SCHEDULER_SHARE)


@dataclass(slots=True)
class _Seen:
    """The last beat of one of the watched, since when it stands, and at how many wake-ups it did."""

    beat: int
    since: float
    still: int = 0


class Watch:
    """One observer. `interval`: how often it means to wake; `timeout`: how much silence is death; seconds."""

    def __init__(self, interval: float, timeout: float) -> None:
        self._gap = 2 * interval
        self._enough = math.ceil(round(timeout / interval, 6))
        self._timeout = timeout
        self._seen: dict[str, _Seen] = {}
        self._woke = -math.inf
        self._server = ""

    def saw(self, now: float, beats: Mapping[str, int], server: str = "") -> list[str]:
        """Note what was read at one wake-up; return who is dead.

        `now`: the observer's own monotonic moment, *after* it has read. Who is not in `beats` is forgotten.
        """
        if now - self._woke > self._gap or server != self._server:
            self._seen.clear()
        self._woke, self._server = now, server
        self._seen = {who: self._noted(who, beat, now) for who, beat in beats.items()}
        return sorted(who for who, seen in self._seen.items() if self._is_dead(seen, now))

    def failed(self) -> None:
        """Note that nothing could be read: whatever happened meanwhile, nobody saw it."""
        self._woke = -math.inf

    def _noted(self, who: str, beat: int, now: float) -> _Seen:
        seen = self._seen.get(who)
        if seen is None or seen.beat != beat:
            return _Seen(beat, now)
        seen.still += 1
        return seen

    def _is_dead(self, seen: _Seen, now: float) -> bool:
        # Both: few long naps must not make a death, and neither must many wake-ups in a short time.
        return seen.still >= self._enough and now - seen.since >= self._timeout
