"""How a parser of the configuration says no: a ValueError with a sentence, a hint, and the part it is about.

Parsers know values, not places; sections.py catches these and adds file, line and key. A ValueError from
elsewhere (core/units.py) is taken in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable

LATER = "is not available in this version"


class Wrong(ValueError):
    """A value cannot be used: why, what to do about it, and the key inside the value that it is about."""

    def __init__(self, text: str, hint: str = "", below: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint
        self.below = below


class Wrongs(ValueError):
    """Several things are wrong with one value."""

    def __init__(self, wrongs: list[Wrong]) -> None:
        super().__init__(
            "; ".join(f"{wrong.below}: {wrong.text}" if wrong.below else wrong.text for wrong in wrongs)
        )
        self.wrongs = wrongs


def wrongs_of(error: ValueError) -> list[Wrong]:
    """All that `error`, of whatever kind, has to say."""
    match error:
        case Wrongs():
            return error.wrongs
        case Wrong():
            return [error]
        case _:
            return [Wrong(str(error))]


def nearest(word: str, words: Iterable[str]) -> str:
    """A hint that names the word nearest to a mistyped one, or "" if none is near."""
    from difflib import get_close_matches  # only a broken file pays for it

    found = get_close_matches(word[:100].lower(), list(words), n=1, cutoff=0.6)
    return f'did you mean "{found[0]}"?' if found else ""
