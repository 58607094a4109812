"""`procqueue stop`: asks the master to stop, or to stop what is named, and waits until it has."""

from __future__ import annotations

import time
from typing import Any

import click

from procqueue.cli import completing
from procqueue.cli.asking import request_patiently, status_of
from procqueue.cli.options import Where, verb
from procqueue.cli.output import plain, print_json, say, show
from procqueue.core.exits import Exit
from procqueue.process import lock

#: After its answer the master has only its lock to give back.
_LAST_STEP = 2.0


@verb
@click.option("--now", is_flag=True, help="Do not wait for what runs: kill it. Its messages are run again.")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completing.names)
def stop(where: Where, now: bool, names: tuple[str, ...]) -> Exit:
    """Stop the running master, or only NAME: a queue, a program, a copy (NAME:INDEX), a group, a pattern.

    What runs is finished, for as long as grace says; then it is killed, and its messages are run again later.
    What is stopped by name stays so, over reload and the next start, until procqueue start NAME.
    """
    state_dir = where.running()
    answer = request_patiently(
        state_dir, "stop", lambda: _say_what_runs(state_dir, names), now=now, names=list(names)
    )
    if not names:
        _wait_for_lock(state_dir)
    if where.json:
        print_json(answer)
        return Exit.OK
    already = set(answer.get("already", ()))
    stopped = [name for name in answer["stopped"] if name not in already]
    if stopped or not already:
        show("stopped: " + (", ".join(stopped) or "nothing was running"))
    if already:
        show("stopped already: " + ", ".join(sorted(already)))
    if answer["killed"]:
        show("killed, because they did not end in time: " if not now else "killed: ")
        for name in answer["killed"]:
            show(f"  {plain(name)}")
    return Exit.OK


def _say_what_runs(state_dir: str, names: tuple[str, ...]) -> None:
    status = status_of(state_dir)
    if status is None:
        return
    members = [
        one
        for kind, of in (("queues", "consumers"), ("processes", "members"))
        for one in _members(status, kind, of)
    ]
    consumers = [one for one in members if not names or one["state"] == "stopping"]
    busy = [(one["name"], run) for one in consumers for run in one.get("running", ())]
    if not consumers:
        say("all have left; waiting for the scheduler to settle the rest")
        return
    number = "1 process" if len(consumers) == 1 else f"{len(consumers)} processes"
    say(f"still waiting for {number}; procqueue stop --now, in another terminal, kills what runs")
    for name, run in busy[:10]:
        say(f"  {plain(name)} runs {plain(run['task'])} for {run['seconds']:.0f} s ({plain(run['id'])})")


def _members(status: dict[str, Any], kind: str, of: str) -> list[dict[str, Any]]:
    return [one for table in status[kind].values() for one in table[of] if one["pid"]]


def _wait_for_lock(state_dir: str) -> None:
    """Wait until another master could start: the answer comes a moment before the lock is free."""
    give_up = time.monotonic() + _LAST_STEP
    while lock.holder(f"{state_dir}/master.lock") is not None and time.monotonic() < give_up:
        time.sleep(0.005)
