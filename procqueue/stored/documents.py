"""Stored messages as documents, for the command line and the dashboard."""

from __future__ import annotations

from typing import Any

from procqueue.core.moments import moment
from procqueue.stored.view import Run, StoredMessage


def message_document(one: StoredMessage) -> dict[str, Any]:
    """Return one message as `messages --json` shows it."""
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


def run_document(run: Run) -> dict[str, Any]:
    """Return one run of a message's history as `message --json` shows it."""
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
