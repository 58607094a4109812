"""`procqueue status`: what the master says of everything it looks after, as a table or as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from procqueue.cli.output import print_json, show
from procqueue.cli.status_text import lines
from procqueue.cli.where import Where
from procqueue.core.exits import Exit
from procqueue.process.ask import ask

TYPE_CHECKING = False  # without typing, whose import takes longer than all of this
if TYPE_CHECKING:
    from typing import Any

#: A queue in one of these states is as it was asked to be.
_WELL = {"running", "exited", "stopped", "disabled"}
_HEALTHY = {"ok", "paused", "draining", "disabled", "stopped"}


def show_status(where: Where, names: Sequence[str]) -> Exit:
    """Show what the master says, of what is named only if anything is."""
    document = ask(where.state_directory(), "status", names=list(names))
    if "error" in document:
        from procqueue.cli.asking import accepted

        accepted(document)
    if document["master"]["file_newer"]:
        where.warn_of_file()
    if where.json:
        print_json(document)
    else:
        for line in lines(document):
            show(line)
    return _health(document)


def _health(document: dict[str, Any]) -> Exit:
    healthy = (
        document["master"]["state"] in ("running", "reloading")
        and not document["problems"]
        and all(queue["state"] in _HEALTHY for queue in document["queues"].values())
        and all(program["state"] in _WELL for program in document["processes"].values())
    )
    return Exit.OK if healthy else Exit.DEGRADED
