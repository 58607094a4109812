"""One configuration file as read: its tree of values and the line of every key.

The only place that calls the TOML parser. Whatever the text is, the outcome is a Document or a ConfigError.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import tomli

from procqueue.core.errors import ConfigError, Problem
from procqueue.core.settings.positions import Path, lines_of

DEEPEST = 32  # levels of nesting; the deepest key that means anything is at four

_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Document:
    """One TOML file. `name` is how problems call it: as the user wrote it, not made absolute."""

    name: str
    tree: dict[str, Any]
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """The line of `path`, or of the nearest table around it; 0 if neither is written."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)

    def problem(self, path: Path, text: str, hint: str = "") -> Problem:
        """What is wrong with the key at `path`."""
        return Problem(self.name, self.line(path), dotted(path), text, hint)


def read_document(name: str, text: str) -> Document:
    """The document in `text`. Raises ConfigError with line and column if that is not TOML."""
    try:
        tree = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise ConfigError([_syntax(name, error)]) from None
    except RecursionError:
        raise ConfigError([_too_deep(name)]) from None
    except ValueError as error:  # CPython's own limit on the digits of a number
        problem = Problem(name, 0, "", f"a number cannot be read: {error}", "write a shorter one")
        raise ConfigError([problem]) from None
    if _depth_over(tree, DEEPEST):
        raise ConfigError([_too_deep(name)])
    return Document(name, tree, lines_of(text))


def dotted(path: Path) -> str:
    """`path` as TOML writes it: queues.emails, queues."my queue"."""
    return ".".join(part if _BARE.fullmatch(part) else '"' + repr(part)[1:-1] + '"' for part in path)


def _syntax(name: str, error: tomli.TOMLDecodeError) -> Problem:
    what = error.msg[:1].lower() + error.msg[1:]
    return Problem(
        name,
        error.lineno,
        "",
        f"not valid TOML at line {error.lineno}, column {error.colno}: {what}",
        "mend this line; strings need quotes, tables [brackets]",
    )


def _too_deep(name: str) -> Problem:
    return Problem(
        name, 0, "", f"nested more than {DEEPEST} levels deep", "nothing here needs more than four"
    )


def _depth_over(tree: dict[str, Any], limit: int) -> bool:
    level: list[Any] = [tree]
    for _ in range(limit + 1):
        inner: list[Any] = []
        for value in level:
            inner += value.values() if isinstance(value, dict) else value
        level = [value for value in inner if isinstance(value, (dict, list))]
    return bool(level)
