"""`procqueue gate`: the producers' switch of a queue. It is in the store; no master is needed."""

from __future__ import annotations

import click

from procqueue.cli import completing
from procqueue.cli.options import Where, verb
from procqueue.cli.output import plain, print_json, show
from procqueue.cli.store import opened
from procqueue.core.exits import Exit
from procqueue.core.moments import moment


@verb
@click.argument("action", type=click.Choice(["open", "close"]), metavar="open|close")
@click.argument("queues", nargs=-1, required=True, metavar="QUEUE...", shell_complete=completing.queues)
def gate(where: Where, action: str, queues: tuple[str, ...]) -> Exit:
    """Let producers push into QUEUE, or (close) not: then a push raises GateClosed and nothing is stored.

    What is stored is handled all the same; documents of foreign producers stay in the inbox. With
    gate_closed = "drop" a push returns a receipt that says gate_closed.
    """
    from procqueue.stored.gate import Gate

    with opened(where) as store:
        switches = {name: store.queue(name).gate for name in queues}
        turn = Gate.open if action == "open" else Gate.close
        gates = store.of_all(switches, lambda name: turn(switches[name]))
    if where.json:
        told = {name: {"gate": one.state, "since": moment(one.since)} for name, one in gates.found.items()}
        print_json({"v": 1, "gates": told, **gates.document})
        return gates.tell()
    for name, one in gates.found.items():
        since = "" if one.since is None or one.state == "open" else f" since {moment(one.since)}"
        show(f"{plain(name)}: gate {one.state}{since}")
    return gates.tell()
