"""`procqueue restart`: fresh processes, without a gap."""

from __future__ import annotations

import click

from procqueue.cli import completing
from procqueue.cli.asking import failures, request_patiently, say_what_is_missing
from procqueue.cli.options import Where, verb
from procqueue.cli.output import print_json, show
from procqueue.core.exits import Exit


@verb
@click.option("--wait", is_flag=True, help="Return when all are ready.")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completing.names)
def restart(where: Where, wait: bool, names: tuple[str, ...]) -> Exit:
    """Replace the processes of NAME, or all, by fresh ones that import the application anew.

    Consumers: a successor is ready before its predecessor leaves, which finishes what it runs; if the new
    code does not start, the old goes on. Programs stop first, then start; copies of one program do so one
    after the other.
    """
    state_dir = where.running()
    answer = request_patiently(
        state_dir, "restart", lambda: say_what_is_missing(state_dir), names=list(names) or ["all"], wait=wait
    )
    if where.json:
        print_json(answer)
        return Exit.FAILED if answer["failed"] else Exit.OK
    show(("restarted: " if wait else "restarting: ") + ", ".join(answer["restarted"]))
    return failures(answer)
