"""The scripts: one Lua file for each verb, put together here, named by SHA1 at the server.

Lua at Redis has no includes: what several verbs share stands in files that begin with "_" and is set in front
of them. EVALSHA names the exact code, so that two versions of procqueue can work on one server.
Next to read: lua/_prelude.lua, then lua/turn.lua.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from procqueue.core.record import EXPIRED
from procqueue.drivers.contract import (
    LAYOUT,
    MAX_HISTORY,
    MAX_NOTICES,
    SESSION_KEPT_MS,
    SESSION_NOTED_MS,
)

#: Which shared files stand in front of a verb, behind the prelude that all have.
PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "push": ("_locks", "_store", "_memory"),
        "register": ("_hosts",),
        "turn": ("_settle",),
        "compare": ("_settle",),
        "leave": ("_settle",),
        "reclaim": ("_settle",),
        "notify": (),
        "raise_tickets": (),
        "promote": ("_memory",),
        "pause": (),
        "resume": (),
        "paused": (),
        "gate": (),
        "set_gate": (),
        "mark_restart": (),
        "restart_mark": (),
        "peek": (),
        "inbox": ("_locks", "_store"),
        "consumers": (),
        "beat": ("_hosts",),
        "beats": (),
        "bury": ("_hosts",),
        "leave_host": (),
        "owned": (),
        "counts": (),
        "oldest": (),
        "look": (),
        "find": ("_find",),
        "forget": ("_find",),
        "retry": ("_locks",),
        "clear": (),
        "trim": (),
        "push_tick": ("_locks", "_store"),
        "ticks": (),
        "cancel": ("_settle", "_find"),
        "cancelling": (),
    }
)

#: What a verb does before it needs the functions of the prelude: it stands in front of them, at the mark.
FIRST: Mapping[str, str] = MappingProxyType({"push": "_plain"})
MARK = "--+"

#: Keys of a queue in the order of KEYS; lua/_prelude.lua names them in the same order.
KEYS = (
    "state",
    "consumers",
    "gone",
    "hosts",
    "bodies",
    "meta",
    "history",
    "waiting",
    "delayed",
    "failed",
    "timeout",
    "notices",
    "wake",
    "inbox",
    "sessions",
    "uses",
    "remembered",
    "traits",
    "locks",
    "ranked",
    "crons",
    "cancelled",
)

#: What the scripts know of the contract, by the names that they use.
CONSTANTS: Mapping[str, int | str] = MappingProxyType(
    {
        "LAYOUT": f"'{LAYOUT}'",  # as text: a number costs Redis a slow conversion at each write
        "MAX_HISTORY": MAX_HISTORY,
        "MAX_NOTICES": MAX_NOTICES,
        "SESSION_KEPT": SESSION_KEPT_MS,
        "SESSION_NOTED": SESSION_NOTED_MS,
        "FIXED_KEYS": len(KEYS),
        "EXPIRED": f"[[{EXPIRED.decode()}]]",
    }
)


@dataclass(frozen=True, slots=True)
class Script:
    """One verb as the server runs it."""

    name: str
    text: bytes
    sha: bytes


@cache
def script(verb: str) -> Script:
    """Return the script of a verb. Raises KeyError."""
    constants = f"local {', '.join(CONSTANTS)} = {', '.join(map(str, CONSTANTS.values()))}\n"
    values, _, functions = _source("_prelude").partition(MARK)
    first = _source(FIRST[verb]) if verb in FIRST else ""
    sources = [constants + values, first + MARK + functions, *map(_source, (*PARTS[verb], verb))]
    text = "\n".join(sources).encode()
    return Script(verb, text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


@cache
def _source(name: str) -> str:
    # Not by importlib.resources: it imports more than it reads.
    with open(os.path.join(os.path.dirname(__file__), "lua", f"{name}.lua"), encoding="utf-8") as file:
        return file.read()
