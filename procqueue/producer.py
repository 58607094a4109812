"""The producer: how a process that only pushes finds the store, and hands its messages in.

Where the store is: `connect()`, or what a consumer runs with, or PROCQUEUE_URL, or PROCQUEUE_CONFIG.
Next to read: pushing.py, which stores what is handed in here.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn, cast

from procqueue import standin
from procqueue.core import wire
from procqueue.core.errors import (
    BadArguments,
    ConfigError,
    Problem,
    ProcqueueError,
    PushError,
    PushInterrupted,
)
from procqueue.core.settings.model import DriverSettings, Settings
from procqueue.core.settings.urls import read_url, write_url
from procqueue.core.settings.wrong import Wrong
from procqueue.core.units import seconds
from procqueue.drivers.chunks import chunks
from procqueue.drivers.contract import MAX_ENTRIES, Entry
from procqueue.pushing import Producer, first, first_of_its_key, many
from procqueue.tasks import arguments, middleware, registry
from procqueue.tasks.call import (
    ANYWHERE,
    NOTHING,
    Asked,
    Delay,
    OnDuplicate,
    Placed,
    PushedMany,
    Receipt,
    placed,
)
from procqueue.tasks.ids import new_id
from procqueue.tasks.middleware import Push

if TYPE_CHECKING:
    from procqueue.drivers.contract import Driver
    from procqueue.stored.queue import Queue

PUSH_TIMEOUT = 5.0


def connect(target: str | None = None, push_timeout: float | str = PUSH_TIMEOUT) -> None:
    """Say where pushes of this process go: a driver's URL, or the path of a configuration file.

    Without `target` it is what PROCQUEUE_URL or PROCQUEUE_CONFIG name. `push_timeout` (seconds or "5s") is
    how long a push tries to reach the store. The store itself is reached by the first push. Calling it again
    with the same arguments changes nothing; with others it raises ProcqueueError. Raises ConfigError.
    """
    wanted = (target, seconds(push_timeout))
    if _door.connected == wanted:
        return
    if _door.connected is not None:
        raise ProcqueueError(
            "this process is connected already, to something else or with another push_timeout: "
            "connect once, or close() in between"
        )
    opened = _from_environment(wanted[1]) if target is None else _from_target(target, wanted[1])
    close()
    _door.producer, _door.connected = opened, wanted


def close() -> None:
    """Give back this thread's connection and forget where pushes go. The next push finds it anew."""
    producer, _door.producer, _door.connected = _door.producer, None, None
    if producer is not None:
        producer.close()


async def aclose() -> None:
    """Close, from a coroutine; see close."""
    close()  # at most one socket to close: nothing to wait for


def adopt(settings: Settings) -> None:
    """Let pushes of this process go where `settings` say, unless connect() said otherwise (consumers)."""
    if _door.connected is None:
        close()
        _door.producer = _of(settings, PUSH_TIMEOUT)


def push(task: str, /, *args: Any, **kwargs: Any) -> Receipt:
    """Push by the task's name; its code need not be here, so the arguments are not checked against it.

    The queue is the task's if it is declared in this process, else `default`; `using(queue=…)` says another.
    Raises what Task.push raises.
    """
    return UsingByName(ANYWHERE).push(task, *args, **kwargs)


def using(
    *,
    delay: Delay | None = None,
    at: datetime | None = None,
    queue: str | None = None,
    id: str | None = None,
    remember: Delay | None = None,
    expires: Delay | None = None,
    priority: int | None = None,
    unique: bool | str | None = None,
    until: Delay | None = None,
    on_duplicate: OnDuplicate | None = None,
    debounce: Delay | None = None,
) -> UsingByName:
    """Return options for pushes by name: `using(queue="emails").push("shop.tasks.welcome", 42)`.

    They are those of Task.using; what the task itself asks for in its @task is not known here.
    """
    where = placed(
        delay, at, queue, id, remember, debounce=debounce, expires=expires, priority=priority, unique=unique,
        until=until, on_duplicate=on_duplicate,
    )  # fmt: skip
    return UsingByName(where)


@dataclass(frozen=True, slots=True)
class UsingByName:
    """Options for pushes by name; what `using(…)` returns."""

    placed: Placed

    def push(self, task: str, /, *args: Any, **kwargs: Any) -> Receipt:
        """Push by the task's name, with these options."""
        return push_body(task, _queue_of(task), _encode(task, args, kwargs), self.placed)

    async def apush(self, task: str, /, *args: Any, **kwargs: Any) -> Receipt:
        """Push by the task's name, without blocking the event loop."""
        return await apush_body(task, _queue_of(task), _encode(task, args, kwargs), self.placed)


def queue(name: str) -> Queue:
    """Return a queue of the store that pushes go to, to look into it and to change what stands there.

    Raises UnknownQueue with the nearest name, ConfigError.
    """
    from procqueue.stored.queue import Queue  # who only pushes does not need it

    return Queue(_producer().checked_queue(name), cast("Driver", _Asking()))


def push_body(task: str, queue: str, body: bytes, where: Placed) -> Receipt:
    """Push one encoded message of `task`, to `queue` unless `where` names another."""
    if not middleware.is_around_pushes():
        return _push_body(queue, body, where, {})
    push = Push(task, where.queue or queue)
    return middleware.pushed(push, lambda: _push_body(queue, body, where, push.meta))


async def apush_body(task: str, queue: str, body: bytes, where: Placed) -> Receipt:
    """Push one encoded message in another thread."""
    import asyncio  # who awaits has it already; who does not should not wait for its import

    return await asyncio.to_thread(push_body, task, queue, body, where)


def push_bodies(
    task: str, queue: str, bodies: Iterable[bytes], chunk: int = MAX_ENTRIES, asked: Asked = NOTHING
) -> PushedMany:
    """Push encoded messages lazily, a chunk for `chunk` of them. Raises PushInterrupted."""
    if not 1 <= chunk <= MAX_ENTRIES:
        raise ValueError(f"chunk={chunk!r} is not between 1 and {MAX_ENTRIES}")
    if not middleware.is_around_pushes():
        return _push_bodies(queue, bodies, chunk, asked, {})
    push = Push(task, queue, many=True)
    return middleware.pushed(push, lambda: _push_bodies(queue, bodies, chunk, asked, push.meta))


def _push_body(queue: str, body: bytes, where: Placed, meta: dict[str, Any]) -> Receipt:
    producer = _producer()
    name = producer.checked_queue(where.queue or queue)
    producer = producer.at(name)
    traits = where.asked.traits(body)
    body = wire.with_meta(body, meta)
    entry = producer.entry(where.id or new_id(), body, where.delay_ms, where.at_ms, where.remember_ms, traits)
    shape = first if where.asked.on_duplicate != "raise" else first_of_its_key
    receipt: Receipt = producer.push_one(name, entry, shape)
    return receipt


def _push_bodies(
    queue: str, bodies: Iterable[bytes], chunk: int, asked: Asked, meta: dict[str, Any]
) -> PushedMany:
    producer = _producer()
    name = producer.checked_queue(queue)
    producer = producer.at(name)
    receipts: list[Receipt] = []
    try:
        entries = (
            producer.entry(new_id(), wire.with_meta(body, meta), traits=asked.traits(body)) for body in bodies
        )
        cut = chunks(((name, entry) for entry in entries), chunk)
        for some in producer.push(name, (one.entries for one in cut)):
            receipts += some
    except Exception as error:
        _interrupted(error, len(receipts))
    return many(receipts)


def push_wire(bodies: Iterable[bytes], queue: str | None = None) -> list[Receipt]:
    """Push documents of the wire as they are, their unknown keys too; they say their own id, delay and at.

    Where `queue` is None each goes to the queue of its task. Raises BadArguments for what is unreadable;
    once something is stored, PushInterrupted, with the error as its cause.
    """
    producer = _producer()
    receipts: list[Receipt] = []
    try:
        for some in chunks((_addressed(producer, body, queue) for body in bodies), MAX_ENTRIES):
            for stored in producer.at(some.queue).push(
                some.queue, [some.entries]
            ):  # one by one: ids may be given twice
                receipts += stored
    except Exception as error:
        if not receipts:
            raise
        _interrupted(error, len(receipts))
    return receipts


class _Asking:
    """The driver of the queue that is asked for, through the connection of the thread that asks."""

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        return lambda queue, *args, **kwargs: _producer().at(queue).ask(verb, queue, *args, **kwargs)


class _Door:
    """Where this process pushes to: what connect, adopt or the environment said."""

    def __init__(self) -> None:
        self.producer: Producer | None = None
        self.connected: tuple[str | None, float] | None = None  # the arguments of connect()


_door = _Door()
atexit.register(close)


def _producer() -> Producer:
    if standin.producer is not None:
        return standin.producer
    if _door.producer is None:
        _door.producer = _from_environment(PUSH_TIMEOUT)
    if standin.refusal and _door.producer.is_storing:
        raise PushError(standin.refusal)
    return _door.producer


def _from_environment(push_timeout: float) -> Producer:
    if url := os.environ.get("PROCQUEUE_URL"):
        return _from_url(url, "PROCQUEUE_URL", push_timeout)
    if file := os.environ.get("PROCQUEUE_CONFIG"):
        return _from_file(file, push_timeout)
    raise PushError(
        "it is not known where messages go: set PROCQUEUE_URL or PROCQUEUE_CONFIG, "
        "or call procqueue.connect(…)"
    )


def _from_target(target: str, push_timeout: float) -> Producer:
    if "://" in target:
        return _from_url(target, "connect()", push_timeout)
    return _from_file(target, push_timeout)


def _from_file(file: str, push_timeout: float) -> Producer:
    from procqueue.config import load  # not needed where a URL is enough

    return _of(load(file), push_timeout)


def _of(settings: Settings, push_timeout: float) -> Producer:
    return Producer(settings.driver, settings.queues, push_timeout, settings.drivers)


def _from_url(url: str, named_by: str, push_timeout: float) -> Producer:
    try:
        address = read_url(url)
    except Wrong as wrong:
        raise ConfigError([Problem(named_by, 0, "url", wrong.text, wrong.hint)]) from None
    if address.scheme == "sqlite":
        address = replace(address, path=os.path.abspath(address.path))  # noqa: PTH100
    return Producer(DriverSettings(write_url(address)), None, push_timeout)


def _queue_of(task: str) -> str:
    if not isinstance(task, str):
        raise TypeError(f"push by name needs the name of a task, not {task!r}; a task has a push of its own")
    known = registry.find(task)
    return "default" if known is None else known.queue


def _encode(task: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    return arguments.encode(task, args, kwargs)[0]


def _addressed(producer: Producer, body: bytes, queue: str | None) -> tuple[str, Entry]:
    try:
        document = wire.decode(body)
    except wire.Unreadable as error:
        raise BadArguments(str(error)) from None
    name = producer.checked_queue(queue or _queue_of(document.task))
    id, traits = document.id or new_id(), document.traits
    return name, producer.at(name).entry(id, body, document.delay_ms, document.at_ms, traits=traits)


def _interrupted(error: Exception, done: int) -> NoReturn:
    raise PushInterrupted(f"the push ended after {done} messages: {error}", done) from error
