"""Writes the little TOML that init writes: tables of strings, numbers, flags, lists and flat tables."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

Value = str | int | float | bool | Sequence["Value"] | Mapping[str, "Value"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def table(path: Sequence[str], values: Mapping[str, Value]) -> str:
    """One table with its header; the top of a file has no path."""
    head = [f"[{'.'.join(map(_key, path))}]"] if path else []
    return "\n".join([*head, *(f"{_key(key)} = {value(item)}" for key, item in values.items())]) + "\n"


def value(item: Value) -> str:
    """One value on one line."""
    match item:
        case str():
            # JSON's escapes are TOML's, but for the one character that JSON leaves as it is.
            return json.dumps(item, ensure_ascii=False).replace("\x7f", "\\u007f")
        case bool():
            return "true" if item else "false"
        case int() | float():
            return repr(item)
        case Mapping():
            return "{" + ", ".join(f"{_key(key)} = {value(one)}" for key, one in item.items()) + "}"
        case _:
            return "[" + ", ".join(map(value, item)) + "]"


def _key(text: str) -> str:
    return text if _BARE.fullmatch(text) else value(text)
