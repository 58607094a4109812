"""[driver]: one complete URL out of url, single keys and secrets, and what else a driver has to know.

The url is expanded here and not with the other keys, because a reference inside it is percent-encoded. A
password_file is read through a function that is handed in: this package opens nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from procqueue.core.settings.expand import expand
from procqueue.core.settings.model import DriverSettings
from procqueue.core.settings.places import placed
from procqueue.core.settings.sections import Reading, Section
from procqueue.core.settings.urls import Address, check_host, encode_part, read_url, write_url
from procqueue.core.settings.wrong import LATER, Wrong
from procqueue.core.units import shown

DEFAULT_URL = "sqlite:///run/db/queue.db"
PARTS = ("host", "port", "db", "username", "password", "password_file")
COMPOSED = ("url", "durability", *PARTS)  # all but these are taken over as they are
DURABILITIES = {"redis": ("store",), "sqlite": ("fsync", "normal"), "sync": ("store",)}

_KIND = {
    "redis": "redis", "rediss": "redis", "unix": "redis", "redis+sentinel": "redis",
    "sqlite": "sqlite", "sync": "sync",
}  # fmt: skip


def read_driver(
    reading: Reading, section: Section, root: str, read_secret: Callable[[str], str]
) -> DriverSettings:
    """The driver's settings; `read_secret` gives the text of a file by its absolute path, or raises Wrong."""
    document, path = section.document, section.path
    parts = {name: section.values[name] for name in PARTS if name in section.values}
    url = section.values.get("url", "")
    if not url:
        url = "redis://localhost" if any(name in section.written for name in PARTS) else DEFAULT_URL
    address = reading.attempt(
        document, (*path, "url"), lambda: read_url(expand(url, reading.environ, encode_part))
    )
    if address is None:
        return DriverSettings("")
    address = _with_parts(reading, section, address, parts)
    if "password_file" in parts:
        address = _with_secret(reading, section, address, placed(root, parts["password_file"]), read_secret)
    if address.scheme == "sqlite":
        address = replace(address, path=placed(root, address.path))
    safely = partial(_durability, address.scheme, section.values.get("durability", "store"))
    durability = reading.attempt(document, (*path, "durability"), safely, "")
    others = {name: value for name, value in section.values.items() if name not in COMPOSED}
    return DriverSettings(write_url(address), durability=durability, **others)


def _with_parts(reading: Reading, section: Section, address: Address, parts: dict[str, Any]) -> Address:
    for name, value in parts.items():
        here = (*section.path, name)
        elsewhere = address.scheme in ("unix", "redis+sentinel") and name in ("host", "port")
        if _KIND[address.scheme] != "redis" or elsewhere:
            reading.wrong(
                section.document, here, f"{address.scheme}:// has no {name}", "take it out, or change the url"
            )
        elif name == "host":
            host = reading.attempt(section.document, here, partial(check_host, value), address.host)
            address = replace(address, host=host)
        elif name != "password_file":
            address = replace(address, **{name: value})
    return address


def _with_secret(
    reading: Reading, section: Section, address: Address, file: str, read_secret: Callable[[str], str]
) -> Address:
    here = (*section.path, "password_file")
    if "password" in section.written:
        reading.wrong(section.document, here, "stands beside password", "keep one of the two")
        return address
    if _KIND[address.scheme] != "redis":
        return address  # already a problem
    found = reading.attempt(section.document, here, lambda: _first_line(read_secret(file), file))
    return replace(address, password=found) if found else address


def _first_line(text: str, file: str) -> str:
    password = text.split("\n", 1)[0].rstrip("\r")
    if not password:
        raise Wrong(f"{shown(file)} holds no password in its first line", "write the password there")
    return password


def _durability(scheme: str, written: str) -> str:
    fitting = DURABILITIES[_KIND[scheme]]
    if written in fitting:
        return written
    if written == "store":  # "as the driver does it": for sqlite that is fsync
        return fitting[0]
    either = " or ".join(f'"{word}"' for word in fitting)
    if _KIND[scheme] == "redis" and (written == "fsync" or written.startswith("replica:")):
        raise Wrong(f"{shown(written)} {LATER}", f"use {either}")
    raise Wrong(f"must be {either} with {scheme}://, not {shown(written)}")
