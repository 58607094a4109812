"""Pushing: entries become stored messages, on a connection for each thread, each message once.

After a fork a thread's connection is replaced: the inherited one is neither used nor closed. A push whose
answer got lost is repeated until push_timeout, and stored once (law D10); then PushUnknown says that it is
not known. What is pushed after that does not wait for it: it goes under another session.
Next to read: drivers/lanes.py, which makes repeats exact.
"""

from __future__ import annotations

import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

from procqueue.core import wire
from procqueue.core.errors import (
    DriverError,
    DriverUnavailable,
    Duplicate,
    GateClosed,
    PushError,
    PushUnknown,
    TooLarge,
    UnknownQueue,
)
from procqueue.core.settings.model import DriverSettings, QueueSettings
from procqueue.core.settings.urls import masked, read_url
from procqueue.core.settings.wrong import nearest
from procqueue.core.traits import PLAIN, Traits
from procqueue.core.units import format_seconds
from procqueue.drivers.contract import Answer, Entry, Locked, Pushed
from procqueue.drivers.lanes import REPEATABLE_SECONDS, Course, Sessions, Store
from procqueue.drivers.opening import open_driver
from procqueue.tasks.call import PushedMany, Receipt, Unanswered
from procqueue.tasks.context import current_or_none

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5

#: What the caller of a push gets, made of the receipts.
Shape = Callable[[Sequence[Receipt]], Any]


def first(receipts: Sequence[Receipt]) -> Receipt:
    """Return what the push of one message gives."""
    return receipts[0]


def first_of_its_key(receipts: Sequence[Receipt]) -> Receipt:
    """Return what the push of one message gives. Raises Duplicate."""
    [receipt] = receipts
    if receipt.outcome == "duplicate":
        raise Duplicate(
            f"queue {receipt.queue!r} has a message of that key or id already: {receipt.id}",
            receipt.id,
        )
    return receipt


def many(receipts: Sequence[Receipt]) -> PushedMany:
    """Return what the push of many messages gives."""
    outcomes = [receipt.outcome for receipt in receipts]
    ids = tuple(receipt.id for receipt in receipts)
    return PushedMany(
        outcomes.count("queued"), outcomes.count("duplicate"), ids, outcomes.count("gate_closed")
    )


class Producer:
    """Pushes to one store. `queues`: those of the configuration, None where only a URL is known.

    `others`: the drivers with a name; `at` says whose producer a queue has.
    """

    def __init__(
        self,
        driver: DriverSettings,
        queues: Mapping[str, QueueSettings] | None,
        push_timeout: float,
        others: Mapping[str, DriverSettings] | None = None,
    ) -> None:
        self._others = {name: Producer(other, queues, push_timeout) for name, other in (others or {}).items()}
        self._driver = driver
        self._queues = queues
        self.is_storing = driver.scheme != "sync"
        self._push_timeout = push_timeout
        self._local = threading.local()
        self._sessions = Sessions()

    def at(self, queue: str) -> Producer:
        """Return the producer that pushes to the store of a queue."""
        return self._others.get(self._settings_of(queue).driver, self) if self._others else self

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

    def entry(
        self,
        id: str,
        body: bytes,
        delay_ms: int = 0,
        at_ms: int | None = None,
        remember_ms: int = 0,
        traits: Traits = PLAIN,
    ) -> Entry:
        """Return an entry to push. Raises TooLarge."""
        if len(body) > self._driver.max_body:
            raise TooLarge(
                f"the message has {len(body):,} bytes, and max_body is {self._driver.max_body:,}: "
                "push a reference to the data instead, or raise [driver] max_body"
            )
        return Entry(id, body, delay_ms, at_ms, remember_ms, traits)

    def push(self, queue: str, chunks: Iterable[list[Entry]], shape: Shape = many) -> Iterator[list[Receipt]]:
        """Store chunks in their order; yield the receipts of each. Several may be on their way at once.

        While the store is away it tries again, until push_timeout has passed for a chunk. What `chunks`
        raises comes out when all in front of it is stored. Raises DriverUnavailable, Full, DriverError,
        GateClosed: what was not yielded is not stored; PushUnknown: what has its ids may be, and `shape`
        says what their repeat() returns.
        """
        if not self.is_storing:  # what handlers raise in there is not the store's
            for entries in chunks:
                yield _receipts(queue, entries, self._store().push(queue, entries))
            return
        course = Course(queue, self._sessions.take(queue), inside=current_or_none() is not None)
        try:
            ending = yield from self._push(course, iter(chunks), shape)
        finally:
            if course.is_clean:
                self._sessions.give_back(queue, course.session)
        if ending is not None:
            raise ending

    def push_one(self, queue: str, entry: Entry, shape: Shape = first) -> Any:
        """Store one message as `push` does, and return what `shape` makes of its receipt."""
        if not self.is_storing:
            [receipts] = self.push(queue, [[entry]])
            return shape(receipts)
        course = Course(queue, self._sessions.take(queue), inside=current_or_none() is not None)
        course.add([entry])
        try:
            return shape(self.checked(queue, self.answer(course, shape)))
        finally:
            if course.is_clean:
                self._sessions.give_back(queue, course.session)

    def answer(self, course: Course, shape: Shape, repeat: _Repeat | None = None) -> list[Receipt]:
        """Return the receipts of the oldest chunk of a course, trying until push_timeout.

        `repeat`: what stands behind the receipt if this is a repeat already.
        """
        deadline = time.monotonic() + self._push_timeout
        pause = _FIRST_PAUSE
        entries = course.chunks[0].entries
        while True:
            try:
                with _undisturbed():
                    answers = course.answer(self._store())
                return _receipts(course.queue, entries, answers)
            except DriverUnavailable as error:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise self._given_up(error, course, repeat or _Repeat(self, course, shape)) from error
            except DriverError as error:
                if course.is_doubtful:  # this copy was refused, but an earlier one may still come
                    raise self._given_up(error, course, repeat or _Repeat(self, course, shape)) from error
                raise
            time.sleep(min(left, pause * (0.5 + random.random())))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def checked(self, queue: str, receipts: list[Receipt]) -> list[Receipt]:
        """Return receipts. Raises GateClosed if one of them met a closed gate and the queue wants that."""
        shut = "gate_closed" in [receipt.outcome for receipt in receipts]
        if shut and self._settings_of(queue).gate_closed == "raise":
            raise GateClosed(
                f"the gate of queue {queue!r} is closed, nothing was stored: procqueue gate open {queue} "
                f'opens it; with gate_closed = "drop" in [queues.{queue}] the receipt says so instead'
            )
        return receipts

    def ask(self, verb: str, *args: Any, **kwargs: Any) -> Any:
        """Call a verb of the driver (drivers/contract.py) on this thread's connection. Raises DriverError."""
        if not self.is_storing:
            raise DriverError("sync:// runs each task inside push, so nothing is stored to look at")
        with _undisturbed():
            return getattr(self._store(), verb)(*args, **kwargs)

    def close(self) -> None:
        """Give back this thread's connection; those of other threads end with them."""
        for other in self._others.values():
            other.close()
        held = self._local.__dict__.pop("held", None)
        if held is None:
            return
        if held.pid == os.getpid():
            held.store.close()
        else:
            _connections.inherited.append(held)

    def _push(
        self, course: Course, chunks: Iterator[list[Entry]], shape: Shape
    ) -> Generator[list[Receipt], None, Exception | None]:
        ending = None
        more = True
        while True:
            while more and not course.is_full:
                try:
                    course.add(next(chunks))
                except StopIteration:
                    more = False
                except Exception as error:
                    ending, more = error, False
                else:
                    self._send_ahead(course)
            if not course.chunks:
                return ending
            yield self.checked(course.queue, self.answer(course, shape))

    def _send_ahead(self, course: Course) -> None:
        if course.flows:
            with _undisturbed():
                course.send_ahead(self._store())

    def _given_up(self, error: DriverError, course: Course, repeat: _Repeat) -> PushError | DriverError:
        where = masked(self._driver.url)
        if course.is_doubtful:
            text = f"the push was sent to {where} and no answer came: it may or may not be stored ({error})"
            return repeat.unknown(text)
        return DriverUnavailable(
            f"{where} could not be reached within {format_seconds(self._push_timeout)}: {error}"
        )

    def _store(self) -> Store:
        held: _Held | None = self._local.__dict__.get("held")
        if held is None or held.pid != os.getpid():
            if held is not None:
                _connections.inherited.append(held)
            held = self._local.held = _connections.hold(self._open())
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


class _Repeat:
    """What stands behind the receipt of PushUnknown: the chunks that were lost, to be sent again."""

    def __init__(self, producer: Producer, course: Course, shape: Shape) -> None:
        self._producer = producer
        self._course = course
        self._shape = shape
        self._receipts: list[Receipt] = []
        self._unanswered: Unanswered | None = None

    def unknown(self, text: str) -> PushUnknown:
        """Return the error for what the course has left."""
        ids = tuple(entry.id for chunk in self._course.chunks for entry in chunk.entries)
        if self._unanswered is None:
            self._unanswered = Unanswered(ids, self._send)
        return PushUnknown(text, ids, self._unanswered)

    def _send(self) -> Any:
        course = self._course
        while course.chunks:
            if course.is_too_old:
                raise self.unknown(
                    f"it is too late to repeat the push exactly: {format_seconds(REPEATABLE_SECONDS)} have "
                    "passed, and the store may have forgotten its session; look for the messages by their ids"
                )
            try:
                self._receipts += self._producer.answer(course, self._shape, self)
            except DriverError as error:  # of a chunk behind the lost one: what is left can be repeated
                raise self.unknown(f"the push is not stored to its end yet: {error}") from error
        return self._shape(self._producer.checked(course.queue, self._receipts))


@dataclass(slots=True, weakref_slot=True, eq=False)
class _Held:
    """An open store, and the process that opened it."""

    pid: int
    store: Store

    def __del__(self) -> None:
        if self.pid == os.getpid():  # its thread has ended
            self.store.close()


class _Connections:
    """The open stores of all threads of this process, and those that must outlive a fork untouched."""

    def __init__(self) -> None:
        self.inherited: list[Any] = []  # kept for ever: to forget a connection is to close it
        self._open: dict[int, weakref.ref[_Held]] = {}
        os.register_at_fork(before=self._before_fork, after_in_parent=self._after_fork_in_parent)

    def hold(self, store: Store) -> _Held:
        held = _Held(os.getpid(), store)
        key = id(held)
        self._open[key] = weakref.ref(held, lambda _: self._open.pop(key, None))
        return held

    def _before_fork(self) -> None:
        # The child loses its parent's other threads, and with them their connections: they must not close.
        self.inherited.append([ref() for ref in list(self._open.values())])

    def _after_fork_in_parent(self) -> None:
        self.inherited.pop()


_connections = _Connections()


_OUTCOMES: Mapping[Pushed, Literal["duplicate", "gate_closed"]] = {
    Pushed.DUPLICATE: "duplicate",
    Pushed.GATE_CLOSED: "gate_closed",
}


_QUEUED = Pushed.QUEUED


def _receipts(queue: str, entries: list[Entry], answers: list[Answer]) -> list[Receipt]:
    return [
        Receipt(entry.id, queue, "queued") if one is _QUEUED else _other_receipt(queue, entry, one)
        for entry, one in zip(entries, answers, strict=True)
    ]


def _other_receipt(queue: str, entry: Entry, answer: Answer) -> Receipt:
    if isinstance(answer, Locked):
        return Receipt(answer.id, queue, "duplicate")
    return Receipt(entry.id, queue, _OUTCOMES.get(answer, "queued"))


def _undisturbed() -> AbstractContextManager[None]:
    """Return a block that no soft timeout interrupts; it is only the main thread that it comes to."""
    message = current_or_none()
    if message is None or threading.current_thread() is not threading.main_thread():
        return nullcontext()
    return message.shield()
