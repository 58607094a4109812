"""Readers of texts and paths, beside readers.py: what finding a running master needs, and light to import."""

from __future__ import annotations

from typing import Any

from procqueue.core.settings.wrong import Wrong
from procqueue.core.units import shown


def text(value: Any) -> str:
    """A string without NUL bytes."""
    if not isinstance(value, str):
        raise Wrong(f"must be a string, not {shown(value)}", "put it in quotes")
    if "\0" in value:
        raise Wrong("holds a NUL character")
    return str(value)


def path(value: Any) -> str:
    """A path, absolute or relative; nothing looks whether it exists."""
    written = text(value)
    if written.startswith("~"):
        raise Wrong("~ is not expanded here", 'write "${HOME}/…" or the whole path')
    return written


def filled_path(value: Any) -> str:
    """A path that may not be empty."""
    written = path(value)
    if not written:
        raise Wrong("must not be empty", "name a path, or leave the key out")
    return written
