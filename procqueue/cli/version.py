"""`procqueue version`: what runs here. Nothing is imported for it that is not there already."""

from __future__ import annotations

import platform
from importlib import metadata

from procqueue.cli.options import Where, verb
from procqueue.cli.output import print_json, show
from procqueue.core.exits import Exit


@verb
def version(where: Where) -> Exit:
    """Show the versions of procqueue and of what it stands on."""
    import sqlite3

    from procqueue import __version__

    found = {
        "procqueue": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "redis-py": _of_package("redis"),
        "linux": platform.release(),
    }
    if where.json:
        print_json({"v": 1, **found})
        return Exit.OK
    for name, text in found.items():
        show(f"{name:10} {text or 'not installed'}")
    return Exit.OK


def _of_package(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
