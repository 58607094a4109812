"""One message: its life, its arguments, and what may be done about it."""

from __future__ import annotations

from typing import Any

from procqueue.stored.queue import Queue
from procqueue.stored.view import StoredMessage
from procqueue.web.asking import Ask
from procqueue.web.documents import of_whole_message
from procqueue.web.problems import Problem

#: What may be done about a message, by the state it stands in.
ACTIONS = {
    "waiting": ("cancel", "forget"),
    "delayed": ("cancel", "forget"),
    "reserved": ("cancel",),
    "failed": ("retry", "forget"),
    "timeout": ("retry", "forget"),
}


async def message(ask: Ask) -> dict[str, Any]:
    """Return everything that is shown of one message. Raises Problem."""
    name, id = ask.queue, ask.path["id"]

    def find(driver: Any) -> StoredMessage | None:
        return Queue(name, driver).message(id)

    one = await ask.office.stores.look(name, find)
    if one is None:
        text = f"{name} has no message {id[:200]!r}: it was handled or removed, or was never there"
        raise Problem(404, text)
    found = of_whole_message(one, ask.office.redaction)
    return {"v": 1, "message": found, "actions": ACTIONS[one.state]}
