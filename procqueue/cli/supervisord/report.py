"""What became of each key: lines with a mark, in the order of the file, and the errors that end it all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from procqueue.cli.supervisord.reader import Place
from procqueue.core.errors import Problem


class Mark(StrEnum):
    """How a key came over."""

    SAME = "="
    CHANGED = "~"
    NOT_NEEDED = "–"
    IMPOSSIBLE = "✗"
    FINDING = "!"


MEANINGS = {
    Mark.SAME: "means the same",
    Mark.CHANGED: "comes close; the line says how it differs",
    Mark.NOT_NEEDED: "not needed here",
    Mark.IMPOSSIBLE: "cannot be translated; the line says what to do",
    Mark.FINDING: "what Supervisor itself drops, merges or ignores without a word",
}


class Line(NamedTuple):
    """One line of the report. `key` is empty for a whole section."""

    mark: Mark
    place: Place
    section: str
    key: str
    text: str

    def __str__(self) -> str:
        section = f"[{self.section}] " if self.section else ""
        what = f"{section}{self.key}".strip()
        return f"{self.mark} {self.place}  {what}{': ' if what else ''}{self.text}"

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "mark": str(self.mark), "file": self.place.file, "line": self.place.line, "section": self.section,
            "key": self.key, "text": self.text,
        }  # fmt: skip


@dataclass(slots=True)
class Report:
    """All lines so far, and what Supervisor would refuse."""

    lines: list[Line] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def add(self, mark: Mark, place: Place, section: str, key: str, text: str) -> None:
        """Add a line."""
        self.lines.append(Line(mark, place, section, key, text))

    def refuse(self, place: Place, section: str, key: str, text: str) -> None:
        """Add something for which Supervisor refuses the whole file."""
        where = f"[{section}] {key}".strip()
        problem = Problem(place.file, place.line, where, text, "Supervisor refuses this, too")
        if problem not in self.problems:
            self.problems.append(problem)

    def in_order(self, files: Iterable[str]) -> list[Line]:
        """The lines as the files stand; what has no line of its own comes where its section begins."""
        order = {name: at for at, name in enumerate(dict.fromkeys(files))}
        return sorted(self.lines, key=lambda one: (order.get(one.place.file, len(order)), one.place.line))
