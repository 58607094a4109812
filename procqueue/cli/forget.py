"""`procqueue forget` and `procqueue clear`: stored messages are removed. What runs is never touched."""

from __future__ import annotations

import sys

import click

from procqueue.cli import completing
from procqueue.cli.failures import usage
from procqueue.cli.options import Where, verb
from procqueue.cli.output import plain, print_json, progress, say, show
from procqueue.cli.store import Store, opened
from procqueue.core.exits import Exit
from procqueue.core.message import State

_REMOVABLE: list[State] = [state for state in State if state is not State.RESERVED]


def _state(_ctx: click.Context, _param: click.Parameter, value: str | None) -> State | None:
    if value == State.RESERVED:
        hint = "wait until it has ended; procqueue status shows what runs"
        raise usage("reserved messages are being handled and cannot be removed", hint)
    if value is not None and value not in list(State):
        raise usage(f"there is no state {value!r}", "the states are: " + ", ".join(_REMOVABLE))
    return None if value is None else State(value)


_STATE_HELP = "waiting, delayed, failed or timeout."


@verb
@click.argument("queue", metavar="QUEUE", shell_complete=completing.queues)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="All messages that do not run; wants --yes.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--state",
    metavar="S",
    shell_complete=completing.words(*_REMOVABLE),
    callback=_state,
    help="Only those of one state: " + _STATE_HELP,
)
def forget(
    where: Where, queue: str, ids: tuple[str, ...], everything: bool, yes: bool, state: State | None
) -> Exit:
    """Remove messages of QUEUE: those named, or with --all all that do not run."""
    if bool(ids) == everything:
        hint = "procqueue forget QUEUE ID…, or procqueue forget QUEUE --all --yes"
        raise usage(
            "name the messages, or say --all" if not ids else "name messages or say --all, not both", hint
        )
    with opened(where) as store:
        name = store.checked(queue)
        if everything:
            return _remove_all(where, store, name, [state] if state else _REMOVABLE, yes)
        return _remove(where, store, name, ids, state)


@verb
@click.argument("queue", metavar="QUEUE", shell_complete=completing.queues)
@click.option(
    "--state",
    metavar="S",
    shell_complete=completing.words(*_REMOVABLE),
    required=True,
    callback=_state,
    help="Of which state: " + _STATE_HELP,
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear(where: Where, queue: str, state: State, yes: bool) -> Exit:
    """Remove all messages of one state from QUEUE."""
    with opened(where) as store:
        return _remove_all(where, store, store.checked(queue), [state], yes)


def _remove_all(where: Where, store: Store, queue: str, states: list[State], yes: bool) -> Exit:
    from procqueue.cli import stored

    number = stored.count(store.driver, queue, states)
    words = ", ".join(states)
    if not yes:
        question = f"remove {number} messages ({words}) of {queue} for ever?"
        if not sys.stdin.isatty():
            raise usage(question, "say --yes")
        click.confirm(question, abort=True, err=True)
    with progress("remove", number) as note:
        gone = stored.forget_all(store.driver, queue, states, note)
    if where.json:
        print_json({"v": 1, "queue": queue, "removed": gone})
    else:
        show(f"{gone} removed from {queue} ({words})")
    return Exit.OK


def _remove(where: Where, store: Store, queue: str, ids: tuple[str, ...], state: State | None) -> Exit:
    from procqueue.cli import stored

    wanted = [id for id in dict.fromkeys(ids) if state is None or _stands_in(store, queue, id, state)]
    found = {
        id: was for some in stored.in_chunks(wanted) for id, was in store.driver.forget(queue, some).items()
    }
    removed = [id for id, was in found.items() if was not in (None, State.RESERVED)]
    kept = {id: _why(found.get(id), state) for id in dict.fromkeys(ids) if id not in removed}
    if where.json:
        print_json({"v": 1, "queue": queue, "removed": removed, "kept": kept})
    else:
        show(f"{len(removed)} removed from {queue}")
    for id, why in kept.items():
        say(f"{plain(id)}: {why}")
    return Exit.FAILED if kept else Exit.OK


def _stands_in(store: Store, queue: str, id: str, state: State) -> bool:
    one = store.driver.message(queue, id)
    return one is not None and one.state is state


def _why(was: State | None, state: State | None) -> str:
    if was is State.RESERVED:
        return "it is being handled, so it stays"
    return "there is no such message" if state is None else f"there is no such message in {state.value}"
