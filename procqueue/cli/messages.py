"""`procqueue messages`: the stored messages of a queue, page by page, or their failures in groups."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from procqueue.cli import completing
from procqueue.cli.failures import usage
from procqueue.cli.options import Where, verb
from procqueue.cli.output import plain, print_json, show, table
from procqueue.cli.selecting import chosen, filtered
from procqueue.cli.store import opened
from procqueue.core.exits import Exit
from procqueue.core.message import State
from procqueue.core.moments import moment
from procqueue.stored.documents import message_document

if TYPE_CHECKING:
    from procqueue.stored.queue import Queue

_PAGE = 20


@verb
@click.argument("queue", metavar="QUEUE", shell_complete=completing.queues)
@click.option("--state", type=click.Choice([s.value for s in State]), help="Only those of one state.")
@click.option("--group", is_flag=True, help="Count them by task and kind of error; the failed ones unless "
              "--state says otherwise.")  # fmt: skip
@filtered
@click.option("--limit", metavar="N", type=click.IntRange(1, 100_000), help="At most so many [20].")
@click.option("--offset", metavar="N", type=click.IntRange(0), default=0, help="Leave out the first N.")
def messages(
    where: Where, queue: str, state: str | None, group: bool, limit: int | None, offset: int, **filters: Any
) -> Exit:
    """List the stored messages of QUEUE, in the order in which they would leave it."""
    which = chosen(**filters)
    if group and (limit is not None or offset):
        raise usage("--group counts them all: --limit and --offset mean nothing beside it")
    with opened(where) as store:
        asked = store.queue(queue)
        if group:
            return _show_groups(where, asked, state or State.FAILED.value, which)
        return _show_messages(where, asked, state, limit or _PAGE, offset, which)


def _show_messages(
    where: Where, queue: Queue, state: str | None, limit: int, offset: int, filters: dict[str, Any]
) -> Exit:
    narrow = any(filters.values())
    found = [message_document(one) for one in islice(queue.messages(state, skip=offset, **filters), limit)]
    counts = queue.counts()
    total = sum(getattr(counts, one.value) for one in State if state in (None, one))
    end = offset + len(found)
    more = not narrow and found and end < total
    if where.json:
        print_json(
            {"v": 1, "messages": found, "total": None if narrow else total, "next": end if more else None}
        )
        return Exit.OK
    if not found:
        like = " like that" if narrow else ""
        show(
            f"{queue.name} has no {state or 'stored'} messages{like}"
            + (f" from {offset} on" if offset else "")
        )
        return Exit.OK
    _show_table(found)
    if more:
        show(f"{total} in all; the next with --offset {end}")
    elif narrow and len(found) == limit:
        show(f"the first {limit}; more with --limit N")
    return Exit.OK


def _show_table(found: list[dict[str, Any]]) -> None:
    head = ("ID", "STATE", "TASK", "ATTEMPTS", "PUSHED")
    rows = [
        (one["id"], one["state"], one["task"] or "?", one["attempts"], one["pushed_at"][:19] + "Z")
        for one in found
    ]
    top, *lines = table(head, rows, right=("ATTEMPTS",))
    show(top)
    for line, one in zip(lines, found, strict=True):
        show(line)
        if one["due_at"] and one["state"] == State.DELAYED:
            show(f"    due {one['due_at'][:19]}Z")
        if one["error"]:
            show(f"    {plain(one['error'].splitlines()[-1])[:300]}")


def _show_groups(where: Where, queue: Queue, state: str, filters: dict[str, Any]) -> Exit:
    found = queue.groups(state, **filters)
    total = sum(group.count for group in found)
    if where.json:
        shown = [
            {
                "task": group.task or None,
                "error": group.error or None,
                "count": group.count,
                "first_at": moment(group.first_ms),
                "last_at": moment(group.last_ms),
                "example": group.example,
            }
            for group in found
        ]
        print_json({"v": 1, "queue": queue.name, "state": state, "groups": shown, "total": total})
        return Exit.OK
    if not found:
        show(f"{queue.name} has no {state} messages" + (" like that" if any(filters.values()) else ""))
        return Exit.OK
    head = ("COUNT", "TASK", "LAST", "EXAMPLE")
    rows = [
        (group.count, group.task or "?", (moment(group.last_ms) or "")[:19] + "Z", group.example)
        for group in found
    ]
    top, *lines = table(head, rows, right=("COUNT",))
    show(top)
    for line, group in zip(lines, found, strict=True):
        show(line)
        show(f"    {plain(group.error)}" if group.error else "    no error")
    show(f"{total} in all; what differs in a text is shown as #")
    return Exit.OK
