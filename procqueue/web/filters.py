"""The filters in a URL: the words of the command line (`--task T --arg k=v` is ?task=T&arg=k=v)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import QueryParams

from procqueue.core.filters import Filters
from procqueue.core.message import State
from procqueue.stored import asked
from procqueue.web.problems import Problem
from procqueue.web.redaction import Redaction

NAMES = ("task", "error", "kind", "older-than", "arg")
_MOST = 100
_LONGEST = 4000


def filters_of(query: QueryParams, redaction: Redaction) -> Filters:
    """Return what a URL asks for. Raises Problem: what is not shown cannot be guessed at either."""
    texts = {name: _text(query, name) for name in ("task", "error", "kind", "older-than")}
    try:
        args = asked.args(one for one in query.getlist("arg") if one)
        found = asked.filters(texts["task"], texts["error"], texts["older-than"], args, texts["kind"])
    except (ValueError, TypeError) as wrong:
        raise Problem(400, f"filter: {wrong}") from None
    if hidden := [name for name in args if redaction.hides(name)]:
        raise Problem(403, f"filter: the values of {hidden[0]!r} are not shown ([web] redact)")
    return found


def written(query: QueryParams) -> dict[str, Any]:
    """Return the filters as they stand in the URL, for links that keep them."""
    found: dict[str, Any] = {name: query.get(name, "") for name in NAMES if name != "arg"}
    return {**found, "arg": query.getlist("arg")}


def state_of(query: Mapping[str, str], default: State) -> State:
    """Return ?state=. Raises Problem."""
    word = query.get("state") or default.value
    if word not in list(State):
        raise Problem(400, f"there is no state {word[:50]!r}; the states are {', '.join(State)}")
    return State(word)


def limit_of(query: Mapping[str, str]) -> int:
    """Return ?limit=. Raises Problem."""
    word = query.get("limit") or "50"
    if not (word.isascii() and word.isdecimal() and 1 <= int(word[:6]) <= _MOST):
        raise Problem(400, f"limit={word[:50]!r} is not between 1 and {_MOST}")
    return int(word)


def _text(query: QueryParams, name: str) -> str | None:
    text = query.get(name) or None
    if text is not None and len(text) > _LONGEST:
        raise Problem(400, f"filter: {name} is longer than {_LONGEST} characters")
    return text
