"""Listeners: `@procqueue.on(…)` hears what becomes of messages and of consumers, and can change none of it.

A listener runs when all is decided, and what it raises is logged (law D11). Without a listener an event costs
one look into a dictionary. Next to read: telling.py, which makes the events.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from procqueue.core.errors import TaskError
from procqueue.core.outcome import DONE
from procqueue.tasks.context import Message, call
from procqueue.tasks.registry import origin_of

#: What can be heard.
Name = Literal[
    "before_handle", "after_handle", "retry_handle", "failed_handle", "timeout_handle", "dropped_handle",
    "consumer_started", "consumer_left", "consumer_crashed", "queue_length", "reloaded",
]  # fmt: skip
NAMES: tuple[Name, ...] = get_args(Name)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened.

    `message`: as current() has it, but all is decided; None for events of consumers. `exception`: what the
    handler raised, None where another process saw it. `error`: the same as text. `result`: what the handler
    returned. `seconds`: how long it ran, None if that is not known. `length`: how many messages wait.
    `level`: of that length, "" below all. `reason`: why a message was dropped, "expired" or "cancelled".
    """

    name: Name
    message: Message | None = None
    task: str = ""
    queue: str = ""
    consumer: str = ""
    exception: BaseException | None = None
    result: Any = None
    seconds: float | None = None
    length: int | None = None
    error: str = ""
    level: str = ""
    reason: str = ""


Listener = Callable[[Event], object]
L = TypeVar("L", bound=Listener)

_log = logging.getLogger("procqueue")
_listeners: dict[str, list[Listener]] = {}  # filled, like the registry of tasks, by importing the application


def on(*names: Name) -> Callable[[L], L]:
    """Have a function called with each Event of these names; it is given back as it was.

    Raises TaskError for what is no event, or no function of one argument.
    """
    if not names:
        raise TaskError(f"on() needs the names of events: {', '.join(NAMES)}")
    for name in names:
        if name not in NAMES:
            raise TaskError(f"on({name!r}): {_why_not(name)}")

    def listen(listener: L) -> L:
        if not callable(listener):
            raise TaskError(f"on() is for functions, not for {listener!r}")
        for name in names:
            heard = _listeners.setdefault(name, [])
            # The same function declared again (a module imported anew) takes the place of the earlier one.
            heard[:] = [one for one in heard if origin_of(one) != origin_of(listener)]
            heard.append(listener)
        return listener

    return listen


def is_heard(*names: Name) -> bool:
    """Return whether anybody listens to one of these."""
    return any(map(_listeners.get, names)) if _listeners else False


def tell(event: Event) -> None:
    """Have everybody who listens hear of it, each in a context of its own. Raises nothing."""
    witness = event.message or Message(id="", queue=event.queue, task="", ticket=0, verdict=DONE)
    for listener in _listeners.get(event.name, ()):
        try:
            call(witness, listener, (event,), {})
        except BaseException as error:  # SystemExit too: nothing that a listener does decides anything
            text = "event=listener_failed listener=%s about=%s id=%s"
            _log.error(text, _name(listener), event.name, witness.id, exc_info=error)


def forget(listener: Listener) -> None:
    """Let `listener` hear nothing any more: for tests."""
    for name in list(_listeners):
        left = [one for one in _listeners[name] if one is not listener]
        if left:
            _listeners[name] = left
        else:
            del _listeners[name]


def _why_not(name: object) -> str:
    from procqueue.core.settings.wrong import nearest  # only a mistake pays for it

    return f"there is no such event; {nearest(str(name), NAMES) or 'the events are ' + ', '.join(NAMES)}"


def _name(listener: Listener) -> str:
    return f"{getattr(listener, '__module__', '?')}.{getattr(listener, '__qualname__', repr(listener))}"
