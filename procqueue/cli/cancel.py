"""`procqueue cancel`: messages are handled no more, whether they wait or run."""

from __future__ import annotations

import sys

import click

from procqueue.cli.failures import usage
from procqueue.cli.options import Where, verb
from procqueue.cli.output import plain, print_json, say, show
from procqueue.cli.store import Store, opened
from procqueue.core.exits import Exit
from procqueue.core.message import NO_COUNTERS, State
from procqueue.core.outcome import Ending
from procqueue.core.record import NoticeHeader

_CANCELLABLE = (State.WAITING, State.DELAYED, State.RESERVED)


@verb
@click.argument("queue", metavar="QUEUE")
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
        name = store.checked(queue)
        if everything:
            ids = _all(store, name, yes)
        return _cancel(where, store, name, ids)


def _all(store: Store, queue: str, yes: bool) -> tuple[str, ...]:
    counts = store.driver.counts(queue)
    number = counts.waiting + counts.delayed + counts.reserved
    if not yes:
        question = f"cancel {number} messages of {queue}?"
        if not sys.stdin.isatty():
            raise usage(question, "say --yes")
        click.confirm(question, abort=True, err=True)
    return tuple(
        one.id for state in _CANCELLABLE for one in store.driver.messages(queue, state, 0, max(1, number))
    )


def _cancel(where: Where, store: Store, queue: str, ids: tuple[str, ...]) -> Exit:
    from procqueue.stored.change import chunks

    found: dict[str, State | None] = {}
    for some in chunks(list(dict.fromkeys(ids))):
        found |= store.driver.cancel(queue, {id: _header(queue, id) for id in some})
    words = {id: _word(state) for id, state in found.items()}
    if where.json:
        print_json({"v": 1, "queue": queue, "cancelled": words})
    else:
        for word in ("removed", "cancelling"):
            if number := list(words.values()).count(word):
                show(f"{number} {word} in {queue}")
    for id, state in found.items():
        if state is None:
            say(f"{plain(id)}: not found: there is no such message")
        elif state not in _CANCELLABLE:
            say(f"{plain(id)}: not found: it stands in {state.value}; procqueue forget removes it")
    return Exit.FAILED if "not found" in words.values() else Exit.OK


def _header(queue: str, id: str) -> bytes:
    counters = NO_COUNTERS.pack()
    return NoticeHeader(id, queue, Ending.CANCELLED, "cancelled by hand", counters, "").encode()


def _word(state: State | None) -> str:
    if state is State.RESERVED:
        return "cancelling"
    return "removed" if state in _CANCELLABLE else "not found"
