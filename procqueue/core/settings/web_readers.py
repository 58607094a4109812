"""Parsers of the values of [web]."""

from __future__ import annotations

import re
from typing import Any

from procqueue.core.settings.readers import filled_path, text, texts
from procqueue.core.settings.web import PORT, Listen
from procqueue.core.settings.wrong import Wrong
from procqueue.core.units import shown

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]*))(?::([0-9]{1,5}))?")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]+\]")
_LONGEST_PATH = 100  # what fits into a socket address
_HINT = 'write "127.0.0.1:7370", "[::1]:7370" or "unix:/path/of/the.sock"'


def listen(value: Any) -> Listen | None:
    """Read "127.0.0.1:7370", ":7370" (all addresses), "unix:/path"; "" is None. Raises Wrong."""
    value = text(value)
    if value in ("", "off"):
        return None
    if value.startswith("unix:"):
        path = filled_path(value.removeprefix("unix:"))
        if len(path.encode()) > _LONGEST_PATH:
            raise Wrong(f"this path is longer than {_LONGEST_PATH} bytes, too long for a socket")
        return Listen(path=path)
    found = _ADDRESS.fullmatch(value)
    if found is None:
        raise Wrong(f"{shown(value)} is not an address", _HINT)
    port = int(found[3]) if found[3] else PORT
    if not 1 <= port <= 65535:
        raise Wrong(f"there is no port {port}", "ports are 1 to 65535")
    return Listen(found[1] or found[2] or "0.0.0.0", port)


def hosts(value: Any) -> tuple[str, ...]:
    """Read the names by which browsers call it, as they stand in the address line, without ports."""
    found = texts(value, 'write ["queues.example.org"]')
    for name in found:
        if not _HOST.fullmatch(name):
            raise Wrong(
                f"{shown(name)} is not the name of a host", "without scheme and port: queues.example.org"
            )
    return tuple(name.lower() for name in found)


def redact(value: Any) -> tuple[str, ...]:
    """Read patterns of argument names."""
    return tuple(name.lower() for name in texts(value, 'write ["*password*", "card_number"]'))
