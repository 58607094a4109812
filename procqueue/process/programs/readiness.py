"""When a program is ready, and when it is no longer healthy: what its lines and its answers mean. Pure.

`ready = "time"` is a timer of the plan, "notify" is notify.py, "tcp" and "http" are probes.py; lines pass
through the logger, which asks a `LineTap`. a `Streak` counts the answers of a program that was ready.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


class LineTap:
    """Waits for the line by which one copy of a program says that it is ready (`ready = "line:REGEX"`)."""

    def __init__(self, pattern: str) -> None:
        """Raises re.error if the pattern is none."""
        self._pattern = re.compile(pattern)
        self._done = False

    def hear(self, line: str) -> bool:
        """Take a line of stdout, without its end; True at the first in which the pattern is found, only."""
        if self._done or not self._pattern.search(line):
            return False
        self._done = True
        return True


@dataclass(frozen=True, slots=True)
class Streak:
    """How often a program that was ready has failed to answer, in a row."""

    failures: int  # so many in a row, and it is unhealthy
    in_a_row: int = 0
    why: str = ""  # the last bad answer

    def after(self, answer: str) -> Streak:
        """Return it after one more answer: "" is a good one, else the reason."""
        return Streak(self.failures, self.in_a_row + 1 if answer else 0, answer)

    @property
    def unhealthy(self) -> bool:
        """True if the program has to be restarted."""
        return self.in_a_row >= self.failures
