"""Middleware: what the application puts around each handle and push, and at the two ends of each consumer.

The first `@procqueue.around` is the outermost. What one raises counts as raised by the handler; one that does
not call `run()` has handled the message itself. A `def` stands around the handlers that are `def`, an
`async def` around those that are `async def`: neither could wait for the end of the other kind.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from procqueue.core.errors import TaskError
from procqueue.tasks.context import Message
from procqueue.tasks.registry import origin_of

Around = Callable[[Message, Callable[[], Any]], Any]
A = TypeVar("A", bound=Around)
AroundPush = Callable[["Push", Callable[[], Any]], Any]
U = TypeVar("U", bound=AroundPush)
T = TypeVar("T")
End = Callable[[], object]
E = TypeVar("E", bound=End)


@dataclass(frozen=True, slots=True)
class Push:
    """One call of push, apush or push_many. What is put into `meta` (JSON) is in the meta of its messages."""

    task: str
    queue: str
    many: bool = False
    meta: dict[str, Any] = field(default_factory=dict)


#: Filled, like the registry of tasks, by importing the application.
_arounds: list[Around] = []
_async_arounds: list[Around] = []
_pushes: list[AroundPush] = []
_setups: list[End] = []
_teardowns: list[End] = []


def around(middleware: A) -> A:
    """Have `middleware(message, run)` called in place of each handler; `run()` calls the handler.

    An `async def` is called in place of each handler that is `async def`, and awaits `run()`.
    """
    _add(_async_arounds if inspect.iscoroutinefunction(middleware) else _arounds, middleware)
    return middleware


def around_push(middleware: U) -> U:
    """Have `middleware(push, run)` called in place of each push; `run()` pushes and returns what push does.

    push_many is one push. apush calls it in the thread that pushes, with the context of the caller. What it
    raises leaves the push; what it returns is what push returns.
    """
    _check_plain(middleware, "around_push")
    _add(_pushes, middleware)
    return middleware


def consumer_setup(function: E) -> E:
    """Have `function()` called in each consumer before it is ready; what it raises ends the consumer."""
    _check_plain(function, "consumer_setup")
    _add(_setups, function)
    return function


def consumer_teardown(function: E) -> E:
    """Have `function()` called in each consumer that leaves, after its last message; the last one first."""
    _check_plain(function, "consumer_teardown")
    _add(_teardowns, function)
    return function


def surrounded(
    message: Message, handler: Callable[..., Any], *, is_async: bool = False
) -> Callable[..., Any]:
    """Return the handler with all that is around it, to be called with the handler's arguments."""
    outer = _async_arounds if is_async else _arounds
    return partial(_run, message, handler, tuple(outer)) if outer else handler


def is_around_others_only(*, is_async: bool) -> bool:
    """Return whether something stands around handlers, and nothing around those of this kind."""
    ours, others = (_async_arounds, _arounds) if is_async else (_arounds, _async_arounds)
    return bool(others) and not ours


def is_around_pushes() -> bool:
    """Return whether anything stands around pushes."""
    return bool(_pushes)


def pushed(push: Push, run: Callable[[], T]) -> T:
    """Push with all that is around it."""
    for middleware in reversed(_pushes):
        run = partial(middleware, push, run)
    return run()


def setups() -> list[End]:
    """Return what is to be called in a new consumer, in order."""
    return list(_setups)


def teardowns() -> list[End]:
    """Return what is to be called in a consumer that leaves, in order."""
    return _teardowns[::-1]


def forget(function: object) -> None:
    """Leave `function` out from now on: for tests."""
    lists: tuple[list[Any], ...] = (_arounds, _async_arounds, _pushes, _setups, _teardowns)
    for known in lists:
        known[:] = [one for one in known if one is not function]


def _run(
    message: Message, handler: Callable[..., Any], outer: tuple[Around, ...], *args: Any, **kwargs: Any
) -> Any:
    run = partial(handler, *args, **kwargs)
    for middleware in reversed(outer):
        run = partial(middleware, message, run)
    return run()


def _check_plain(function: Any, where: str) -> None:
    if inspect.iscoroutinefunction(function):
        raise TaskError(f"{where} is for plain functions: {function!r} is async, and nobody would await it")


def _add(known: list[Any], function: Any) -> None:
    if not callable(function):
        raise TaskError(f"this is for functions, not for {function!r}")
    # The same function declared again (a module imported anew) takes the place of the earlier one.
    where = origin_of(function)
    place = next((at for at, one in enumerate(known) if origin_of(one) == where), None)
    if place is None:
        known.append(function)
    else:
        known[place] = function
