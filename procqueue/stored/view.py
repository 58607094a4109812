"""A stored message as people and programs look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from procqueue.core import wire
from procqueue.core.message import Stored
from procqueue.core.record import Record

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Run:
    """One run that ended badly. `outcome` is a word of core.outcome.Ending; `cause` is that of a crash."""

    began_at: datetime | None
    seconds: float | None
    consumer: str
    ticket: int
    outcome: str
    error: str
    traceback: str
    cause: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One stored message. `state`: waiting, delayed, reserved, timeout or failed.

    `task`, `args` and `kwargs` (JSON) are None if the body is unreadable. `due_at`: while delayed.
    `ended_at`: since when it is failed or parked. `error`: of the last run, None if there was none.
    `history`: the runs that ended badly, oldest first.
    """

    id: str
    queue: str
    task: str | None
    args: list[Any] | None
    kwargs: dict[str, Any] | None
    state: str
    attempts: int
    crashes: int
    suspects: int
    interrupts: int
    releases: int
    pushed_at: datetime
    due_at: datetime | None
    ended_at: datetime | None
    error: str | None
    history: tuple[Run, ...]


def view_of(one: Stored) -> StoredMessage:
    """Return what a driver stored, readable."""
    try:
        document: wire.Document | None = wire.decode(one.body)
    except wire.Unreadable:
        document = None
    history = tuple(run for line in one.history if (run := _run(line)) is not None)
    counters = one.counters
    return StoredMessage(
        id=one.id,
        queue=one.queue,
        task=None if document is None else document.task,
        args=None if document is None else document.args,
        kwargs=None if document is None else document.kwargs,
        state=one.state.value,
        attempts=counters.attempts,
        crashes=counters.crashes,
        suspects=counters.suspects,
        interrupts=counters.interrupts,
        releases=counters.releases,
        pushed_at=_EPOCH + timedelta(milliseconds=one.pushed_ms),
        due_at=_moment(one.due_ms),
        ended_at=_moment(one.ended_ms),
        error=history[-1].error or None if history else None,
        history=history,
    )


def _run(line: bytes) -> Run | None:
    try:
        record = Record.decode(line)
    except (ValueError, TypeError):
        return None
    return Run(
        _moment(record.began_ms), record.seconds, record.consumer, record.ticket, record.outcome,
        record.error, record.traceback, record.cause,
    )  # fmt: skip


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else _EPOCH + timedelta(milliseconds=ms)
