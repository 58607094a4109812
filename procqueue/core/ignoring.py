"""Which files of a source tree do not count: patterns as in .gitignore, an honest subset of them. Pure.

Understood: comments, `!` (counts after all), a `/` at the end (directories only), a `/` elsewhere (from the
directory of the file on, else at any depth), `*`, `?`, `[…]`, `**`. Not understood: a backslash before a
character. The last pattern that matches decides; nothing below an ignored directory counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Directories in which nobody writes an application.
NEVER = frozenset({
    ".git", ".hg", ".svn", ".venv", "venv", "site-packages", "__pycache__", "node_modules", ".tox", ".nox",
    ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".idea", ".vscode",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line. `base`: the directory that it is written for, absolute, without a `/` at the end."""

    base: str
    match: re.Pattern[str]
    counts: bool
    directories_only: bool


def patterns(lines: Iterable[str], base: str) -> list[Pattern]:
    """Return the patterns of the lines; what cannot be read as one is left out."""
    found = []
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        counts = text.startswith("!")
        text = text.removeprefix("!")
        directories_only = text.endswith("/")
        text = text.rstrip("/")
        anywhere = "/" not in text
        if expression := _expression(text.removeprefix("./").lstrip("/")):
            prefix = "(?:.*/)?" if anywhere else ""
            try:
                match = re.compile(prefix + expression)
            except re.error:
                continue
            found.append(Pattern(base.rstrip("/"), match, counts, directories_only))
    return found


def is_ignored(path: str, written: Sequence[Pattern], *, directory: bool) -> bool:
    """True if the file or directory `path` (absolute) does not count, by itself: ask of its parents first."""
    ignored = False
    for pattern in written:
        inside = path.startswith(pattern.base + "/")
        may = inside and (directory or not pattern.directories_only)
        if may and pattern.match.fullmatch(path[len(pattern.base) + 1 :]):
            ignored = not pattern.counts
    return ignored


def is_editors_own(name: str) -> bool:
    """True for the names of backups, swap files and locks that editors make beside a file."""
    return name.endswith("~") or name.startswith((".#", "#", ".~")) or "___jb_" in name


def _expression(text: str) -> str:
    """Return the regular expression of a pattern without its marks."""
    found = ""
    place = 0
    while place < len(text):
        rest = text[place:]
        if rest.startswith("**/"):
            found, place = found + "(?:.*/)?", place + 3
        elif rest.startswith("**"):
            found, place = found + ".*", place + 2
        elif rest[0] == "*":
            found, place = found + "[^/]*", place + 1
        elif rest[0] == "?":
            found, place = found + "[^/]", place + 1
        elif rest[0] == "[" and (end := rest.find("]", 2)) > 0:
            inner = rest[1:end].replace("\\", "\\\\")
            found += f"[{'^' + inner[1:] if inner[0] == '!' else inner}]"
            place += end + 1
        else:
            found, place = found + re.escape(rest[0]), place + 1
    return found
