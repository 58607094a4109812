"""`procqueue message`: everything that is stored of one message."""

from __future__ import annotations

import json

import click

from procqueue.cli.failures import Refusal
from procqueue.cli.options import Where, verb
from procqueue.cli.output import plain, print_json, show
from procqueue.cli.store import opened
from procqueue.core.exits import Exit
from procqueue.stored.documents import message_document, run_document

_COUNTERS = ("attempts", "crashes", "suspects", "interrupts", "releases")


@verb
@click.argument("queue", metavar="QUEUE")
@click.argument("id", metavar="ID")
def message(where: Where, queue: str, id: str) -> Exit:
    """Show one message of QUEUE: its arguments, and each run that ended badly."""
    with opened(where) as store:
        one = store.queue(queue).message(id)
    if one is None:
        hint = f"it was handled or removed, or was never there: procqueue messages {queue} lists what is"
        raise Refusal(Exit.FAILED, f"{queue} has no message {id!r}", hint)
    shown = message_document(one)
    history = [run_document(run) for run in one.history]
    if where.json:
        print_json({"v": 1, "message": {**shown, "args": one.args, "kwargs": one.kwargs, "history": history}})
        return Exit.OK
    show(f"{one.id}: {one.state} in {one.queue}")
    show(f"  task       {plain(one.task or '? (the body is unreadable)')}")
    if one.task is not None:
        show(f"  arguments  {plain(json.dumps(one.args))} {plain(json.dumps(one.kwargs))}")
    for name, key in (("pushed", "pushed_at"), ("due", "due_at"), ("ended", "ended_at")):
        if shown[key]:
            show(f"  {name:<9}  {shown[key]}")
    counted = [f"{name} {shown[name]}" for name in _COUNTERS if shown[name]]
    if counted:
        show(f"  counted    {', '.join(counted)}")
    for run in one.history:
        seconds = "" if run.seconds is None else f" after {run.seconds:.3f} s"
        show(f"{run.began_at:%FT%TZ}  {run.outcome}{seconds}" if run.began_at else run.outcome)
        for line in (run.traceback or run.error).splitlines():
            show(f"    {plain(line)}")
        if run.cause:
            show(f"    cause: {plain(json.dumps(dict(run.cause)))}")
    return Exit.OK
