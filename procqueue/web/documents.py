"""Stored messages as the API and the pages show them: as `messages --json` does, without what is hidden."""

from __future__ import annotations

from typing import Any

from procqueue.core.moments import moment
from procqueue.stored.documents import message_document, run_document
from procqueue.stored.groups import Group
from procqueue.stored.view import StoredMessage
from procqueue.web.redaction import Redaction


def of_whole_message(one: StoredMessage, redaction: Redaction) -> dict[str, Any]:
    """Return everything that is shown of one message."""
    return {
        **message_document(one),
        "args": redaction.of(one.args),
        "kwargs": redaction.of(one.kwargs),
        "history": [run_document(run) for run in one.history],
    }


def of_group(group: Group, queue: str) -> dict[str, Any]:
    """Return one group of failures."""
    return {
        "queue": queue,
        "task": group.task or None,
        "error": group.error or None,
        "count": group.count,
        "first_at": moment(group.first_ms),
        "last_at": moment(group.last_ms),
        "example": group.example,
    }
