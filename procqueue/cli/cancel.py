"""`procqueue cancel`: messages are handled no more, whether they wait or run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from procqueue.cli import completing
from procqueue.cli.failures import usage
from procqueue.cli.options import Where, verb
from procqueue.cli.output import plain, print_json, say, show
from procqueue.cli.store import opened
from procqueue.core.exits import Exit

if TYPE_CHECKING:
    from procqueue.stored.queue import Queue


@verb
@click.argument("queue", metavar="QUEUE", shell_complete=completing.queues)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="All that wait, are delayed or run; wants --yes.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def cancel(where: Where, queue: str, ids: tuple[str, ...], everything: bool, yes: bool) -> Exit:
    """Let messages of QUEUE be handled no more: those named, or with --all all that may still run.

    What runs hears of it within about a second: its handler gets Cancelled, and kill_after later its process
    is ended. What failed or is parked stays: see forget.
    """
    if bool(ids) == everything:
        hint = "procqueue cancel QUEUE ID…, or procqueue cancel QUEUE --all --yes"
        raise usage(
            "name messages or say --all, not both" if ids else "name the messages, or say --all", hint
        )
    with opened(where) as store:
        asked = store.queue(queue)
        if everything:
            _ask(asked, yes)
        done = asked.cancel(*ids, everything=everything)
    if where.json:
        words = dict.fromkeys(done.removed, "removed") | dict.fromkeys(done.cancelling, "cancelling")
        print_json({"v": 1, "queue": queue, "cancelled": words | dict.fromkeys(done.missing, "not found")})
    else:
        for word, those in (("removed", done.removed), ("cancelling", done.cancelling)):
            if those:
                show(f"{len(those)} {word} in {queue}")
    for id, state in done.missing.items():
        if state is None:
            say(f"{plain(id)}: not found: there is no such message")
        else:
            say(f"{plain(id)}: not found: it stands in {state}; procqueue forget removes it")
    return Exit.FAILED if done.missing else Exit.OK


def _ask(queue: Queue, yes: bool) -> None:
    if yes:
        return
    counts = queue.counts()
    question = f"cancel {counts.waiting + counts.delayed + counts.reserved} messages of {queue.name}?"
    if not sys.stdin.isatty():
        raise usage(question, "say --yes")
    click.confirm(question, abort=True, err=True)
