"""On which line does a key of a TOML text stand? A scanner that tomli, which forgets lines, is followed by.

It is only given texts that tomli has accepted, so it looks for the ends of things and checks nothing; a test
holds its keys to those of tomli. Keys inside arrays are not told apart by index: the first one counts.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import NamedTuple

Path = tuple[str, ...]


class Origin(NamedTuple):
    """Where a value in force was written."""

    file: str  # as the user calls it
    line: int
    table: str  # "processes.clock", or "defaults" where a queue has it from there

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


def lines_of(text: str) -> dict[Path, int]:
    """The 1-based line of every key and table of `text`, which must be TOML that tomli has accepted."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self._ends = [found.start() for found in re.finditer("\n", text)]

    def document(self) -> None:
        table: Path = ()
        while self._skip(_BLANK) < len(self.text):
            if self.text[self.at] == "[":
                width = 2 if self.text.startswith("[[", self.at) else 1
                self.at += width
                table = self._key(())
                self.at += width
            else:
                self._pair(table)

    def _pair(self, table: Path) -> None:
        path = self._key(table)
        self.at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _key(self, table: Path) -> Path:
        """Reads a dotted key and notes each of its parts; stops in front of `=` or `]`."""
        self._skip(_SPACE)
        line = bisect_left(self._ends, self.at) + 1
        path = table
        while True:
            path = (*path, self._key_part())
            self.lines.setdefault(path, line)
            self._skip(_SPACE)
            if self.text[self.at] != ".":
                return path
            self.at += 1
            self._skip(_SPACE)

    def _key_part(self) -> str:
        start = self.at
        if found := _BARE_KEY.match(self.text, start):
            self.at = found.end()
            return found[0]
        self._skip(_STRING)
        quoted = self.text[start : self.at]
        return quoted[1:-1] if quoted[0] == "'" or "\\" not in quoted else _unescaped(quoted)

    def _value(self, path: Path) -> None:
        match self.text[self.at]:
            case "[":
                self._items("]", path)
            case "{":
                self._items("}", path)
            case '"' | "'":
                self._skip(_STRING)
            case _:
                self._skip(_SCALAR)

    def _items(self, end: str, path: Path) -> None:
        """Reads an array (values) or an inline table (pairs) up to its closing bracket."""
        self.at += 1
        self._skip(_BLANK)
        while self.text[self.at] != end:
            if end == "]":
                self._value(path)
            else:
                self._pair(path)
            self._skip(_BLANK)
            if self.text[self.at] == ",":
                self.at += 1
                self._skip(_BLANK)
        self.at += 1

    def _skip(self, what: re.Pattern[str]) -> int:
        found = what.match(self.text, self.at)
        self.at = found.end() if found else len(self.text)
        return self.at


def _unescaped(quoted: str) -> str:
    import tomli  # the records need Origin, and whoever only declares tasks needs no parser

    return str(tomli.loads(f"k = {quoted}")["k"])
