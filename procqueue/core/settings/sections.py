"""Tables of the documents read against the tables of keys, with every problem collected on the way.

A `Section` is one such table: its values, and where each was written. Nothing here stops at the first
problem; decode.py raises them all together at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from procqueue.core.errors import Problem
from procqueue.core.settings.documents import Document, dotted
from procqueue.core.settings.environment import INDEX
from procqueue.core.settings.expand import expand
from procqueue.core.settings.keys import Key, Keys, home_of
from procqueue.core.settings.positions import Origin, Path
from procqueue.core.settings.wrong import LATER, Wrong, nearest, wrongs_of
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

    def origins(self) -> dict[str, Origin]:
        """Where each value was written."""
        table = dotted(self.path)
        return {
            key: Origin(self.document.name, self.document.line((*self.path, key)), table)
            for key in self.values
        }


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
        self,
        document: Document,
        path: Path,
        keys: Keys,
        *,
        aside: frozenset[str] = frozenset(),
        names: Callable[[dict[str, Any]], dict[str, str]] | None = None,
    ) -> Section:
        """The table at `path`, read by `keys`; names in `aside` are left to others.

        `names` takes the values of the other keys, and says what ${name} and the like stand for in those that
        are `named`.
        """
        table = self.table(document, path)
        values: dict[str, Any] = {}
        for name, value in table.items():
            if name not in keys and name not in aside:
                here = (*path, name)
                self.wrong(document, here, "unknown key", _unknown_hint(here, value, aside.union(keys)))
        known = [keys[name] for name in table if name in keys and name not in aside]
        for key in sorted(known, key=lambda key: key.named):
            environ = {**self.environ, **names(values)} if key.named and names else self.environ
            try:
                values[key.name] = _value(key, table[key.name], environ)
            except ValueError as error:
                self.refuse(document, (*path, key.name), error)
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


def _value(key: Key, written: Any, environ: Mapping[str, str]) -> Any:
    if key.read is None:
        raise Wrong(LATER, "take it out")
    if key.named and _holds(written, INDEX):
        raise Wrong("holds a NUL character")
    value = key.split(written) if key.split else written
    return key.read(expand(value, environ) if key.expands else value)


def _holds(written: Any, mark: str) -> bool:
    match written:
        case str():
            return mark in written
        case list():
            return any(_holds(item, mark) for item in written)
        case dict():
            return any(mark in key or _holds(item, mark) for key, item in written.items())
        case _:
            return False


def _unknown_hint(path: Path, value: object, known: frozenset[str]) -> str:
    name = path[-1]
    if len(path) == 1 and isinstance(value, dict):
        return nearest(name, sorted(known)) or home_of(name) or f"for a queue write [queues.{name}]"
    return home_of(name) or nearest(name, sorted(known))
