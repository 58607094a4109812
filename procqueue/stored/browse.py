"""A bounded look at what is stored: for pages that must answer soon, however many messages there are."""

from __future__ import annotations

from dataclasses import dataclass

from procqueue.core.filters import Filters
from procqueue.core.message import State, Stored
from procqueue.drivers.contract import MAX_ENTRIES, Driver
from procqueue.stored.groups import Group, groups
from procqueue.stored.view import StoredMessage, view_of

#: So many messages are looked at for one answer.
MOST_LOOKED_AT = 2000


@dataclass(frozen=True, slots=True)
class Browsed:
    """What was found. `next`: what to ask for behind it, "" at the end. `looked`: how many were looked at."""

    messages: list[StoredMessage]
    next: str
    looked: int


@dataclass(frozen=True, slots=True)
class Grouped:
    """Groups of the first `looked` messages; `complete`: there are no others."""

    groups: list[Group]
    looked: int
    complete: bool


def browse(
    driver: Driver, queue: str, state: State, filters: Filters, after: str = "", limit: int = 50
) -> Browsed:
    """Return about `limit` messages that `filters` mean, behind the place where `next` has pointed."""
    found: list[Stored] = []
    looked = 0
    while True:
        # Without filters a page is the answer; with them most are read in vain.
        page = driver.page(queue, state, after, MAX_ENTRIES if filters else min(limit, MAX_ENTRIES))
        found += [one for one in page.messages if filters.match(one, page.now_ms)]
        looked += len(page.messages)
        after = page.next
        if not after or len(found) >= limit or looked >= MOST_LOOKED_AT:
            return Browsed([view_of(one) for one in found], after, looked)


def browse_groups(
    driver: Driver, queue: str, state: State, filters: Filters, most: int = MOST_LOOKED_AT
) -> Grouped:
    """Return in which groups the first messages, about `most`, of a state fall, the largest first."""
    found: list[Stored] = []
    looked, after = 0, ""
    while looked < most:
        page = driver.page(queue, state, after)
        found += [one for one in page.messages if filters.match(one, page.now_ms)]
        looked += len(page.messages)
        after = page.next
        if not after:
            break
    return Grouped(groups(found), looked, not after)
