"""`procqueue gate`: the producers' switch of a queue. It is in the store; no master is needed."""

from __future__ import annotations

import click

from procqueue.cli.options import Where, verb
from procqueue.cli.output import moment, plain, print_json, show
from procqueue.cli.store import opened
from procqueue.core.exits import Exit


@verb
@click.argument("action", type=click.Choice(["open", "close"]), metavar="open|close")
@click.argument("queues", nargs=-1, required=True, metavar="QUEUE...")
def gate(where: Where, action: str, queues: tuple[str, ...]) -> Exit:
    """Let producers push into QUEUE, or (close) not: then a push raises GateClosed and nothing is stored.

    What is stored is handled all the same; documents of foreign producers stay in the inbox. With
    gate_closed = "drop" a push returns a receipt that says gate_closed.
    """
    from procqueue.drivers.contract import GateState

    state = GateState.OPEN if action == "open" else GateState.CLOSED
    with opened(where) as store:
        names = [store.checked(name) for name in queues]
        gates = {name: store.driver.set_gate(name, state) for name in names}
    if where.json:
        told = {name: {"gate": one.state.value, "since": moment(one.since_ms)} for name, one in gates.items()}
        print_json({"v": 1, "gates": told})
        return Exit.OK
    for name, one in gates.items():
        since = "" if one.since_ms is None or state is GateState.OPEN else f" since {moment(one.since_ms)}"
        show(f"{plain(name)}: gate {one.state.value}{since}")
    return Exit.OK
