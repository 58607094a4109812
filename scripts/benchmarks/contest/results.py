"""What was measured, by measure, contestant and round; and the medians and ratios of it."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass, field

from contest.field import OURS
from contest.measures import Figures


@dataclass(slots=True)
class Results:
    """`out`: who does not run at all, and why. A round without figures is one that failed."""

    yardsticks: list[float]
    out: dict[str, str] = field(default_factory=dict)
    why: dict[tuple[str, str], str] = field(default_factory=dict)
    _rounds: dict[tuple[str, str], list[Figures]] = field(default_factory=lambda: defaultdict(list))

    def add(self, measure: str, name: str, figures: Figures) -> None:
        """Keep one round's."""
        self._rounds[measure, name].append(figures)

    def fail(self, measure: str, name: str, why: str) -> None:
        """Keep that a round failed; others may stand."""
        self._rounds[measure, name].append({})
        self.why[measure, name] = why

    def figures(self, measure: str, name: str) -> list[Figures]:
        """Return those of all rounds."""
        return self._rounds.get((measure, name), [])

    def values(self, measure: str, name: str, figure: str) -> list[float]:
        """Return one figure of all rounds that have it."""
        return [one[figure] for one in self.figures(measure, name) if figure in one]

    def median(self, measure: str, name: str, figure: str) -> float | None:
        """Return its median, or None if there is none."""
        values = self.values(measure, name, figure)
        return statistics.median(values) if values else None

    def ratio(self, measure: str, name: str, figure: str) -> float | None:
        """Return it as a multiple of procqueue's in the same round: the median of that over the rounds."""
        pairs = zip(self.figures(measure, name), self.figures(measure, OURS), strict=False)
        ratios = [one[figure] / ours[figure] for one, ours in pairs if one.get(figure) and ours.get(figure)]
        return statistics.median(ratios) if ratios and name != OURS else None
