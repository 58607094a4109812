"""`procqueue health`: is it alive, is it ready? For probes: imports no driver and no application."""

from __future__ import annotations

import time
from typing import Any

import click

from procqueue.cli.options import Where, verb
from procqueue.cli.output import plain, print_json, show
from procqueue.core.exits import Exit
from procqueue.process.ask import NoMaster, ask

_ASK_AGAIN = 0.05


@verb
@click.option("--live", is_flag=True, help="Only whether the master answers.")
@click.option("--ready", is_flag=True, help="Whether everything that is wanted is ready (the default).")
@click.option("--wait", metavar="DURATION", help="Wait so long for it.")
def health(where: Where, live: bool, ready: bool, wait: str | None) -> Exit:
    """Say whether all is well: 0 yes, 4 not ready, 3 no master, 5 it did not become so in time."""
    until = time.monotonic() + _seconds(wait)
    state_dir = where.running()
    while True:
        document, code = _look(state_dir)
        if live and not ready and document["live"]:
            code = Exit.OK
        if code is Exit.OK or time.monotonic() >= until:
            break
        time.sleep(_ASK_AGAIN)
    if code is not Exit.OK and wait is not None:
        code = Exit.TIMED_OUT
    if where.json:
        print_json(document)
    else:
        show("ready" if document["ready"] else "live, not ready" if document["live"] else "not live")
        for reason in document["reasons"]:
            show(f"  {plain(reason)}")
    return code


def _look(state_dir: str) -> tuple[dict[str, Any], Exit]:
    try:
        document = ask(state_dir, "health", patience=2.0)
        return document, Exit.OK if document["ready"] else Exit.DEGRADED
    except NoMaster as error:
        return {"v": 1, "live": False, "ready": False, "reasons": [str(error)]}, Exit.NO_MASTER
    except TimeoutError:
        text = "the master does not answer in time"
        return {"v": 1, "live": False, "ready": False, "reasons": [text]}, Exit.TIMED_OUT


def _seconds(wait: str | None) -> float:
    if wait is None:
        return 0.0
    from procqueue.cli.failures import usage
    from procqueue.core.units import seconds

    try:
        return seconds(wait)
    except ValueError as error:
        raise usage(f"--wait: {error}") from None
