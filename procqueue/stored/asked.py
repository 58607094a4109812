"""What was asked for, checked: states, filters, limits, rates. Wrong ones raise ValueError or TypeError."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from procqueue.core.filters import Filters
from procqueue.core.message import State
from procqueue.tasks.call import Delay, delay_seconds

_MOST = 10**9
_ARG = re.compile(r"([A-Za-z_][A-Za-z0-9_]*|[0-9]+)=(.*)", re.DOTALL)


def states(state: str | None, allowed: Sequence[State], what: str) -> tuple[State, ...]:
    """Return the one state that was asked for, or all that are allowed."""
    if state is None:
        return tuple(allowed)
    if state not in list(State):
        raise ValueError(f"there is no state {state!r}; the states are {', '.join(State)}")
    if state not in allowed:
        why = ": it is being handled" if state == State.RESERVED else ""
        raise ValueError(f"what is {state} cannot {what}{why}; the states are {', '.join(allowed)}")
    return (State(state),)


def filters(
    task: str | None,
    error: str | None,
    older_than: Delay | None,
    args: Mapping[str, Any] | None,
    kind: str | None = None,
) -> Filters:
    """Return the filters that were given; an empty text or no time at all is a slip, not a filter."""
    for name, text in (("task", task), ("error", error), ("kind", kind)):
        if text is not None and not isinstance(text, str):
            raise TypeError(f"{name}={text!r} is not a text")
        if text is not None and not text:
            raise ValueError(f"{name}='' means nothing: leave it out, or say which")
    try:
        age = 0.0 if older_than is None else delay_seconds(older_than)
    except ValueError as wrong:
        raise ValueError(f"older_than={older_than!r}: {wrong}") from None
    if older_than is not None and not age:
        raise ValueError(f"older_than={older_than!r} means every message: leave it out, or say how old")
    return Filters(task or "", error or "", age, dict(args or {}), kind or "")


def args(written: Iterable[str]) -> dict[str, str]:
    """Return the arguments that are asked for as NAME=VALUE; a number is a place."""
    wanted: dict[str, str] = {}
    for text in written:
        found = _ARG.fullmatch(text)
        if found is None:
            raise ValueError(f"arg {text!r} is not name=value: user_id=42, or 0=42 by its place")
        wanted[found[1]] = found[2]
    return wanted


def no_filters(given: Filters, most: int, speed: float, dry_run: bool) -> None:
    """Refuse filters beside ids: what is named is meant."""
    if given or most or speed or dry_run:
        raise ValueError("give ids or filters, not both: what is named is meant anyway")


def limit(most: int | None) -> int:
    """Return how many at most, 0 for all."""
    return 0 if most is None else whole("limit", most, 1)


def whole(name: str, number: object, least: int) -> int:
    """Return a whole number of at least `least`."""
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"{name}={number!r} is not a whole number")
    if not least <= number <= _MOST:
        raise ValueError(f"{name}={number!r} is not between {least} and {_MOST}")
    return number


def rate(written: float | str | None) -> float:
    """Return how many in a second ("50/s" or a number), 0 for no limit."""
    if written is None:
        return 0.0
    text = written.strip().removesuffix("/s") if isinstance(written, str) else written
    try:
        number = float(text)
    except (ValueError, TypeError):
        raise ValueError(f"rate={written!r} is no rate: write 50/s") from None
    if not (math.isfinite(number) and 0.01 <= number <= _MOST):
        raise ValueError(f"rate={written!r} is not between 0.01/s and {_MOST}/s")
    return number
