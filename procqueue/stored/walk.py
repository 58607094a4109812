"""Going through the stored messages of a queue, page by page, as they were when the walk began.

Messages that come meanwhile (also one that was retried and has failed again) are not part of it, so a walk
ends, and no message is met twice for what was done about it. It holds a page or two, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from procqueue.core.filters import Filters, is_in_time
from procqueue.core.message import State, Stored
from procqueue.drivers.contract import Driver

ANY = Filters()


def walk(
    driver: Driver, queue: str, states: Sequence[State], filters: Filters = ANY, skip: int = 0
) -> Iterator[Stored]:
    """Yield the messages that `filters` mean, state by state, in the order in which they would leave it.

    `skip`: how many of the first state to leave out at its head.
    """
    for matched in matches(driver, queue, states, filters, skip):
        yield from matched


def matches(
    driver: Driver, queue: str, states: Sequence[State], filters: Filters = ANY, skip: int = 0
) -> Iterator[list[Stored]]:
    """Yield what each page has of the messages that `filters` mean; a list may be empty."""
    began_ms: int | None = None
    for state in states:
        after = ""
        while True:
            page = driver.page(queue, state, after, skip=0 if after else skip)
            began_ms = page.now_ms if began_ms is None else began_ms
            known = [one for one in page.messages if is_in_time(one, began_ms)]
            yield [one for one in known if filters.match(one, began_ms)]
            after = page.next
            if not after or not known:  # the rest came after the beginning
                break
        skip = 0
