"""The failure: what `on_failed` gets when a message will not be run again, wherever that was decided.

It is built from a run that just ended in this process, or from a notice that the driver kept because the
run's own process died, was killed, or never read the message (law D15).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from procqueue.core import wire
from procqueue.core.message import Counters, Reservation
from procqueue.core.outcome import Ending, Outcome
from procqueue.core.record import read_notice

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FailedMessage:
    """The message that failed. `args` and `kwargs` are JSON; `task` is "" if it is unreadable."""

    id: str
    queue: str
    task: str
    args: list[Any]
    kwargs: dict[str, Any]
    attempts: int
    crashes: int
    pushed_at: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """A message that failed for good, or was parked.

    `outcome`: how its last run ended. `exception`: what the handler raised; None after a crash, and wherever
    another process saw it. `error`: the same as text. `cause`: signal, exit code, memory, limit of a crash.
    """

    message: FailedMessage
    outcome: Ending
    exception: BaseException | None = None
    error: str = ""
    cause: dict[str, Any] = field(default_factory=dict)
    consumer: str = ""


def failure_of_run(
    reservation: Reservation,
    outcome: Outcome,
    counters: Counters,
    *,
    exception: BaseException | None = None,
    consumer: str = "",
) -> Failure:
    """Return the failure of a run that ended here; `counters` are those after the verdict."""
    message = _message(reservation.id, reservation.queue, reservation.body, counters, reservation.pushed_ms)
    return Failure(message, outcome.ending, exception, outcome.error, {}, consumer)


def failure_of_notice(notice: Reservation) -> Failure:
    """Return the failure that a notice tells of. Raises ValueError if its body is none."""
    header, raw = read_notice(notice.body)
    message = _message(header.id, header.queue, raw, Counters.unpack(header.counters), notice.pushed_ms)
    return Failure(message, Ending(header.outcome), None, header.error, dict(header.cause), header.consumer)


def task_named(body: bytes) -> str:
    """Return the name of the task that a body asks for, "" if it is unreadable."""
    try:
        return wire.decode(body).task
    except wire.Unreadable:
        return ""


def _message(id: str, queue: str, body: bytes, counters: Counters, pushed_ms: int) -> FailedMessage:
    try:
        document = wire.decode(body)
        task, args, kwargs = document.task, document.args, document.kwargs
    except wire.Unreadable:
        task, args, kwargs = "", [], {}
    pushed_at = _EPOCH + timedelta(milliseconds=pushed_ms)
    return FailedMessage(id, queue, task, args, kwargs, counters.attempts, counters.crashes, pushed_at)
