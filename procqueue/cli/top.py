"""`procqueue top`: status again and again, on the whole terminal, until q."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from procqueue.cli.options import Where, verb
from procqueue.cli.output import marked, plain, print_json, show
from procqueue.cli.status_text import lines
from procqueue.core.exits import Exit
from procqueue.process.ask import NoMaster, ask

_NO_RATES: Mapping[str, float] = {}


@verb
@click.option("--every", type=click.FloatRange(0.1, 3600), default=1.0, help="Seconds between two looks [1].")
def top(where: Where, every: float) -> Exit:
    """Show what `status` shows, anew each second; q or Ctrl-C ends it.

    How many messages were handled per second stands beside each queue. Without a terminal it shows one look.
    """
    state_dir = where.running()
    document, at, rates = ask(state_dir, "status"), time.monotonic(), _NO_RATES
    if where.json:
        print_json(document)
        return Exit.OK
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        for line in lines(document):
            show(line)
        return Exit.OK
    with _screen() as draw:
        while True:
            draw(_page(document, rates))
            if _asked_to_end(every):
                return Exit.OK
            try:
                before, document, since, at = document, ask(state_dir, "status"), at, time.monotonic()
                rates = _rates(before, document, at - since)
            except (NoMaster, TimeoutError) as error:
                draw([plain(error), "", "q ends"])
                if _asked_to_end(every):
                    return Exit.NO_MASTER


def _page(document: dict[str, Any], rates: Mapping[str, float]) -> list[str]:
    """Return the lines of a look. What is wrong stands last there, perhaps too far down to be seen."""
    head = time.strftime("%H:%M:%S  q ends")
    if number := len(document["problems"]):
        head += "  " + marked("1 problem" if number == 1 else f"{number} problems", "bad")
    return [head, *lines(document, rates)]


def _rates(before: dict[str, Any], now: dict[str, Any], seconds: float) -> dict[str, float]:
    """Return handled messages per second by queue; consumers that came or went meanwhile do not count."""
    found = {}
    for name, queue in now["queues"].items():
        known = {one["pid"]: one["handled"] for one in before["queues"].get(name, {}).get("consumers", ())}
        more = [one["handled"] - known[one["pid"]] for one in queue["consumers"] if one["pid"] in known]
        if seconds > 0:
            found[name] = sum(more) / seconds
    return found


@contextmanager
def _screen() -> Iterator[Any]:
    """Take the terminal: give a function that draws lines on the whole of it; give it back at the end."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console()
    old = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:

            def draw(page: list[str]) -> None:
                fitting = page[: console.height - 1]
                if len(page) > len(fitting):
                    fitting[-1] = f"… {len(page) - len(fitting) + 1} lines more: procqueue status NAME"
                live.update(
                    Text.from_ansi("\n".join(fitting), no_wrap=True, overflow="ellipsis"), refresh=True
                )

            yield draw
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, old)


def _asked_to_end(seconds: float) -> bool:
    """Wait so long; True as soon as somebody presses q, or the terminal is gone."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if not select.select([sys.stdin], [], [], left)[0]:
            return False
        pressed = os.read(sys.stdin.fileno(), 64)
        if not pressed or b"q" in pressed or b"Q" in pressed:
            return True
    return False
