"""From a command line, or lines of JSON, to the documents of the wire and the queue that they go to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BufferedIOBase
from typing import Any, BinaryIO

import msgspec

from procqueue.cli.failures import no_such_queue, usage
from procqueue.core import wire
from procqueue.core.errors import BadArguments
from procqueue.core.settings.model import Settings
from procqueue.tasks import registry
from procqueue.tasks.call import Placed, placed

_PAIR = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(:?=)(.*)", re.DOTALL)

#: Where a task's own queue is not known, this one is meant, if there is one of that name.
_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of one push."""

    queue: str | None = None
    delay: str | None = None
    at: str | None = None
    id: str | None = None
    count: int = 1
    unique: str | None = None  # "": task and arguments
    expires: str | None = None
    priority: int | None = None

    def placed(self) -> Placed:
        """Return them checked. Raises Refusal."""
        if self.id is not None and self.count > 1:
            raise usage("--id and --count together would push the same message again", "give one of them")
        if self.unique is not None and self.count > 1:
            raise usage("--unique and --count together would push the same message again", "give one of them")
        try:
            at = None if self.at is None else _moment(self.at)
            return placed(
                self.delay, at, self.queue, self.id,
                unique=self.unique or (None if self.unique is None else True),
                expires=self.expires, priority=self.priority,
            )  # fmt: skip
        except ValueError as error:
            # It speaks of the arguments of using(), which bear the names of our options.
            raise usage(
                re.sub(r"\b(delay|at|id|unique|expires|priority)=:? ?", r"--\1 ", str(error))
            ) from None


def document(task: str, arguments: Iterable[str], asked: Asked) -> Iterator[bytes]:
    """Yield the document of one call as typed, `count` times. Raises Refusal."""
    args, kwargs, lax = _arguments(arguments)
    where = asked.placed()
    try:
        traits = where.asked.traits(wire.encode(task, args, kwargs))
        body = wire.encode(
            task,
            args,
            kwargs,
            id=where.id,
            lax=lax,
            delay_ms=where.delay_ms,
            at_ms=where.at_ms,
            traits=traits,
        )
    except (ValueError, TypeError) as error:
        raise usage(f"the arguments cannot be sent: {error}", "they have to be UTF-8") from None
    return iter([body] * asked.count)


def documents(stream: BinaryIO | BufferedIOBase) -> Iterator[bytes]:
    """Yield documents from JSON lines, or from one document that spans several lines. Raises BadArguments."""
    first = stream.readline()
    while first and not first.strip():
        first = stream.readline()
    if not first:
        raise usage("there is nothing on stdin", 'write {"task": "shop.tasks.welcome", "args": [42]}')
    if not _is_complete(first):
        yield _checked(first + stream.read(), "stdin")
        return
    yield _checked(first, "line 1")
    for number, line in enumerate(stream, 2):
        if line.strip():
            yield _checked(line, f"line {number}")


def where_to(
    bodies: Iterator[bytes], asked: Asked, settings: Settings | None, *, check: bool
) -> tuple[str | None, Iterator[bytes]]:
    """Return the queue (None: each task's own), and the bodies, checked against the application if asked.

    sync:// runs the tasks here and now, so it always needs the application. Raises Refusal.
    """
    runs_here = settings is not None and settings.driver.scheme == "sync"
    if not (check or runs_here):
        return asked.queue or _only_queue(settings), bodies
    if settings is None:
        raise usage("--check needs a configuration file that names the application", "name it by -c FILE")
    from procqueue.cli.application import import_application

    import_application(settings)
    if asked.queue is not None and asked.queue not in settings.queues:
        raise no_such_queue(asked.queue, settings.queues)
    return asked.queue, (_bound(body) for body in bodies)


def _only_queue(settings: Settings | None) -> str:
    if settings is None:
        return _DEFAULT
    if _DEFAULT in settings.queues:
        return _DEFAULT
    if len(settings.queues) == 1:
        return next(iter(settings.queues))
    names = ", ".join(sorted(settings.queues)[:20])
    hint = f"give --queue, or --check to ask the application; the queues are: {names}"
    raise usage("which queue? The task's own is not known without importing the application", hint)


def _arguments(written: Iterable[str]) -> tuple[list[str], dict[str, Any], bool]:
    """Return positional and named arguments, and whether any of them is text to be converted."""
    args: list[str] = []
    kwargs: dict[str, Any] = {}
    lax = False
    for text in written:
        found = _PAIR.fullmatch(text)
        if found is None:
            args.append(text)
            lax = True
            continue
        name, sign, value = found.groups()
        if name in kwargs:
            raise usage(f"{name} is given twice")
        kwargs[name] = _exact(name, value) if sign == ":=" else value
        lax = lax or sign == "="
    return args, kwargs, lax


def _exact(name: str, value: str) -> Any:
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise usage(f"{name}:={value}: not JSON: {error}", f"{name}={value} sends it as text") from None


def _moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise usage(f"--at {text!r} is not a moment", "write it as 2026-11-22T08:00:00Z") from None
    if at.tzinfo is None:
        raise usage(f"--at {text!r} has no time zone", f"write {text}Z for UTC, or its own as +01:00")
    return at


def _is_complete(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _checked(body: bytes, place: str) -> bytes:
    try:
        wire.decode(body.strip())
    except wire.Unreadable as error:
        raise BadArguments(f"{place}: {error}") from None
    return body.strip()


def _bound(body: bytes) -> bytes:
    """Return `body` if a task of the application takes it. Raises BadArguments."""
    document = wire.decode(body)
    task = registry.find(document.task)
    if task is None:
        near = registry.nearest(document.task)
        raise BadArguments(
            f"no task is named {document.task!r}" + (f"; did you mean {near!r}?" if near else "")
        )
    try:
        task.arguments.bind(document)
    except BadArguments as error:
        raise BadArguments(f"{task.name}: {error}") from None
    return body
