"""What verbs print: data on stdout, talk on stderr, tables for 80 columns, one JSON document."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

TYPE_CHECKING = False  # without typing, whose import takes longer than all of this
if TYPE_CHECKING:
    from typing import Any

#: What takes only a moment needs no bar.
_WORTH_A_BAR = 500

_COLOURS = {"good": "\033[32m", "bad": "\033[31m", "odd": "\033[33m"}
_NO_COLOUR = "\033[0m"


def print_json(document: dict[str, Any]) -> None:
    """Print the one document of this command."""
    indent = 2 if sys.stdout.isatty() else None
    show(json.dumps(document, indent=indent))


def show(line: str = "") -> None:
    """Print one line of data."""
    sys.stdout.write(line + "\n")


def say(line: str) -> None:
    """Print one line of talk."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def plain(text: object) -> str:
    """Return a text from elsewhere on one line, unable to move the cursor or to change colours."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def marked(text: str, mood: str) -> str:
    """Return `text` in the colour of a mood ("good", "bad", "odd"); the words must say it too."""
    return f"{_COLOURS[mood]}{text}{_NO_COLOUR}" if mood in _COLOURS and _coloured() else text


def width() -> int:
    """Return how wide a line may be: the terminal's columns, 80 where there is none."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return max(40, int(columns))
    try:
        return max(40, os.get_terminal_size(1).columns)
    except OSError:
        return 80


def table(head: Sequence[str], rows: Iterable[Sequence[object]], right: Iterable[str] = ()) -> list[str]:
    """Return aligned lines, the head first; the columns named in `right` are aligned to the right."""
    cells = [list(head), *([plain(cell) for cell in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    to_right = {at for at, name in enumerate(head) if name in set(right)}
    return [
        "  ".join(
            cell.rjust(widths[at]) if at in to_right else cell.ljust(widths[at])
            for at, cell in enumerate(row)
        ).rstrip()
        for row in cells
    ]


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a function that hears how many more are done; on a terminal a bar shows it."""
    if total < _WORTH_A_BAR or not sys.stderr.isatty():
        yield lambda _: None
        return
    import click

    with click.progressbar(length=total, label=label, file=sys.stderr) as bar:
        yield bar.update


def _coloured() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
