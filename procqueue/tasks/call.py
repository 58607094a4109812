"""What a push takes and gives: a call, when it is due, what else it asks for, and the receipt."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, get_args

import msgspec

from procqueue.core import wire
from procqueue.core.traits import PLAIN, Traits, wrong_key, wrong_priority
from procqueue.core.units import seconds

#: A delay is a number of seconds, a duration such as "10m", or a timedelta.
Delay = float | str | timedelta

#: What becomes of a push whose unique key is taken. "raise" is "drop", told by an exception.
OnDuplicate = Literal["drop", "replace", "raise"]

_CENTURY = 100 * 365.25 * 86_400.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Call:
    """A task with its arguments, not yet pushed. Equal if task and arguments are."""

    task: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


class Receipt(msgspec.Struct, frozen=True):
    """What became of a push. It is true if the message was queued.

    `id`: where a unique key was taken, that of the message which has it.
    """

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
class Asked:
    """What using() and @task say beside where and when; None: nothing. `unique` True: task and arguments."""

    priority: int | None = None
    expires_ms: int | None = None
    unique: str | Literal[True] | None = None
    until: Literal["done", "begun"] | int | None = None  # int: ms
    on_duplicate: OnDuplicate | None = None

    def over(self, other: Asked) -> Asked:
        """Return what is asked for where `other` was asked for before. Raises ValueError."""
        if other == NOTHING:
            return self.checked()
        given = {name: getattr(self, name) for name in self.__slots__}
        return replace(other, **{name: value for name, value in given.items() if value is not None}).checked()

    def checked(self) -> Asked:
        """Return it if it makes sense as a whole. Raises ValueError."""
        for name in ("until", "on_duplicate"):
            if getattr(self, name) is not None and self.unique is None:
                raise ValueError(f"{name}= says something about unique=: give unique= as well")
        return self

    def traits(self, body: bytes) -> Traits:
        """Return what the store is asked for with this encoded message."""
        if self is NOTHING or self == NOTHING:
            return PLAIN
        return Traits(
            priority=self.priority or 0,
            expires_ms=self.expires_ms or 0,
            unique=own_key(body) if self.unique is True else self.unique or "",
            until_begun=self.until == "begun",
            until_ms=self.until if isinstance(self.until, int) else 0,
            replace=self.on_duplicate == "replace",
        )


NOTHING: Final = Asked()


@dataclass(frozen=True, slots=True)
class Placed:
    """Where and when a push is to go; what using() says. `at_ms` is ms since 1970 UTC and wins."""

    queue: str | None = None
    id: str | None = None
    delay_ms: int = 0
    at_ms: int | None = None
    remember_ms: int = 0
    asked: Asked = NOTHING


ANYWHERE = Placed()


def placed(
    delay: Delay | None,
    at: datetime | None,
    queue: str | None,
    id: str | None,
    remember: Delay | None = None,
    *,
    debounce: Delay | None = None,
    before: Asked = NOTHING,
    **written: Any,
) -> Placed:
    """Return what using() was given, checked. Raises ValueError or TypeError naming the option.

    `written`: the keys of `asked`. `before`: what the task says of them itself.
    """
    if debounce is not None:
        delay = _debounced(debounce, delay, at, written)
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
    own = asked(**written).over(before)
    _check_expires(own.expires_ms, delay_ms, at_ms)
    return Placed(queue, id, delay_ms, at_ms, remember_ms, own)


def asked(
    *,
    priority: int | None = None,
    expires: Delay | None = None,
    unique: bool | str | None = None,
    until: Delay | None = None,
    on_duplicate: str | None = None,
) -> Asked:
    """Return what was asked for, each key checked for itself. Raises ValueError or TypeError naming it."""
    if priority is not None:
        if not isinstance(priority, int) or isinstance(priority, bool):
            raise TypeError(f"priority={priority!r} is not a whole number")
        if reason := wrong_priority(priority):
            raise ValueError(f"priority= {reason}")
    with _about("expires"):
        expires_ms = None if expires is None else _some_ms(expires)
    if unique is False:
        unique = None
    if unique is not None and unique is not True:
        if not isinstance(unique, str):
            raise TypeError(f"unique={unique!r} is neither True nor a text")
        if reason := wrong_key(unique):
            raise ValueError(f"unique= {reason}")
    if until in (None, "done", "begun"):
        how_long: Any = until
    else:
        with _about("until"):
            how_long = _some_ms(until)
    known: tuple[OnDuplicate, ...] = get_args(OnDuplicate)
    if on_duplicate is not None and on_duplicate not in known:
        raise ValueError(f"on_duplicate={on_duplicate!r} is none of {', '.join(known)}")
    return Asked(priority, expires_ms, unique, how_long, on_duplicate)


def own_key(body: bytes) -> str:
    """Return the key of unique=True: equal for a task with the same arguments, written the same way."""
    import hashlib  # who asks for nothing should not wait for it
    import json

    document = wire.decode(body)
    call = json.dumps([document.args, document.kwargs], sort_keys=True, separators=(",", ":"))
    return f"{document.task[:180]}:{hashlib.sha256(call.encode()).hexdigest()[:40]}"


def _debounced(debounce: Delay, delay: Delay | None, at: datetime | None, written: dict[str, Any]) -> Delay:
    """Ask for what debounce is: a delay, and what waits is replaced until it begins. Returns the delay."""
    others = {"delay": delay, "at": at, **written}
    if given := [name for name in ("delay", "at", "until", "on_duplicate") if others.get(name) is not None]:
        raise ValueError(f"debounce= says {given[0]}= itself: leave that out")
    with _about("debounce"):
        _some_ms(debounce)
    written |= {"unique": written.get("unique") or True, "until": "begun", "on_duplicate": "replace"}
    return debounce


def _some_ms(delay: Delay) -> int:
    ms = round(delay_seconds(delay) * 1000)
    if ms <= 0:
        raise ValueError(f"{delay!r} is no time")
    return ms


def _check_expires(expires_ms: int | None, delay_ms: int, at_ms: int | None) -> None:
    due_ms = delay_ms if at_ms is None else at_ms - time.time() * 1000
    if expires_ms is not None and expires_ms <= due_ms:
        raise ValueError("expires= is counted from the push and is over before the message is due")


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
