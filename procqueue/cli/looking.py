"""`status` and `health` as verbs among the others; what they do is in status.py and health.py."""

from __future__ import annotations

import click

from procqueue.cli import completing
from procqueue.cli.health import show_health
from procqueue.cli.options import Where, verb
from procqueue.cli.status import show_status
from procqueue.core.exits import Exit


@verb
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completing.names)
def status(where: Where, names: tuple[str, ...]) -> Exit:
    """Show what runs, what waits, and what is wrong; only of NAME if any are given.

    NAME is a queue, a program, a copy (NAME:INDEX), a group (GROUP:*) or a pattern.

    Exit code 0: all as configured. 4: something is missing, failing, starting or stopping. 3: no master.
    """
    return show_status(where, names)


@verb
@click.option("--live", is_flag=True, help="Only whether the master answers.")
@click.option("--ready", is_flag=True, help="Whether everything that is wanted is ready (the default).")
@click.option("--wait", metavar="DURATION", help="Wait so long for it.")
def health(where: Where, live: bool, ready: bool, wait: str | None) -> Exit:
    """Say whether all is well: 0 yes, 4 not ready, 3 no master, 5 it did not become so in time."""
    return show_health(where, live=live, ready=ready, wait=wait)
