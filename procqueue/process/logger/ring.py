"""The last 10 MiB of each name, in state_dir/logs: NAME.log and NAME.log.1, at most 5 MiB each.

A line is `MOMENT NAME:INDEX STREAM | TEXT`: STREAM is out, err, or own (what procqueue itself says there),
and `+` instead of `|` marks the rest of a line that was too long. The logger writes them; readers need no
master.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

#: Bytes of one of the two files.
MOST = 5 << 20
_BLOCK = 65536
#: More than any line is long.
_MUCH = 1 << 20
_LINE = re.compile(rb"(\S{24}) (\S+) (out|err|own) ([|+]) (.*)", re.DOTALL)
_SUFFIX = ".log"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a child. `moment`: ISO 8601, UTC, in milliseconds: texts of it sort like times."""

    moment: str
    name: str
    stream: str
    text: bytes
    continued: bool


def path_of(folder: str, name: str, *, own: bool = False) -> str:
    """Return the ring of the child `name`: those of a pool share one; no queue has the name of our `own`."""
    return f"{folder}/{'@' if own else ''}{name.rpartition(':')[0] or name}{_SUFFIX}"


def names_in(folder: str) -> list[str]:
    """Return the names of which there are lines."""
    try:
        found = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted({
        one.removesuffix(".1").removesuffix(_SUFFIX)
        for one in found
        if one.endswith((_SUFFIX, f"{_SUFFIX}.1"))
    })  # fmt: skip


def read(raw: bytes) -> Line | None:
    """Return the line in `raw`; None if it is none."""
    if (found := _LINE.fullmatch(raw)) is None:
        return None
    moment, name, stream, mark, text = found.groups()
    return Line(
        moment.decode("ascii", "replace"),
        name.decode("utf-8", "replace"),
        stream.decode(),
        text,
        mark == b"+",
    )


class Ring:
    """Reads the lines of one name: what is there, the newest first, and then what is added."""

    def __init__(self, folder: str, name: str, *, from_start: bool = False) -> None:
        self._path = f"{folder}/{name}{_SUFFIX}"
        self._file: BinaryIO | None = None
        self._at = 0
        self._open()
        if self._file is not None and not from_start:
            self._at = _end_of_lines(self._file)

    def backwards(self) -> Iterator[Line]:
        """Yield the lines that were there at the beginning, the newest first."""
        if self._file is not None:
            yield from _lines_backwards(self._file, self._at)
        if (older := _opened(f"{self._path}.1")) is not None:
            with older:
                if not self._is(older.fileno()):
                    yield from _lines_backwards(older, os.fstat(older.fileno()).st_size)

    def added(self) -> Iterator[Line]:
        """Yield what has come since the beginning or the last call, also over rotations."""
        yield from self._rest()
        while (current := _opened(self._path)) is not None:
            with current:
                if self._is(current.fileno()):
                    return
            yield from self._rest()  # what came between the last reading and the rotation
            yield from self._skipped()
            self._open()
            yield from self._rest()

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> None:
        self.close()
        self._file = _opened(self._path)
        self._at = 0

    def _is(self, fd: int) -> bool:
        return self._file is not None and os.path.sameopenfile(self._file.fileno(), fd)

    def _skipped(self) -> Iterator[Line]:
        """Yield all of a file that came and was rotated away since the last call."""
        if (older := _opened(f"{self._path}.1")) is not None:
            with older:
                if not self._is(older.fileno()):
                    yield from _lines_in(older.read())

    def _rest(self) -> Iterator[Line]:
        if self._file is None:
            return
        fd = self._file.fileno()
        # A logger that was killed may be cut back by the next one: what was half written comes once more.
        self._at = min(self._at, os.fstat(fd).st_size)
        while end := (data := os.pread(fd, _MUCH, self._at)).rfind(b"\n") + 1:
            self._at += end
            yield from _lines_in(data[:end])


def _opened(path: str) -> BinaryIO | None:
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        return None


def _end_of_lines(file: BinaryIO) -> int:
    """Return where the last whole line ends: the logger may be writing the next."""
    size = os.fstat(file.fileno()).st_size
    begin = max(0, size - _MUCH)
    return begin + os.pread(file.fileno(), _MUCH, begin).rfind(b"\n") + 1


def _lines_in(data: bytes) -> Iterator[Line]:
    return (line for raw in data.split(b"\n") if (line := read(raw)) is not None)


def _lines_backwards(file: BinaryIO, end: int) -> Iterator[Line]:
    return (line for raw in _raw_backwards(file, end) if (line := read(raw)) is not None)


def _raw_backwards(file: BinaryIO, end: int) -> Iterator[bytes]:
    rest = b""
    while end:
        begin = max(0, end - _BLOCK)
        lines = (os.pread(file.fileno(), end - begin, begin) + rest).split(b"\n")
        end = begin
        rest = lines.pop(0)  # its beginning may be in the block before
        yield from reversed(lines)
    yield rest
