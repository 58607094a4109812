"""One section of a supervisord.conf at work: its values, parsed or with marks, and what is said of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from procqueue.cli.supervisord.expand import Differs, Names, Unexpandable, has_marks, written
from procqueue.cli.supervisord.reader import Option, Place
from procqueue.cli.supervisord.report import Mark, Report

T = TypeVar("T")


@dataclass(slots=True)
class Section:
    """`name` as it stands in the brackets."""

    name: str
    place: Place
    options: Mapping[str, Option]
    names: Names
    report: Report
    used: set[str] = field(default_factory=set)

    def says(self, key: str) -> bool:
        """True if the key stands there."""
        return key in self.options

    def marked(self, key: str, default: str = "") -> str:
        """The text of a key, with marks. Differs passes; what Supervisor refuses gives the default."""
        found = self._expanded(key)
        return default if found is None else found

    def _expanded(self, key: str) -> str | None:
        self.used.add(key)
        if key not in self.options:
            return None
        try:
            return self.names.expand(self.options[key].value)
        except Unexpandable as error:
            self.refuse(key, str(error))
            return None

    def typed(self, key: str, parse: Callable[[str], T], default: T) -> T:
        """The value of a key by Supervisor's own rules; what the environment gives has the value of today."""
        before = set(self.names.unset)
        self.names.unset.clear()
        text = self._expanded(key)
        missing = sorted(self.names.unset)
        self.names.unset |= before
        if text is None:
            return default
        if has_marks(text):
            if missing:
                self.say(Mark.IMPOSSIBLE, key, f"{missing[0]} is not set here: the default stands instead")
                return default
            self.say(Mark.CHANGED, key, "the environment's value of today is written")
        try:
            return parse(self.names.folded(text))
        except ValueError as error:
            self.refuse(key, str(error))
            return default

    def written(self, key: str, text: str) -> str:
        """`text` as our file says it; what it cannot say has the value of today."""
        try:
            return written(text)
        except Unexpandable:
            if "\0index\0" in text and len(self.names.indices) > 1:
                raise Differs from None
            self.say(Mark.CHANGED, key, "the environment's value of today is written")
            return written(self.names.folded(text))

    def say(self, mark: Mark, key: str, text: str) -> None:
        """Add a line about a key."""
        self.used.add(key)
        self.report.add(
            mark, self.options[key].place if key in self.options else self.place, self.name, key, text
        )

    def refuse(self, key: str, text: str) -> None:
        """Add a mistake that Supervisor would not take either."""
        self.used.add(key)
        place = self.options[key].place if key in self.options else self.place
        self.report.refuse(place, self.name, key, text)

    def say_unknown(self, defaults: Mapping[str, Option]) -> None:
        """Say which keys nobody has looked at."""
        for key in self.options:
            if key not in self.used and key not in defaults:
                self.say(Mark.FINDING, key, "unknown to Supervisor, which ignores it")
