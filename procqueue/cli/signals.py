"""`procqueue signal`: a signal for the processes of a queue or program."""

from __future__ import annotations

import signal as signals

import click

from procqueue.cli import completing
from procqueue.cli.asking import request
from procqueue.cli.failures import usage
from procqueue.cli.options import Where, verb
from procqueue.cli.output import print_json, show
from procqueue.core.exits import Exit


@verb
@click.argument("sig", metavar="SIG", shell_complete=completing.signals)
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=completing.names)
def signal(where: Where, sig: str, names: tuple[str, ...]) -> Exit:
    """Send SIG (a name or number) to the processes of NAME.

    Consumers take TERM and INT as "finish and leave"; each is replaced.
    """
    answer = request(where.running(), "signal", signal=_number(sig), names=list(names))
    if where.json:
        print_json(answer)
        return Exit.OK
    for one in answer["signalled"]:
        show(f"{answer['signal']}: {one['name']} (pid {one['pid']})")
    if not answer["signalled"]:
        show("no such process is running")
    return Exit.OK


def _number(text: str) -> int:
    try:
        return (
            signals.Signals(int(text))
            if text.isdigit()
            else signals.Signals[f"SIG{text.upper().removeprefix('SIG')}"]
        )
    except (ValueError, KeyError):
        raise usage(f"there is no signal {text!r}", "write TERM, HUP, USR1 … or a number") from None
