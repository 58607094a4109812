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
from procqueue.cli.output import moment, plain, print_json, show
from procqueue.cli.store import opened
from procqueue.core.exits import Exit

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
        paused = request(where.running(), "pause", names=list(queues), seconds=duration)["paused"]
    else:
        with opened(where) as store:
            asked = [store.queue(name) for name in queues]
            paused = {one.name: document(one.pause(duration)) for one in asked}
    if where.json:
        print_json({"v": 1, "paused": paused})
        return Exit.OK
    for name, one in paused.items():
        show(f"{plain(name)}: paused{' here' if here else ''} {words(one)}")
    return Exit.OK


@verb
@click.argument("queues", nargs=-1, required=True, metavar="QUEUE...", shell_complete=completing.queues)
@_HERE
def resume(where: Where, queues: tuple[str, ...], here: bool) -> Exit:
    """Hand out messages of QUEUE again. What was paused with --here is resumed with --here."""
    if here:
        answer = request(where.running(), "resume", names=list(queues))
        resumed, already = answer["resumed"], answer["already"]
    else:
        with opened(where) as store:
            asked = [store.queue(name) for name in queues]
            resumed = [one.name for one in asked if one.resume()]
            already = [one.name for one in asked if one.name not in resumed]
    if where.json:
        print_json({"v": 1, "resumed": resumed, "already": already})
        return Exit.OK
    for name in resumed:
        show(f"{plain(name)}: resumed")
    for name in already:
        show(f"{plain(name)}: was not paused{' here' if here else ''}")
    return Exit.OK


def document(pause: Paused | None) -> dict[str, Any] | None:
    """Return what `queues` and `pause` say of a pause: since and until when, ISO 8601."""
    if pause is None:
        return None
    return {"since": moment(pause.since), "until": moment(pause.until)}


def words(paused: dict[str, Any]) -> str:
    """Return a pause as `document` has it, for people."""
    return f"since {paused['since']}" + (f" until {paused['until']}" if paused["until"] else "")
