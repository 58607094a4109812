"""`procqueue queues`: how many messages stand where, asked of the driver; no master is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from procqueue.cli import completing
from procqueue.cli.failures import usage
from procqueue.cli.options import Where, verb
from procqueue.cli.output import plain, print_json, show, table
from procqueue.cli.pause import document, words
from procqueue.cli.store import opened
from procqueue.core.exits import Exit
from procqueue.core.moments import moment
from procqueue.core.units import format_seconds

if TYPE_CHECKING:
    from procqueue.stored.queue import Queue

_COUNTS = ("waiting", "delayed", "reserved", "failed", "timeout", "inbox")


@verb
@click.argument("names", nargs=-1, metavar="[QUEUE]...", shell_complete=completing.queues)
def queues(where: Where, names: tuple[str, ...]) -> Exit:
    """Show how many messages of each queue stand where, and how long the oldest has been waiting."""
    with opened(where) as store:
        if not names and store.queues is None:
            raise usage("without a configuration file, name the queues: procqueue queues emails")
        chosen = {name: store.queue(name) for name in names or store.queues or ()}
        answers = store.of_all(chosen, lambda name: _queue(chosen[name]))
    found = answers.found
    if where.json:
        print_json({"v": 1, "queues": found, **answers.document})
        return answers.tell()
    head = ("QUEUE", *(count.upper() for count in _COUNTS), "OLDEST")
    rows = [
        (name, *(queue["counts"][count] for count in _COUNTS), _age(queue["oldest"]))
        for name, queue in found.items()
    ]
    for line in table(head, rows, right=head[1:]):
        show(line)
    for name, queue in found.items():
        if queue["paused"]:
            show(f"{plain(name)}: paused {words(queue['paused'])}")
        if queue["gate_since"]:
            show(f"{plain(name)}: gate {queue['gate']} since {queue['gate_since']}")
    return answers.tell()


def _queue(queue: Queue) -> dict[str, Any]:
    counts = queue.counts()
    gate = queue.gate.stands()
    return {
        "counts": {count: getattr(counts, count) for count in _COUNTS},
        "oldest": queue.oldest(),
        "expired": counts.expired,
        "gate": gate.state,
        "gate_since": None if gate.state == "open" else moment(gate.since),
        "paused": document(queue.paused()),
    }


def _age(seconds: float | None) -> str:
    return "-" if seconds is None else format_seconds(seconds if seconds < 10 else round(seconds))
