"""`procqueue logs`: the last lines of all children, or of some, without asking the master.

The logger keeps them in state_dir/logs (process/logger/ring.py); lines of several names are merged by their
moments.
"""

from __future__ import annotations

import heapq
import json
import select
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from itertools import islice, takewhile
from typing import Any

import click

from procqueue.cli import completing
from procqueue.cli.failures import usage
from procqueue.cli.options import Where, verb
from procqueue.cli.output import print_json, say, show
from procqueue.core.errors import ConfigError
from procqueue.core.exits import Exit
from procqueue.core.moments import moment
from procqueue.core.settings.wrong import nearest
from procqueue.core.units import seconds
from procqueue.process.logger.lines import visible
from procqueue.process.logger.ring import Line, Ring, names_in

#: Lines that are shown unless told otherwise.
_USUAL = 100
#: Seconds between two looks for new lines.
_LOOK = 0.05

Wanted = Callable[[str], bool]


@verb
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completing.sources)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until interrupted.")
@click.option("-n", "count", type=click.IntRange(0), help=f"How many of the last lines [{_USUAL}].")
@click.option("--since", metavar="D", help='Only lines of the last "10m", "2h" …; without -n all of them.')
def logs(where: Where, names: tuple[str, ...], follow: bool, count: int | None, since: str | None) -> Exit:
    """Show the last lines of all processes, or of those NAMEd.

    NAME is a queue, one process (emails:0), a pattern ("em*"), or one of procqueue's own: master, scheduler.
    """
    folder = f"{where.running()}/logs"
    known = names_in(folder)
    wanted = _wanted(names, known, where)
    begin = _moment_before(since)
    rings = {one: Ring(folder, one) for one in known}
    try:
        lines = _last(rings, wanted, begin, count if count is not None or begin else _USUAL)
        if where.json and not follow:
            print_json({"v": 1, "lines": [_document(line) for line in lines]})
            return Exit.OK
        if not known:
            say(f"no lines are kept in {folder} yet")
        put = _put_json if where.json else _put_text
        for line in lines:
            put(line)
        if follow:
            _follow(folder, rings, wanted, put)
        return Exit.OK
    finally:
        for ring in rings.values():
            ring.close()


def _wanted(names: tuple[str, ...], known: list[str], where: Where) -> Wanted:
    """Return which lines are wanted, by their names. Raises a Refusal for a name that nothing has."""
    if not names or "all" in names:
        return lambda _: True
    pools = {one.removeprefix("@") for one in known}
    for name in names:
        pool = name.partition(":")[0]
        if not any(fnmatchcase(one, pool) for one in pools) and pool not in (queues := _queues(where)):
            every = sorted({*pools, *queues})
            raise usage(
                f"there is no queue or process {name!r}",
                nearest(pool, every) or f"there are: {', '.join(every[:20]) or 'none'}",
            )
    patterns = [pattern for name in names for pattern in ([name] if ":" in name else [name, f"{name}:*"])]
    return lambda name: any(fnmatchcase(name, pattern) for pattern in patterns)


def _queues(where: Where) -> Iterable[str]:
    """Return the queues of the file: those that have not said anything yet are no mistake."""
    try:
        return where.silent_settings().queues
    except ConfigError:
        return ()


def _moment_before(since: str | None) -> str:
    if since is None:
        return ""
    try:
        ago = seconds(since)
    except ValueError as error:
        raise usage(f"--since: {error}") from None
    return moment(int((time.time() - ago) * 1000)) or ""


def _last(rings: dict[str, Ring], wanted: Wanted, begin: str, count: int | None) -> list[Line]:
    """Return the last `count` lines, None for all, not older than `begin`; the oldest first."""
    recent = [takewhile(lambda line: line.moment >= begin, ring.backwards()) for ring in rings.values()]
    merged = heapq.merge(*recent, key=lambda line: line.moment, reverse=True)
    return list(islice((line for line in merged if wanted(line.name)), count))[::-1]


def _follow(folder: str, rings: dict[str, Ring], wanted: Wanted, put: Callable[[Line], None]) -> None:
    """Show what comes until nobody reads it any more."""
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)
    while not reader.poll(_LOOK * 1000):
        for one in names_in(folder):
            if one not in rings:
                rings[one] = Ring(folder, one, from_start=True)
        for line in sorted(_added(rings), key=lambda line: line.moment):
            if wanted(line.name):
                put(line)
        sys.stdout.flush()


def _added(rings: dict[str, Ring]) -> Iterator[Line]:
    for ring in rings.values():
        yield from ring.added()


def _put_json(line: Line) -> None:
    show(json.dumps(_document(line)))


def _put_text(line: Line) -> None:
    mark = "" if line.stream == "own" else "+ " if line.continued else "| "
    show(f"{_clock(line.moment)} {line.name} {mark}{visible(line.text).decode('utf-8', 'backslashreplace')}")


def _clock(written: str) -> str:
    """Return the local time of a moment, with its day if that is not today."""
    from datetime import datetime

    at = datetime.fromisoformat(written).astimezone()
    today = datetime.now().astimezone().date()
    return at.strftime("%H:%M:%S" if at.date() == today else "%Y-%m-%d %H:%M:%S")


def _document(line: Line) -> dict[str, Any]:
    text = line.text.decode("utf-8", "backslashreplace")
    found = {"time": line.moment, "name": line.name, "stream": line.stream, "line": text}
    return {**found, "continued": True} if line.continued else found
