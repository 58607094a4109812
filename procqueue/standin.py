"""What stands in for the store while an application is tested, and whether pushes are refused without.

Set by procqueue.testing, read by producer.py; in a running system both stay empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from procqueue.pushing import Producer

#: Where pushes go instead of where the process is connected to.
producer: Producer | None = None

#: Why nothing may be pushed to a real store just now; "" if it may.
refusal = ""


@contextmanager
def standing_in(other: Producer) -> Iterator[None]:
    """Let all pushes of this process go to `other` meanwhile."""
    global producer
    before, producer = producer, other
    try:
        yield
    finally:
        producer = before


@contextmanager
def refusing(why: str) -> Iterator[None]:
    """Refuse pushes to a real store meanwhile."""
    global refusal
    before, refusal = refusal, why
    try:
        yield
    finally:
        refusal = before
