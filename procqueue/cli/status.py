"""`procqueue status`: what the master says of everything it looks after, as a table or as JSON."""

from __future__ import annotations

from typing import Any

import click

from procqueue.cli.failures import no_such_queue
from procqueue.cli.options import Where, verb
from procqueue.cli.output import print_json, show
from procqueue.cli.status_text import lines
from procqueue.core.exits import Exit
from procqueue.process.ask import ask

#: A queue in one of these states is as it was asked to be.
_WELL = {"running", "exited", "stopped", "disabled"}
_HEALTHY = {"ok", "paused", "draining", "disabled", "stopped"}


@verb
@click.argument("names", nargs=-1, metavar="[NAME]...")
def status(where: Where, names: tuple[str, ...]) -> Exit:
    """Show what runs, what waits, and what is wrong; only the queues NAME if any are given.

    Exit code 0: all as configured. 4: something is missing, failing, starting or stopping. 3: no master.
    """
    document = ask(where.running(), "status")
    if names:
        document = _only(document, names)
    if where.json:
        print_json(document)
    else:
        for line in lines(document):
            show(line)
    return _health(document)


def _only(document: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Keep the queues that are named, their problems, and the problems of no queue."""
    queues = document["queues"]
    for name in names:
        if name not in queues:
            raise no_such_queue(name, queues)
    problems = [p for p in document["problems"] if p["about"] in names or p["about"] not in queues]
    return {**document, "queues": {n: queues[n] for n in queues if n in names}, "problems": problems}


def _health(document: dict[str, Any]) -> Exit:
    healthy = (
        document["master"]["state"] in ("running", "reloading")
        and not document["problems"]
        and all(queue["state"] in _HEALTHY for queue in document["queues"].values())
        and all(program["state"] in _WELL for program in document["processes"].values())
    )
    return Exit.OK if healthy else Exit.DEGRADED
