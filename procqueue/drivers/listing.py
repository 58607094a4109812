"""A stretch of a list by its offset, made of pages: only the first counts from the head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from procqueue.core.message import State, Stored
from procqueue.drivers.contract import MAX_ENTRIES

if TYPE_CHECKING:
    from procqueue.drivers.contract import Driver


def listed(driver: Driver, queue: str, state: State, offset: int, limit: int) -> list[Stored]:
    """Return up to `limit` messages of one state, without the first `offset`."""
    found: list[Stored] = []
    after = ""
    while len(found) < limit:
        page = driver.page(queue, state, after, min(limit - len(found), MAX_ENTRIES), 0 if after else offset)
        found += page.messages
        after = page.next
        if not after:
            break
    return found
