"""`procqueue forget` and `procqueue clear`: stored messages are removed. What runs is never touched."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from procqueue.cli import completing
from procqueue.cli.failures import usage
from procqueue.cli.options import Where, verb
from procqueue.cli.output import plain, print_json, progress, say, show
from procqueue.cli.selecting import STATES, chosen, filtered, paced
from procqueue.cli.store import opened
from procqueue.core.exits import Exit
from procqueue.core.filters import REMOVABLE
from procqueue.core.message import State

if TYPE_CHECKING:
    from procqueue.stored.queue import Queue

_PACE = ("limit", "rate", "dry_run")


def _state(_ctx: click.Context, _param: click.Parameter, value: str | None) -> State | None:
    if value == State.RESERVED:
        hint = "wait until it has ended; procqueue status shows what runs"
        raise usage("reserved messages are being handled and cannot be removed", hint)
    if value is not None and value not in list(State):
        raise usage(f"there is no state {value!r}", "the states are: " + ", ".join(REMOVABLE))
    return None if value is None else State(value)


@verb
@click.argument("queue", metavar="QUEUE", shell_complete=completing.queues)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="All messages that do not run; wants --yes.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--state",
    metavar="S",
    shell_complete=completing.words(*REMOVABLE),
    callback=_state,
    help="Only those of one state: " + STATES,
)
@filtered
@paced
def forget(
    where: Where,
    queue: str,
    ids: tuple[str, ...],
    everything: bool,
    yes: bool,
    state: State | None,
    **options: Any,
) -> Exit:
    """Remove messages of QUEUE: those named, those that filters mean, or with --all all that do not run."""
    which = chosen(**options)
    if ids and (everything or any(which.values())):
        raise usage("give ids, or filters, or --all: what is named is meant anyway")
    narrow = any(value for name, value in which.items() if name not in _PACE)
    if not (ids or everything or narrow or which["dry_run"]):
        hint = "procqueue forget QUEUE ID…, or filters as --older-than 7d, or --all --yes"
        raise usage("name the messages, or say which or --all", hint)
    with opened(where) as store:
        asked = store.queue(queue)
        if ids:
            return _remove(where, asked, ids, state)
        return _remove_many(where, asked, state, which, ask=everything and not narrow and not yes)


@verb
@click.argument("queue", metavar="QUEUE", shell_complete=completing.queues)
@click.option(
    "--state",
    metavar="S",
    shell_complete=completing.words(*REMOVABLE),
    required=True,
    callback=_state,
    help="Of which state: " + STATES,
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@filtered
@paced
def clear(where: Where, queue: str, state: State, yes: bool, **options: Any) -> Exit:
    """Remove all messages of one state from QUEUE, or those of them that the filters mean."""
    which = chosen(**options)
    with opened(where) as store:
        return _remove_many(where, store.queue(queue), state, which, ask=not yes)


def _remove_many(
    where: Where, queue: Queue, state: State | None, which: dict[str, Any], *, ask: bool
) -> Exit:
    states = [state] if state else list(REMOVABLE)
    counts = queue.counts()
    number = sum(getattr(counts, one.value) for one in states)
    words = ", ".join(states)
    if ask and not which["dry_run"]:
        meant = "what is meant of " if any(which.values()) else ""
        question = f"remove {meant}{number} messages ({words}) of {queue.name} for ever?"
        if not sys.stdin.isatty():
            raise usage(question, "say --yes")
        click.confirm(question, abort=True, err=True)
    with progress("remove", min(number, which["limit"] or number)) as note:
        changed = queue.forget(state=state, everything=True, note=note, **which)
    if where.json:
        dry = {"dry_run": True} if which["dry_run"] else {}
        print_json({"v": 1, "queue": queue.name, "removed": changed.count, **dry})
    else:
        done = "would be removed" if which["dry_run"] else "removed"
        show(f"{changed.count} {done} from {queue.name} ({words})")
    return Exit.OK


def _remove(where: Where, queue: Queue, ids: tuple[str, ...], state: State | None) -> Exit:
    changed = queue.forget(*ids, state=state)
    removed = [id for id in dict.fromkeys(ids) if id not in changed.missing]
    kept = {id: _why(is_in, state) for id, is_in in changed.missing.items()}
    if where.json:
        print_json({"v": 1, "queue": queue.name, "removed": removed, "kept": kept})
    else:
        show(f"{len(removed)} removed from {queue.name}")
    for id, why in kept.items():
        say(f"{plain(id)}: {why}")
    return Exit.FAILED if kept else Exit.OK


def _why(is_in: str | None, state: State | None) -> str:
    if is_in == State.RESERVED:
        return "it is being handled, so it stays"
    if is_in is None:
        return "there is no such message"
    return f"it is {is_in}, not {state}" if state else f"it is {is_in}"
