"""`procqueue messages`: the stored messages of a queue, page by page."""

from __future__ import annotations

import click

from procqueue.cli import completing
from procqueue.cli.options import Where, verb
from procqueue.cli.output import plain, print_json, show, table
from procqueue.cli.store import opened
from procqueue.core.exits import Exit
from procqueue.core.message import State


@verb
@click.argument("queue", metavar="QUEUE", shell_complete=completing.queues)
@click.option("--state", type=click.Choice([s.value for s in State]), help="Only those of one state.")
@click.option("--limit", metavar="N", type=click.IntRange(1, 100_000), default=20, show_default=True,
              help="At most so many.")  # fmt: skip
@click.option("--offset", metavar="N", type=click.IntRange(0), default=0, help="Leave out the first N.")
def messages(where: Where, queue: str, state: str | None, limit: int, offset: int) -> Exit:
    """List the stored messages of QUEUE, in the order in which they would leave it."""
    from procqueue.cli.stored import page

    states = [State(state)] if state else list(State)
    with opened(where) as store:
        document = page(store.driver, store.checked(queue), states, offset, limit)
    if where.json:
        print_json(document)
        return Exit.OK
    found = document["messages"]
    if not found:
        show(f"{queue} has no {state or 'stored'} messages" + (f" from {offset} on" if offset else ""))
        return Exit.OK
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
    if document["next"] is not None:
        show(f"{document['total']} in all; the next with --offset {document['next']}")
    return Exit.OK
