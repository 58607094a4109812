"""The format of an env_file: KEY=VALUE lines, as systemd, docker and dotenv agree to read them.

Where they disagree it is an error that says what to write, never a guess: a value with a blank and a # must
be quoted. Nothing is expanded. Pure: the text comes from outside.
"""

from __future__ import annotations

import re

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SINGLE = re.compile(r"'([^']*)'")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class Malformed(ValueError):
    """A line cannot be read; `line` is its number, from 1."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.line = line


def parse(text: str) -> dict[str, str]:
    """Return what the lines set; a later line wins. Raises Malformed."""
    found: dict[str, str] = {}
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.removeprefix("export ").partition("=")
        key = key.strip()
        if not equals or not _KEY.fullmatch(key):
            # The line itself is not shown: it may be a secret.
            raise Malformed(number, "not KEY=VALUE")
        found[key] = _value(value.strip(), number)
    return found


def _value(text: str, number: int) -> str:
    if "\0" in text:
        raise Malformed(number, "a value cannot have a NUL byte")
    if not text.startswith(('"', "'")):
        if re.search(r"\s#", text):
            raise Malformed(number, "a value with a blank and a # must be quoted")
        return text
    quoted = (_DOUBLE if text[0] == '"' else _SINGLE).match(text)
    if quoted is None:
        raise Malformed(number, "the quote is not closed on its line")
    rest = text[quoted.end() :].strip()
    if rest and not rest.startswith("#"):
        raise Malformed(number, "something follows the closing quote")
    if text[0] == "'":
        return quoted[1]
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), quoted[1])
