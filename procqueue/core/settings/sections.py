"""Tables of the documents read against the tables of keys, with every problem collected on the way.

A `Section` is one such table: its values, and where each was written. Nothing here stops at the first
problem; decode.py raises them all together at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from procqueue.core.errors import Problem
from procqueue.core.settings.documents import Document
from procqueue.core.settings.expand import expand
from procqueue.core.settings.keys import Keys, home_of
from procqueue.core.settings.positions import Path
from procqueue.core.settings.wrong import LATER, nearest, wrongs_of
from procqueue.core.units import shown


@dataclass(frozen=True, slots=True)
class Section:
    """One table of one document: `values` holds what could be read, `written` names all that was there."""

    document: Document
    path: Path
    values: dict[str, Any] = field(default_factory=dict)
    written: frozenset[str] = frozenset()

    def unreadable(self, key: str) -> bool:
        """Whether `key` is written, and a problem of it was told already."""
        return key in self.written and key not in self.values


@dataclass(slots=True)
class Reading:
    """One pass over the documents: what expands references, and what was found wrong so far."""

    environ: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def wrong(self, document: Document, path: Path, text: str, hint: str = "") -> None:
        """Notes a problem that makes the configuration unusable."""
        self.problems.append(document.problem(path, text, hint))

    def refuse(self, document: Document, path: Path, error: ValueError) -> None:
        """Notes everything that the parser of the value at `path` said against it."""
        for wrong in wrongs_of(error):
            self.wrong(document, (*path, wrong.below) if wrong.below else path, wrong.text, wrong.hint)

    def warn(self, document: Document, path: Path, text: str, hint: str = "") -> None:
        """Notes what is allowed and probably not meant."""
        self.warnings.append(document.problem(path, text, hint))

    def attempt(self, document: Document, path: Path, read: Callable[[], Any], otherwise: Any = None) -> Any:
        """What `read` returns; if it refuses, the problem is noted and `otherwise` returned."""
        try:
            return read()
        except ValueError as error:
            self.refuse(document, path, error)
            return otherwise

    def section(
        self, document: Document, path: Path, keys: Keys, *, aside: frozenset[str] = frozenset()
    ) -> Section:
        """The table at `path`, read by `keys`; names in `aside` are left to others."""
        table = self.table(document, path)
        values: dict[str, Any] = {}
        for name, value in table.items():
            here = (*path, name)
            if name in aside:
                continue
            if name not in keys:
                self.wrong(document, here, "unknown key", _unknown_hint(here, value, aside.union(keys)))
            elif (reader := keys[name].read) is None:
                self.wrong(document, here, LATER, "take it out")
            else:
                try:
                    values[name] = reader(expand(value, self.environ) if keys[name].expands else value)
                except ValueError as error:
                    self.refuse(document, here, error)
        return Section(document, path, values, frozenset(table))

    def table(self, document: Document, path: Path) -> dict[str, Any]:
        """The table at `path`, empty if there is none; anything else in its place is a problem."""
        value: Any = document.tree
        for depth, part in enumerate(path):
            value = value.get(part, {})
            if not isinstance(value, dict):
                hint = f"begin it with [{'.'.join(path)}]"
                problem = document.problem(path[: depth + 1], f"must be a table, not {shown(value)}", hint)
                if problem not in self.problems:  # several readers pass here
                    self.problems.append(problem)
                return {}
        return dict(value)


def _unknown_hint(path: Path, value: object, known: frozenset[str]) -> str:
    name = path[-1]
    near = home_of(name) or nearest(name, sorted(known))
    if not near and len(path) == 1 and isinstance(value, dict):
        return f"for a queue write [queues.{name}]"
    return near
