"""What a push takes and gives: a call, when it is due, and the receipt."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from procqueue.core import wire
from procqueue.core.units import seconds

#: A delay is a number of seconds, a duration such as "10m", or a timedelta.
Delay = float | str | timedelta

_CENTURY = 100 * 365.25 * 86_400.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Call:
    """A task with its arguments, not yet pushed. Equal if task and arguments are."""

    task: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a push. It is true if the message was queued."""

    id: str
    queue: str
    outcome: Literal["queued", "duplicate", "gate_closed"]

    def __bool__(self) -> bool:
        return self.outcome == "queued"


@dataclass(frozen=True, slots=True)
class PushedMany:
    """What became of push_many: how many were queued, how many were there already, all ids in order.

    `gate_closed`: how many were not stored because the queue's gate is closed, with `gate_closed = "drop"`.
    """

    queued: int
    duplicates: int
    ids: tuple[str, ...]
    gate_closed: int = 0


class Unanswered:
    """A push that was sent and not answered; what PushUnknown.receipt is. `ids` are those of its messages."""

    def __init__(self, ids: tuple[str, ...], send: Callable[[], Any]) -> None:
        self.ids = ids
        self._send = send
        self._lock = threading.Lock()

    def repeat(self) -> Any:
        """Send it again, under the same session and number: it is stored once, also if it was handled.

        Returns what the push would have returned (for push_many: PushedMany of these messages), each time
        that it is asked. Raises PushUnknown if there is no answer again, or if 50 minutes have passed: the
        store forgets sessions. Any thread may call it, and a child after a fork.
        """
        with self._lock:
            return self._send()

    async def arepeat(self) -> Any:
        """Repeat, without blocking the event loop."""
        import asyncio  # see producer.apush_body

        return await asyncio.to_thread(self.repeat)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where and when a push is to go; what using() says. `at_ms` is ms since 1970 UTC and wins."""

    queue: str | None = None
    id: str | None = None
    delay_ms: int = 0
    at_ms: int | None = None
    remember_ms: int = 0


ANYWHERE = Placed()


def placed(
    delay: Delay | None,
    at: datetime | None,
    queue: str | None,
    id: str | None,
    remember: Delay | None = None,
) -> Placed:
    """Return what using() was given, checked. Raises ValueError or TypeError naming the option."""
    if delay is not None and at is not None:
        raise ValueError("delay= and at= both say when the message is due: give one of them")
    if id is not None and not wire.is_id(id):
        raise ValueError(f"id={id[:140]!r} is not 1 to 128 of the characters A-Z a-z 0-9 . _ : @ -")
    if remember is not None and id is None:
        raise ValueError("remember= says for how long a given id stays taken: give id= as well")
    with _about("remember"):
        remember_ms = 0 if remember is None else round(delay_seconds(remember) * 1000)
    with _about("delay"):
        delay_ms = 0 if delay is None else round(delay_seconds(delay) * 1000)
    with _about("at"):
        at_ms = None if at is None else moment_ms(at)
    return Placed(queue, id, delay_ms, at_ms, remember_ms)


def delay_seconds(delay: Delay) -> float:
    """Return a delay in seconds. Raises ValueError if it is negative, over 100 years, or no delay at all."""
    number = delay.total_seconds() if isinstance(delay, timedelta) else delay
    if not isinstance(number, (int, float)) or isinstance(number, bool):
        return seconds(number)
    if not 0 <= number <= _CENTURY:  # NaN is neither
        what = "is negative" if number < 0 else "is more than 100 years"
        raise ValueError(f"{delay!r} {what}" if number == number else "NaN is no delay")
    return float(number)


def moment_ms(at: datetime) -> int:
    """Return a moment as ms since 1970 UTC; what lies before 1970 is 1970. Raises ValueError, TypeError."""
    if not isinstance(at, datetime):
        raise TypeError(f"{at!r} is not a datetime")
    if at.tzinfo is None or at.utcoffset() is None:
        raise ValueError(
            f"{at!r} has no time zone, so it names no moment: use datetime.now(UTC) or .replace(tzinfo=…)"
        )
    ms = max(0, (at - _EPOCH) // timedelta(milliseconds=1))
    if ms > (time.time() + _CENTURY) * 1000:
        raise ValueError(f"{at!r} is more than 100 years away")
    return ms


@contextmanager
def _about(option: str) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"{option}=: {error}") from None
