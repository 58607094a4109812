"""Stored messages as the API and the pages show them: as `messages --json` does, without what is hidden."""

from __future__ import annotations

from typing import Any

from procqueue.stored.groups import Group
from procqueue.stored.view import Run, StoredMessage
from procqueue.web.redaction import Redaction
from procqueue.web.rendering import moment, moment_of_ms


def of_message(one: StoredMessage) -> dict[str, Any]:
    """Return one message of a list."""
    return {
        "id": one.id,
        "queue": one.queue,
        "task": one.task,
        "state": one.state,
        "attempts": one.attempts,
        "crashes": one.crashes,
        "suspects": one.suspects,
        "interrupts": one.interrupts,
        "releases": one.releases,
        "pushed_at": moment(one.pushed_at),
        "due_at": moment(one.due_at),
        "ended_at": moment(one.ended_at),
        "error": one.error,
    }


def of_whole_message(one: StoredMessage, redaction: Redaction) -> dict[str, Any]:
    """Return everything that is shown of one message."""
    return {
        **of_message(one),
        "args": redaction.of(one.args),
        "kwargs": redaction.of(one.kwargs),
        "history": [_of_run(run) for run in one.history],
    }


def of_group(group: Group, queue: str) -> dict[str, Any]:
    """Return one group of failures."""
    return {
        "queue": queue,
        "task": group.task or None,
        "error": group.error or None,
        "count": group.count,
        "first_at": moment_of_ms(group.first_ms),
        "last_at": moment_of_ms(group.last_ms),
        "example": group.example,
    }


def _of_run(run: Run) -> dict[str, Any]:
    return {
        "began_at": moment(run.began_at),
        "seconds": run.seconds,
        "consumer": run.consumer,
        "ticket": run.ticket,
        "outcome": run.outcome,
        "error": run.error,
        "traceback": run.traceback,
        "cause": dict(run.cause),
    }
