"""`procqueue pause` and `procqueue resume`: the consumers' switch of a queue; what runs is always finished.

For all hosts it is kept in the store, and no master is needed; with --here it is this host's, kept by its
master.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from procqueue.cli import completing
from procqueue.cli.asking import request
from procqueue.cli.options import Where, duration_of, verb
from procqueue.cli.output import plain, print_json, show
from procqueue.cli.store import Answers, opened
from procqueue.core.exits import Exit
from procqueue.core.moments import moment

if TYPE_CHECKING:
    from procqueue.stored.queue import Paused

_HERE = click.option("--here", is_flag=True, help="This host only, over reload, restart and the next start.")


@verb
@click.argument("queues", nargs=-1, required=True, metavar="QUEUE...", shell_complete=completing.queues)
@_HERE
@click.option("--for", "duration", metavar="D", callback=duration_of, help="Resume by itself after it.")
def pause(where: Where, queues: tuple[str, ...], here: bool, duration: float | None) -> Exit:
    """Hand out no more messages of QUEUE, on all hosts. What runs is finished; pushes are stored."""
    if here:
        paused = Answers(request(where.running(), "pause", names=list(queues), seconds=duration)["paused"])
    else:
        with opened(where) as store:
            asked = {name: store.queue(name) for name in queues}
            paused = store.of_all(asked, lambda name: document(asked[name].pause(duration)))
    if where.json:
        print_json({"v": 1, "paused": paused.found, **paused.document})
        return paused.tell()
    for name, one in paused.found.items():
        show(f"{plain(name)}: paused{' here' if here else ''} {words(one)}")
    return paused.tell()


@verb
@click.argument("queues", nargs=-1, required=True, metavar="QUEUE...", shell_complete=completing.queues)
@_HERE
def resume(where: Where, queues: tuple[str, ...], here: bool) -> Exit:
    """Hand out messages of QUEUE again. What was paused with --here is resumed with --here."""
    if here:
        told = request(where.running(), "resume", names=list(queues))
        answers = Answers({name: name in told["resumed"] for name in (*told["resumed"], *told["already"])})
    else:
        with opened(where) as store:
            asked = {name: store.queue(name) for name in queues}
            answers = store.of_all(asked, lambda name: asked[name].resume())
    resumed = [name for name, had_been in answers.found.items() if had_been]
    already = [name for name, had_been in answers.found.items() if not had_been]
    if where.json:
        print_json({"v": 1, "resumed": resumed, "already": already, **answers.document})
        return answers.tell()
    for name in resumed:
        show(f"{plain(name)}: resumed")
    for name in already:
        show(f"{plain(name)}: was not paused{' here' if here else ''}")
    return answers.tell()


def document(pause: Paused | None) -> dict[str, Any] | None:
    """Return what `queues` and `pause` say of a pause: since and until when, ISO 8601."""
    if pause is None:
        return None
    return {"since": moment(pause.since), "until": moment(pause.until)}


def words(paused: dict[str, Any]) -> str:
    """Return a pause as `document` has it, for people."""
    return f"since {paused['since']}" + (f" until {paused['until']}" if paused["until"] else "")
