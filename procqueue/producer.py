"""The producer: how a process that only pushes finds the store, and stores messages in it.

Where the store is: `connect()`, or what a consumer runs with, or PROCQUEUE_URL, or PROCQUEUE_CONFIG. Each
thread has a connection of its own, and after a fork a new one: the inherited is neither used nor closed.
A push whose answer got lost is not repeated (it could be stored twice): PushUnknown says so.
"""

from __future__ import annotations

import atexit
import os
import random
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NoReturn, Protocol

from procqueue.core import wire
from procqueue.core.errors import (
    BadArguments,
    ConfigError,
    DriverUnavailable,
    Problem,
    ProcqueueError,
    PushError,
    PushInterrupted,
    PushUnknown,
    TooLarge,
    UnknownQueue,
)
from procqueue.core.settings.model import DriverSettings, QueueSettings, Settings
from procqueue.core.settings.urls import masked, read_url, write_url
from procqueue.core.settings.wrong import Wrong, nearest
from procqueue.core.units import format_seconds, seconds
from procqueue.drivers.chunks import chunks
from procqueue.drivers.contract import MAX_ENTRIES, Entry, Pushed
from procqueue.drivers.opening import open_driver
from procqueue.tasks import arguments, registry
from procqueue.tasks.call import ANYWHERE, Delay, Placed, PushedMany, Receipt, placed
from procqueue.tasks.context import current_or_none
from procqueue.tasks.ids import new_id

PUSH_TIMEOUT = 5.0

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5


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
        _door.producer = Producer(settings.driver, settings.queues, PUSH_TIMEOUT)


def push(task: str, /, *args: Any, **kwargs: Any) -> Receipt:
    """Push by the task's name; its code need not be here, so the arguments are not checked against it.

    The queue is the task's if it is declared in this process, else `default`; `using(queue=…)` says another.
    Raises what Task.push raises.
    """
    return UsingByName(ANYWHERE).push(task, *args, **kwargs)


def using(
    *, delay: Delay | None = None, at: datetime | None = None, queue: str | None = None, id: str | None = None
) -> UsingByName:
    """Return options for pushes by name: `using(queue="emails").push("shop.tasks.welcome", 42)`."""
    return UsingByName(placed(delay, at, queue, id))


@dataclass(frozen=True, slots=True)
class UsingByName:
    """Options for pushes by name; what `using(…)` returns."""

    placed: Placed

    def push(self, task: str, /, *args: Any, **kwargs: Any) -> Receipt:
        """Push by the task's name, with these options."""
        return push_body(_queue_of(task), _encode(task, args, kwargs), self.placed)

    async def apush(self, task: str, /, *args: Any, **kwargs: Any) -> Receipt:
        """Push by the task's name, without blocking the event loop."""
        return await apush_body(_queue_of(task), _encode(task, args, kwargs), self.placed)


def push_body(queue: str, body: bytes, where: Placed) -> Receipt:
    """Push one encoded message, to `queue` unless `where` names another."""
    producer = _producer()
    name = producer.checked_queue(where.queue or queue)
    entry = producer.entry(where.id or new_id(), body, where.delay_ms, where.at_ms)
    return _receipts(name, [entry], producer.push(name, [entry]))[0]


async def apush_body(queue: str, body: bytes, where: Placed) -> Receipt:
    """Push one encoded message in another thread."""
    import asyncio  # who awaits has it already; who does not should not wait for its import

    return await asyncio.to_thread(push_body, queue, body, where)


def push_bodies(queue: str, bodies: Iterable[bytes], chunk: int = MAX_ENTRIES) -> PushedMany:
    """Push encoded messages lazily, a chunk in each round trip. Raises PushInterrupted."""
    if not 1 <= chunk <= MAX_ENTRIES:
        raise ValueError(f"chunk={chunk!r} is not between 1 and {MAX_ENTRIES}")
    producer = _producer()
    name = producer.checked_queue(queue)
    receipts: list[Receipt] = []
    try:
        for some in chunks(((name, producer.entry(new_id(), body)) for body in bodies), chunk):
            receipts += _receipts(name, some.entries, producer.push(name, some.entries))
    except Exception as error:
        _interrupted(error, len(receipts))
    queued = sum(map(bool, receipts))
    return PushedMany(queued, len(receipts) - queued, tuple(receipt.id for receipt in receipts))


def push_wire(bodies: Iterable[bytes], queue: str | None = None) -> list[Receipt]:
    """Push documents of the wire as they are, their unknown keys too; they say their own id, delay and at.

    Where `queue` is None each goes to the queue of its task. Raises BadArguments for what is unreadable;
    once something is stored, PushInterrupted, with the error as its cause.
    """
    producer = _producer()
    receipts: list[Receipt] = []
    try:
        for some in chunks((_addressed(producer, body, queue) for body in bodies), MAX_ENTRIES):
            receipts += _receipts(some.queue, some.entries, producer.push(some.queue, some.entries))
    except Exception as error:
        if not receipts:
            raise
        _interrupted(error, len(receipts))
    return receipts


class Store(Protocol):
    """What a producer needs of a driver."""

    def push(self, queue: str, entries: list[Entry], /) -> list[Pushed]: ...
    def close(self) -> None: ...


class Producer:
    """Pushes to one store. `queues`: those of the configuration, None where only a URL is known."""

    def __init__(
        self, driver: DriverSettings, queues: Mapping[str, QueueSettings] | None, push_timeout: float
    ) -> None:
        self._driver = driver
        self._queues = queues
        self._push_timeout = push_timeout
        self._local = threading.local()

    def checked_queue(self, queue: str) -> str:
        """Return `queue` if it can be pushed to. Raises UnknownQueue with the nearest name."""
        if self._queues is None:
            if wire.is_queue_name(queue):
                return queue
            raise UnknownQueue(f"{queue!r} cannot be the name of a queue: a-z 0-9 . _ -, at most 64")
        if queue in self._queues:
            return queue
        known = ", ".join(sorted(self._queues)[:20]) or "none"
        hint = nearest(str(queue), self._queues) or f"it has {known}"
        raise UnknownQueue(f"the configuration has no queue {queue!r}; {hint}")

    def entry(self, id: str, body: bytes, delay_ms: int = 0, at_ms: int | None = None) -> Entry:
        """Return an entry to push. Raises TooLarge."""
        if len(body) > self._driver.max_body:
            raise TooLarge(
                f"the message has {len(body):,} bytes, and max_body is {self._driver.max_body:,}: "
                "push a reference to the data instead, or raise [driver] max_body"
            )
        return Entry(id, body, delay_ms, at_ms)

    def push(self, queue: str, entries: list[Entry]) -> list[Pushed]:
        """Store `entries`, trying again until push_timeout while the store is away.

        Raises DriverUnavailable, PushUnknown with the ids, Full, DriverError.
        """
        if self._driver.scheme == "sync":  # what handlers raise in there is not the store's
            return self._store().push(queue, entries)
        deadline = time.monotonic() + self._push_timeout
        pause = _FIRST_PAUSE
        while True:
            try:
                with _undisturbed():
                    return self._store().push(queue, entries)
            except DriverUnavailable as error:
                left = deadline - time.monotonic()
                if error.sent or left <= 0:
                    self._give_up(error, entries)
            time.sleep(min(left, pause * (0.5 + random.random())))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def close(self) -> None:
        """Give back this thread's connection; those of other threads end with them."""
        held = self._local.__dict__.pop("held", None)
        if held is None:
            return
        if held.pid == os.getpid():
            held.store.close()
        else:
            _door.inherited.append(held)

    def _store(self) -> Store:
        held: _Held | None = self._local.__dict__.get("held")
        if held is None or held.pid != os.getpid():
            if held is not None:
                _door.inherited.append(held)
            held = self._local.held = _door.hold(self._open())
        return held.store

    def _open(self) -> Store:
        if self._driver.scheme != "sync":
            return open_driver(self._driver)
        from procqueue.drivers.sync import SyncDriver
        from procqueue.tasks.inline import executor

        options = dict(read_url(self._driver.url).options)
        return SyncDriver(executor(self._settings_of), raises=options.get("raise") != "0")

    def _settings_of(self, queue: str) -> QueueSettings:
        known = self._queues.get(queue) if self._queues is not None else None
        return known or QueueSettings(name=queue)

    def _give_up(self, error: DriverUnavailable, entries: list[Entry]) -> NoReturn:
        where = masked(self._driver.url)
        if error.sent:
            raise PushUnknown(
                f"the push was sent to {where} and no answer came: it may or may not be stored ({error})",
                tuple(entry.id for entry in entries),
            ) from error
        raise DriverUnavailable(
            f"{where} could not be reached within {format_seconds(self._push_timeout)}: {error}"
        ) from error


@dataclass(slots=True, weakref_slot=True, eq=False)
class _Held:
    """An open store, and the process that opened it."""

    pid: int
    store: Store

    def __del__(self) -> None:
        if self.pid == os.getpid():  # its thread has ended
            self.store.close()


class _Door:
    """Where this process pushes to: what connect, adopt or the environment said."""

    def __init__(self) -> None:
        self.producer: Producer | None = None
        self.connected: tuple[str | None, float] | None = None  # the arguments of connect()
        self.inherited: list[Any] = []  # kept for ever: to forget a connection is to close it
        self._closes_at_exit = False
        self._open: dict[int, weakref.ref[_Held]] = {}
        os.register_at_fork(before=self._before_fork, after_in_parent=self._after_fork_in_parent)

    def hold(self, store: Store) -> _Held:
        held = _Held(os.getpid(), store)
        if not self._closes_at_exit:
            self._closes_at_exit = True
            atexit.register(close)
        key = id(held)
        self._open[key] = weakref.ref(held, lambda _: self._open.pop(key, None))
        return held

    def _before_fork(self) -> None:
        # The child loses its parent's other threads, and with them their connections: they must not close.
        self.inherited.append([ref() for ref in list(self._open.values())])

    def _after_fork_in_parent(self) -> None:
        self.inherited.pop()


_door = _Door()


def _producer() -> Producer:
    if _door.producer is None:
        _door.producer = _from_environment(PUSH_TIMEOUT)
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

    settings = load(file)
    return Producer(settings.driver, settings.queues, push_timeout)


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
    return name, producer.entry(document.id or new_id(), body, document.delay_ms, document.at_ms)


def _receipts(queue: str, entries: list[Entry], pushed: list[Pushed]) -> list[Receipt]:
    return [Receipt(entry.id, queue, one.value) for entry, one in zip(entries, pushed, strict=True)]


def _interrupted(error: Exception, done: int) -> NoReturn:
    raise PushInterrupted(f"the push ended after {done} messages: {error}", done) from error


def _undisturbed() -> AbstractContextManager[None]:
    """Return a block that no soft timeout interrupts; it is only the main thread that it comes to."""
    message = current_or_none()
    if message is None or threading.current_thread() is not threading.main_thread():
        return nullcontext()
    return message.shield()
