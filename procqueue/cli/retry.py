"""`procqueue retry`: failed and parked messages run again, with fresh counters."""

from __future__ import annotations

import click

from procqueue.cli import completing
from procqueue.cli.options import Where, verb
from procqueue.cli.output import plain, print_json, progress, say, show
from procqueue.cli.store import opened
from procqueue.core.exits import Exit
from procqueue.core.message import State


@verb
@click.argument("queue", metavar="QUEUE", shell_complete=completing.queues)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--state", type=click.Choice(["failed", "timeout"]), default="failed", show_default=True,
              help="Which messages are meant.")  # fmt: skip
def retry(where: Where, queue: str, ids: tuple[str, ...], state: str) -> Exit:
    """Run failed messages of QUEUE again, with fresh counters: those named, or all of them."""
    from procqueue.cli import stored

    wanted = State(state)
    with opened(where) as store:
        name = store.checked(queue)
        if ids:
            retried = [id for some in stored.in_chunks(ids) for id in store.driver.retry(name, wanted, some)]
        else:
            with progress("retry", stored.count(store.driver, name, [wanted])) as note:
                retried = stored.retry_all(store.driver, name, wanted, note)
    missing = [id for id in dict.fromkeys(ids) if id not in set(retried)]
    if where.json:
        print_json({"v": 1, "queue": name, "retried": retried, "missing": missing})
    else:
        show(f"{len(retried)} of {name} will run again")
    for id in missing:
        say(f"{plain(id)} is not among the {state} messages of {name}")
    return Exit.FAILED if missing else Exit.OK
