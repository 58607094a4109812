"""One queue: its messages by state, and its consumers."""

from __future__ import annotations

from typing import Any

from procqueue.core.errors import DriverError
from procqueue.core.message import State
from procqueue.stored.browse import browse
from procqueue.stored.documents import message_document
from procqueue.web import filters
from procqueue.web.asking import Ask
from procqueue.web.pages.overview import row
from procqueue.web.stores import TooBusy


async def queue(ask: Ask) -> dict[str, Any]:
    """Return the page. What is stored may be missing; what the master says is shown all the same."""
    name = ask.queue
    seen = await ask.office.sight.look()
    found = seen.status.get("queues", {}).get(name)
    state = filters.state_of(ask.query, _first_with_messages(found))
    try:
        listed: dict[str, Any] = {**await _messages(ask, name, state), "away": ""}
    except (DriverError, TooBusy) as error:
        listed = {"messages": [], "next": "", "looked": 0, "away": str(error) or "too many ask at once"}
    return {
        "v": 1,
        "name": name,
        "wrong": seen.wrong,
        "age": seen.age,
        "queue": row(name, found) if found else None,
        "consumers": found["consumers"] if found else [],
        "state": state.value,
        "filters": filters.written(ask.query),
        **listed,
    }


async def document(ask: Ask) -> dict[str, Any]:
    """Return one queue for programs. `backlog` is a flat number, for autoscalers."""
    name = ask.queue
    seen = await ask.office.sight.look()
    found = seen.status.get("queues", {}).get(name)
    if found is None:
        return {"v": 1, "queue": None, "consumers": [], "backlog": None, "wrong": seen.wrong}
    counts = found["counts"]
    backlog = None if counts["waiting"] is None else counts["waiting"] + counts["inbox"]
    return {
        "v": 1, "queue": row(name, found), "consumers": found["consumers"], "backlog": backlog,
        "age": round(seen.age, 1), "wrong": seen.wrong,
    }  # fmt: skip


async def messages(ask: Ask) -> dict[str, Any]:
    """Return messages of one state. `next`: the cursor of what comes behind them, null at the end."""
    found = await _messages(ask, ask.queue, filters.state_of(ask.query, State.WAITING))
    return {"v": 1, "messages": found["messages"], "next": found["next"] or None, "looked": found["looked"]}


async def _messages(ask: Ask, name: str, state: State) -> dict[str, Any]:
    office = ask.office
    which = filters.filters_of(ask.query, office.redaction)
    limit = filters.limit_of(ask.query)
    about = f"{name} {state}"
    mark = office.cursors.open(about, ask.query.get("cursor", ""))
    found = await office.stores.look(name, lambda driver: browse(driver, name, state, which, mark, limit))
    return {
        "messages": [message_document(one) for one in found.messages],
        "next": office.cursors.seal(about, found.next),
        "looked": found.looked,
    }


def _first_with_messages(queue: dict[str, Any] | None) -> State:
    """Return which tab to show unless one is named: where somebody has to look first."""
    counts = queue["counts"] if queue else {}
    order = (State.FAILED, State.RESERVED, State.WAITING, State.DELAYED, State.TIMEOUT)
    return next((state for state in order if counts.get(state.value)), State.WAITING)
