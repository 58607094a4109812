"""`procqueue pause` and `procqueue resume`: the consumers' switch of a queue; what runs is always finished.

For all hosts it is kept in the store, and no master is needed; with --here it is this host's, kept by its
master.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from procqueue.cli import completing
from procqueue.cli.asking import request
from procqueue.cli.failures import usage
from procqueue.cli.options import Where, verb
from procqueue.cli.output import moment, plain, print_json, show
from procqueue.cli.store import opened
from procqueue.core.exits import Exit
from procqueue.core.units import seconds

if TYPE_CHECKING:
    from procqueue.drivers.contract import Pause

_HERE = click.option("--here", is_flag=True, help="This host only, over reload, restart and the next start.")


def _duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        found = seconds(value)
    except ValueError as error:
        raise usage(f"--for {value}: {error}", "write 30s, 5m or 1h30m") from None
    if found < 0.001:
        raise usage(f"--for {value} is no time", "write 30s, 5m or 1h30m")
    return found


@verb
@click.argument("queues", nargs=-1, required=True, metavar="QUEUE...", shell_complete=completing.queues)
@_HERE
@click.option("--for", "duration", metavar="D", callback=_duration, help="Resume by itself after that time.")
def pause(where: Where, queues: tuple[str, ...], here: bool, duration: float | None) -> Exit:
    """Hand out no more messages of QUEUE, on all hosts. What runs is finished; pushes are stored."""
    if here:
        paused = request(where.running(), "pause", names=list(queues), seconds=duration)["paused"]
    else:
        with opened(where) as store:
            names = [store.checked(name) for name in queues]
            for_ms = None if duration is None else round(duration * 1000)
            paused = {name: document(store.driver.pause(name, for_ms)) for name in names}
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
            names = [store.checked(name) for name in queues]
            resumed = [name for name in names if store.driver.resume(name)]
            already = [name for name in names if name not in resumed]
    if where.json:
        print_json({"v": 1, "resumed": resumed, "already": already})
        return Exit.OK
    for name in resumed:
        show(f"{plain(name)}: resumed")
    for name in already:
        show(f"{plain(name)}: was not paused{' here' if here else ''}")
    return Exit.OK


def document(pause: Pause | None) -> dict[str, Any] | None:
    """Return what `queues` and `pause` say of a pause: since and until when, ISO 8601."""
    if pause is None:
        return None
    return {"since": moment(pause.since_ms), "until": moment(pause.until_ms)}


def words(paused: dict[str, Any]) -> str:
    """Return a pause as `document` has it, for people."""
    return f"since {paused['since']}" + (f" until {paused['until']}" if paused["until"] else "")
