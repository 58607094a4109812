"""`procqueue health`: is it alive, is it ready? For probes: imports no driver and no application."""

from __future__ import annotations

import time

from procqueue.cli.output import plain, print_json, show
from procqueue.cli.where import Where
from procqueue.core.exits import Exit
from procqueue.process.ask import NoMaster, ask

TYPE_CHECKING = False  # without typing, whose import takes longer than all of this
if TYPE_CHECKING:
    from typing import Any

_ASK_AGAIN = 0.05


def show_health(where: Where, *, live: bool, ready: bool, wait: str | None = None) -> Exit:
    """Show whether all is well, `wait` for it."""
    until = time.monotonic() + _seconds(wait)
    state_dir = where.state_directory()
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
