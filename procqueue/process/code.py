"""Which code runs, and whether the disk still has it: what `reload` needs to know of code (law S3).

Whoever imports the application (a template, or a consumer that does it for itself) tells the master the
fingerprints of the application's own modules. At a reload a short-lived child, the inspector, compares them
with the files, so that the master reads none. A file with the same content is the same, whatever its date.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from itertools import takewhile

from procqueue.core.exits import Exit
from procqueue.process.lifeline import Lifeline

#: So many files go into one message of a lifeline.
_PER_MESSAGE = 500
#: So many changed files are named, for people.
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Beginning:
    """When an import began (ns, wall clock), and the newest module that was there before."""

    since_ns: int
    after: str

    @classmethod
    def now(cls) -> Beginning:
        """Return the present moment."""
        return cls(time.time_ns(), next(reversed(sys.modules)))


def told_of_code(lifeline: Lifeline, root: str, began: Beginning) -> None:
    """Tell the master the fingerprints of the modules below `root` that this process has imported.

    What was written after the import began may not be what was imported.
    """
    found = {path: fingerprint(path, began.since_ns) for path in sorted(_own_modules(root, began.after))}
    items = list(found.items())
    for start in range(0, max(len(items), 1), _PER_MESSAGE):
        lifeline.say("code", files=dict(items[start : start + _PER_MESSAGE]), more=start > 0)


def fingerprint(path: str, since_ns: int | None = None) -> str:
    """Return a short digest of a file's content; "" if it is gone, or changed after `since_ns`."""
    try:
        with open(path, "rb") as file:
            if since_ns is not None and os.fstat(file.fileno()).st_mtime_ns > since_ns:
                return ""
            return hashlib.blake2b(file.read(), digest_size=12).hexdigest()
    except OSError:
        return ""


def changed(known: Mapping[str, str]) -> list[str]:
    """Return the files whose content is not what it was."""
    return [path for path, digest in known.items() if not digest or fingerprint(path) != digest]


def _own_modules(root: str, after: str) -> set[str]:
    """Return the source files below the root, but for installed packages, of what came `after` a module."""
    base = os.path.join(os.path.realpath(root), "")
    found = set()
    # Backwards, and only what is new: whatever is looked at becomes a page of this process alone.
    for _, module in list(takewhile(lambda item: item[0] != after, reversed(sys.modules.items()))):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(".py"):
            path = os.path.realpath(file)
            if path.startswith(base) and "site-packages" not in path:
                found.add(path)
    return found


@dataclass(slots=True)
class Look:
    """One comparison of what runs with the disk. `changed`: the files, once it is `done`."""

    done: bool = False
    changed: list[str] = field(default_factory=list)


class Code:
    """What the master knows of the code that runs, by who imported it: a template's pool or a queue."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, str]] = {}
        self.looks: list[Look] = []  # under way

    def learn(self, pool: str, files: Mapping[str, str], *, more: bool) -> None:
        """Take note of what was imported; `more`: beside what was told before."""
        self._known[pool] = {**self._known[pool], **files} if more and pool in self._known else dict(files)

    def forget_all_but(self, pools: Container[str]) -> None:
        """Keep what these have imported, and nothing of those that are not there any more."""
        self._known = {pool: files for pool, files in self._known.items() if pool in pools}

    def known(self) -> dict[str, dict[str, str]]:
        """Return the fingerprints that the inspector is to compare."""
        return {pool: dict(files) for pool, files in self._known.items()}

    def knows(self, pool: str) -> bool:
        """True if somebody told what this pool has imported."""
        return pool in self._known


def inspect(lifeline: Lifeline, known: Mapping[str, Mapping[str, str]]) -> int:
    """Be the inspector: compare, tell, and end."""
    found = {pool: changed(files) for pool, files in known.items()}
    pools = [pool for pool, files in found.items() if files]
    names = sorted({path for files in found.values() for path in files})
    lifeline.say("looked", pools=pools, files=names[:_MOST_NAMED], number=len(names))
    return Exit.OK
