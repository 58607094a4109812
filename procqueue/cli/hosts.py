"""`procqueue hosts`: which hosts serve the queues, asked of the driver; no master is needed.

Nobody's clock is asked: a host is alive if its beat moves while we look, which takes two beats at most.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from procqueue.cli import completing
from procqueue.cli.failures import usage
from procqueue.cli.options import Where, verb
from procqueue.cli.output import marked, print_json, show, table
from procqueue.cli.store import opened
from procqueue.core.exits import Exit
from procqueue.core.units import format_seconds
from procqueue.core.watch import beat_interval

if TYPE_CHECKING:
    from procqueue.drivers.contract import Beat, Driver

#: The beats are read so often in an interval.
_LOOKS = 10


@verb
@click.argument("names", nargs=-1, metavar="[QUEUE]...", shell_complete=completing.queues)
def hosts(where: Where, names: tuple[str, ...]) -> Exit:
    """Show the hosts that serve each queue: their consumers, what these hold, and who is silent.

    Looks for as long as two beats at most (host_timeout / 15 each) whether the beat of every host moves.
    """
    with opened(where) as store:
        if not names and store.queues is None:
            raise usage("without a configuration file, name the queues: procqueue hosts emails")
        chosen = [store.checked(name) for name in names or store.queues or ()]
        answers = store.of_all(chosen, store.driver.beats)
        found = _watched(store.driver, list(answers.found), beat_interval(store.host_timeout))
    if where.json:
        print_json({"v": 1, "hosts": found, **answers.document})
        return answers.tell()
    for line in _lines(found):
        show(line)
    return answers.tell()


def _watched(driver: Driver, queues: Sequence[str], interval: float) -> list[dict[str, Any]]:
    first = last = _read(driver, queues)
    moved: dict[tuple[str, str], float] = {}
    give_up = time.monotonic() + 2 * interval
    while not last.keys() <= moved.keys() and time.monotonic() < give_up:
        time.sleep(interval / _LOOKS)
        last = _read(driver, queues)
        for place, one in last.items():
            if one.value != first.setdefault(place, one).value:
                moved.setdefault(place, time.monotonic())
    end = time.monotonic()
    return [
        _host(driver, place[0], one, None if (at := moved.get(place)) is None else end - at)
        for place, one in sorted(last.items())
    ]


def _read(driver: Driver, queues: Sequence[str]) -> dict[tuple[str, str], Beat]:
    return {(queue, one.host): one for queue in queues for one in driver.beats(queue).hosts}


def _host(driver: Driver, queue: str, one: Beat, seconds: float | None) -> dict[str, Any]:
    consumers = driver.consumers(queue, one.host)
    return {
        "queue": queue,
        "id": one.host,
        "name": one.name,
        "consumers": len(consumers),
        "reserved": sum(len(driver.owned(queue, consumer)) for consumer in consumers),
        "seconds": None if seconds is None else round(seconds, 3),
        "state": "silent" if seconds is None else "alive",
    }


def _lines(found: Sequence[dict[str, Any]]) -> list[str]:
    if not found:
        return ["no host serves these queues"]
    head = ("QUEUE", "HOST", "NAME", "CONSUMERS", "RESERVED", "BEAT", "STATE")
    rows = [
        (one["queue"], one["id"], one["name"] or "-", one["consumers"], one["reserved"],
         _age(one["seconds"]), one["state"])
        for one in found
    ]  # fmt: skip
    first, *rest = table(head, rows, right=("CONSUMERS", "RESERVED", "BEAT"))
    return [first, *(_marked(line, one["state"]) for line, one in zip(rest, found, strict=True))]


def _marked(line: str, state: str) -> str:
    return line.removesuffix(state) + marked(state, "good" if state == "alive" else "bad")


def _age(seconds: float | None) -> str:
    return "-" if seconds is None else format_seconds(round(seconds, 1))
