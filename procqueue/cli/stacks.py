"""`procqueue stacks`: where the processes of a queue or program are at this moment."""

from __future__ import annotations

import click

from procqueue.cli import completing
from procqueue.cli.asking import request
from procqueue.cli.options import Where, verb
from procqueue.cli.output import plain, print_json, say, show
from procqueue.core.exits import Exit

#: Each child has three seconds.
_PATIENCE = 60.0


@verb
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=completing.names)
def stacks(where: Where, names: tuple[str, ...]) -> Exit:
    """Show the stacks of all threads of the processes of NAME: also in the middle of C code, or of a loop.

    Consumers answer, and programs with a `target`.
    """
    answer = request(where.running(), "stacks", names=list(names), patience=_PATIENCE)
    if where.json:
        print_json(answer)
    else:
        for one in answer["stacks"]:
            show(f"{plain(one['name'])} (pid {one['pid']})")
            for line in (one["text"] or one["why"]).splitlines():
                show(f"  {plain(line)}")
        if not answer["stacks"]:
            say("no such process is running")
    return Exit.OK if all(one["text"] for one in answer["stacks"]) else Exit.FAILED
