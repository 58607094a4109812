"""The vigil: was a process away though it meant to be awake? Its own wake-ups tell, and no wall clock.

Who was stopped, frozen with its container, suspended with its machine or starved of the processor saw nothing
meanwhile, and perhaps nobody could answer it. So it has to look again before it ends anybody for being late.
Nothing here reads a clock. Used by the master (process/absences.py) and the undertaker.
"""

from __future__ import annotations

from dataclasses import dataclass

#: So many seconds after it had meant to wake, a process counts as away.
LATE = 5.0
#: A machine that was suspended for longer is worth a word.
SUSPENDED = 1.0


@dataclass(frozen=True, slots=True)
class Absence:
    """It was away. `seconds`: how long, for people; `suspended`: the whole machine slept.

    `blind`: the monotonic seconds since it last looked. Put off by so much, a deadline leaves what was left
    of it at that look. A suspended machine's monotonic clock stands still, so deadlines need nothing.
    """

    seconds: float
    blind: float
    suspended: bool


class Vigil:
    """One process. `now` and `boot` are CLOCK_MONOTONIC and CLOCK_BOOTTIME, in seconds."""

    def __init__(self, now: float, boot: float) -> None:
        self._looked = now
        self._offset = boot - now

    def looked(self, now: float, boot: float, due: float = float("-inf")) -> Absence | None:
        """Note that it looks; return how it was away since the last time, None if it was there.

        `due`: when it had meant to look, if it has slept on purpose.
        """
        late = max(0.0, now - max(due, self._looked))
        blind = now - self._looked
        slept = boot - now - self._offset
        self._looked, self._offset = now, boot - now
        if slept <= SUSPENDED and late <= LATE:
            return None
        is_late = late > LATE
        return Absence(
            max(0.0, slept) + (late if is_late else 0.0), blind if is_late else 0.0, slept > SUSPENDED
        )
