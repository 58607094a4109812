"""A target that cannot be written to: told once, its lines counted, tried again each second.

A child is never held up by a disk that is full: its lines are dropped for that target only. The first line
that can be written again says how many are missing.
"""

from __future__ import annotations

from collections.abc import Callable

#: Seconds between two tries.
RETRY = 1.0
#: Seconds without a failure after which it is over: a disk that is nearly full takes a short line at times.
SETTLED = 3.0

#: What is told: "problem" or "solved", the target, the reason, how many lines are missing.
Tell = Callable[[str, str, str, int], None]


class Trouble:
    """The trouble that one target has, or not. `missing`: lines that the target does not know of yet."""

    def __init__(self, target: str, tell: Tell) -> None:
        self._target = target
        self._tell = tell
        self._reason = ""
        self._told = False
        self._failed_at = 0.0
        self._retry_at = float("inf")
        self._lost = 0
        self.missing = 0

    @property
    def due(self) -> float:
        """Return when to try again; infinity if there is no trouble."""
        return self._retry_at

    def forbids(self, now: float) -> bool:
        """True while it is too early to try again."""
        return self._told and now < self._failed_at + RETRY

    def failed(self, error: OSError, lines: int, now: float) -> None:
        """Take note that `lines` could not be written."""
        self.drop(lines)
        self._failed_at = now
        self._retry_at = now + RETRY
        reason = error.strerror or str(error)
        if not self._told or reason != self._reason:
            self._told = True
            self._reason = reason
            self._tell("problem", self._target, reason, self._lost)

    def drop(self, lines: int) -> None:
        """Take note of lines that were not even tried."""
        self.missing += lines
        self._lost += lines

    def notice(self) -> str:
        """Return what to write where lines are missing; "" if none are."""
        if not self.missing:
            return ""
        noun = "line is" if self.missing == 1 else "lines are"
        return f"{self.missing} {noun} missing here: {self._reason}"

    def worked(self, now: float) -> None:
        """Take note that it could be written to, and that the notice was written too."""
        self.missing = 0
        if not self._told:
            return
        self._retry_at = now + RETRY
        if now >= self._failed_at + SETTLED:
            self._told = False
            self._retry_at = float("inf")
            self._tell("solved", self._target, self._reason, self._lost)
            self._lost = 0
