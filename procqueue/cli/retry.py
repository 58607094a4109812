"""`procqueue retry`: failed and parked messages run again, with fresh counters."""

from __future__ import annotations

from typing import Any

import click

from procqueue.cli import completing
from procqueue.cli.failures import usage
from procqueue.cli.options import Where, verb
from procqueue.cli.output import plain, print_json, progress, say, show
from procqueue.cli.selecting import checked, chosen, filtered, paced
from procqueue.cli.store import opened
from procqueue.core.exits import Exit
from procqueue.core.filters import RETRYABLE


@verb
@click.argument("queue", metavar="QUEUE", shell_complete=completing.queues)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--state", metavar="S", default="failed", show_default=True, help="failed or timeout.")
@filtered
@paced
def retry(where: Where, queue: str, ids: tuple[str, ...], state: str, **options: Any) -> Exit:
    """Run failed messages of QUEUE again, with fresh counters: those named, those meant, or all of them."""
    from procqueue.stored import asked

    checked(asked.states, state, RETRYABLE, "run again")
    which = chosen(**options)
    if ids and any(which.values()):
        raise usage("give ids or filters, not both: what is named is meant anyway")
    with opened(where) as store:
        asked_of = store.queue(queue)
        if ids:
            changed = asked_of.retry(*ids, state=state)
        else:
            total = getattr(asked_of.counts(), state)
            with progress("retry", min(total, which["limit"] or total)) as note:
                changed = asked_of.retry(state=state, note=note, **which)
    if where.json:
        retried = [id for id in dict.fromkeys(ids) if id not in changed.missing] if ids else changed.count
        dry = {"dry_run": True} if which["dry_run"] else {}
        print_json({"v": 1, "queue": queue, "retried": retried, "missing": list(changed.missing), **dry})
    else:
        would = "would" if which["dry_run"] else "will"
        show(f"{changed.count} of {queue} {would} run again")
    for id, is_in in changed.missing.items():
        say(
            f"{plain(id)} is not among the {state} messages of {queue}"
            + (f", it is {is_in}" if is_in else "")
        )
    return Exit.FAILED if changed.missing else Exit.OK
