"""The traits of a message: what a push asks for beside where and when. Almost all messages have none.

What can be asked for is limited here, in one place for producers of every kind; the store carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_PRIORITY: Final = 9
MAX_KEY: Final = 250


@dataclass(frozen=True, slots=True)
class Traits:
    """What one push asks for; times are ms from the push, by the driver's clock.

    `priority`: higher goes first. `expires_ms`: not begun by then, it is dropped (0: it waits for ever).
    `unique`: the key that no second message of its queue may have ("": none) while this one is waiting,
    delayed or reserved; with `until_begun`, until it is handed out; with `until_ms`, for so long, whatever
    becomes of it.
    `replace`: what waits, or is delayed, under the key gives way to this one; else this one is a duplicate.
    """

    priority: int = 0
    expires_ms: int = 0
    unique: str = ""
    until_begun: bool = False
    until_ms: int = 0
    replace: bool = False


PLAIN: Final = Traits()


def wrong_priority(priority: int) -> str:
    """Return what is wrong with a priority, "" if nothing is."""
    if -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        return ""
    return f"is {priority!r:.40}, not between -{MAX_PRIORITY} and {MAX_PRIORITY}"


def wrong_key(key: str) -> str:
    """Return what is wrong with a unique key, "" if nothing is."""
    if 1 <= len(key) <= MAX_KEY and key.isprintable():  # which no half of a surrogate pair is
        return ""
    return f"is {key[:60]!r}, not 1 to {MAX_KEY} printable characters"
