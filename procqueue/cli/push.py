"""`procqueue push`: one message from the command line, or many from stdin."""

from __future__ import annotations

import sys

import click

from procqueue.cli import completing
from procqueue.cli.failures import usage
from procqueue.cli.options import Where, verb
from procqueue.cli.output import plain, print_json, show
from procqueue.cli.store import settings_or_none
from procqueue.core.exits import Exit

_STDIN = "-"


@verb
@click.argument("task", metavar="TASK", shell_complete=completing.tasks)
@click.argument("arguments", nargs=-1, metavar="[ARG]... [k=v]... [k:=JSON]...")
@click.option(
    "--queue",
    metavar="Q",
    shell_complete=completing.queues,
    help="The queue; else the task's, default, or the only one.",
)
@click.option("--delay", metavar="D", help='Not before so long from now: "30s", "10m", "1h30m".')
@click.option("--at", metavar="MOMENT", help="Not before this moment: 2026-11-22T08:00:00+01:00.")
@click.option("--id", metavar="ID", help="Its id, unique in the queue while the message exists.")
@click.option("--unique", metavar="[KEY]", is_flag=False, flag_value="", default=None,
              help="Not if a message with KEY is there; without KEY: the same call.")  # fmt: skip
@click.option("--expires", metavar="D", help="Drop it if it has not begun by then, from now.")
@click.option("--priority", metavar="N", type=int, help="-9 to 9; higher goes first.")
@click.option(
    "--count", metavar="N", type=click.IntRange(1, 1_000_000), default=1, help="Push so many copies."
)
@click.option("--check", is_flag=True, help="Import the application and check task and arguments now.")
def push(
    where: Where,
    task: str,
    arguments: tuple[str, ...],
    queue: str | None,
    delay: str | None,
    at: str | None,
    id: str | None,
    count: int,
    unique: str | None,
    expires: str | None,
    priority: int | None,
    check: bool,
) -> Exit:
    """Hand in a message that runs TASK.

    Arguments are text, which the consumer converts to the annotated types; k:=JSON is exact. `push --json -`
    reads documents from stdin: {"task": …, "args": […], "kwargs": {…}}, one, or one on each line.
    """
    from procqueue import producer
    from procqueue.cli.messages_in import Asked, document, documents, where_to

    asked = Asked(queue, delay, at, id, count, unique, expires, priority)
    settings = settings_or_none(where)
    if settings is not None:
        producer.adopt(settings)
    else:
        producer.connect()
    if task == _STDIN:
        if arguments or asked != Asked(queue):
            raise usage(
                "push - takes the whole message from stdin, but --queue",
                'write "delay", "at", "id" … into it',
            )
        bodies = documents(sys.stdin.buffer)
    else:
        bodies = document(task, arguments, asked)
    to, bodies = where_to(bodies, asked, settings, check=check)
    receipts = producer.push_wire(bodies, to)
    if where.json:
        told = [{"id": one.id, "queue": one.queue, "outcome": one.outcome} for one in receipts]
        print_json({"v": 1, "receipts": told})
        return Exit.OK
    for one in receipts:
        known = "" if one else "  exists already: not stored again"
        show(f"{plain(one.id)}  {one.queue}{known}")
    return Exit.OK
