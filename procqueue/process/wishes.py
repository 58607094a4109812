"""Wishes by hand: what `stop NAME`, `scale` and `pause --here` asked of this host (state_dir/wishes.json).

They outlive reload, restart and the master, until a hand takes them back. Names that the configuration does
not have at present are kept: it may have them again.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Wish:
    """One wish: `number` is that of a scale. `since`, `until` (0: without an end): seconds since 1970."""

    since: float
    number: int = 0
    until: float = 0.0


@dataclass(slots=True)
class Wishes:
    """All wishes of this host, by name: of queues, of copies of programs (stopped, started), or of both."""

    path: str
    stopped: dict[str, Wish] = field(default_factory=dict)
    started: dict[str, Wish] = field(default_factory=dict)
    scaled: dict[str, Wish] = field(default_factory=dict)  # queues and programs
    paused: dict[str, Wish] = field(default_factory=dict)  # queues

    @classmethod
    def load(cls, path: str) -> Wishes:
        """Read what was wished; nothing if there is nothing. Raises ValueError if it cannot be read."""
        wishes = cls(path)
        try:
            with open(path, encoding="utf-8") as file:
                document = json.load(file)
            for kind in _KINDS:
                made = {str(name): _wish(one) for name, one in document.get(kind, {}).items()}
                getattr(wishes, kind).update(made)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{path}: cannot be read ({error}); what was wished by hand is forgotten"
            ) from error
        return wishes

    def set(self, kind: str, names: tuple[str, ...], number: int = 0, *, until: float = 0.0) -> None:
        """Note a wish for each name, and write it down. Raises OSError."""
        for name in names:
            known = getattr(self, kind).get(name)
            since = known.since if known is not None and known.number == number else time.time()
            getattr(self, kind)[name] = Wish(since, number, until)
        self._save()

    def drop(self, kind: str, names: tuple[str, ...]) -> None:
        """Take wishes back. Raises OSError."""
        for name in names:
            getattr(self, kind).pop(name, None)
        self._save()

    def clear(self) -> None:
        """Take all back. Raises OSError."""
        for kind in _KINDS:
            getattr(self, kind).clear()
        self._save()

    def of(self, name: str) -> tuple[str, float] | None:
        """Return what was wished of a queue, program or copy, in words, and since when."""
        for kind, words in (("stopped", "stopped"), ("paused", "paused here"), ("started", "started")):
            if wish := getattr(self, kind).get(name):
                return words, wish.since
        if wish := self.scaled.get(name):
            return f"scaled to {wish.number}", wish.since
        return None

    def _save(self) -> None:
        document: dict[str, Any] = {"v": 1}
        for kind in _KINDS:
            wishes: dict[str, Wish] = getattr(self, kind)
            document[kind] = {
                name: {"since": one.since, "number": one.number, "until": one.until}
                for name, one in wishes.items()
            }
        draft = f"{self.path}.draft"
        with open(draft, "w", encoding="utf-8", opener=_private) as file:
            json.dump(document, file)
            file.write("\n")
        os.replace(draft, self.path)


_KINDS = ("stopped", "started", "scaled", "paused")


def _wish(document: dict[str, Any]) -> Wish:
    return Wish(float(document["since"]), int(document["number"]), float(document.get("until", 0)))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
