"""`procqueue stop`: asks the master to stop, and waits until it has."""

from __future__ import annotations

import threading
import time
from typing import Any

import click

from procqueue.cli.failures import usage
from procqueue.cli.options import Where, verb
from procqueue.cli.output import plain, print_json, say, show
from procqueue.core.exits import Exit
from procqueue.process import lock
from procqueue.process.ask import NoMaster, ask

#: Who waits longer than this is told for what, and again so often.
_SAY_AFTER = 2.0
_SAY_EVERY = 10.0
#: After its answer the master has only its lock to give back.
_LAST_STEP = 2.0


@verb
@click.option("--now", is_flag=True, help="Do not wait for what runs: kill it. Its messages are run again.")
@click.argument("names", nargs=-1, metavar="")
def stop(where: Where, now: bool, names: tuple[str, ...]) -> Exit:
    """Stop the running master.

    What runs is finished, for as long as grace says; then it is killed, and its messages are run again later.
    """
    if names:
        hint = "take enabled = false or processes = 0 for that queue into the file, then stop and start"
        raise usage("stop NAME is not available in this version: stop without names stops the whole", hint)
    state_dir = where.running()
    answer = _ask_patiently(state_dir, now)
    _wait_for_lock(state_dir)
    if where.json:
        print_json(answer)
        return Exit.OK
    show("stopped: " + (", ".join(answer["stopped"]) or "nothing was running"))
    if answer["killed"]:
        show("killed, because they did not end in time: " if not now else "killed: ")
        for name in answer["killed"]:
            show(f"  {plain(name)}")
    return Exit.OK


def _ask_patiently(state_dir: str, now: bool) -> dict[str, Any]:
    """Return the master's answer; say what it waits for when that takes long."""
    answers: list[dict[str, Any] | Exception] = []

    def wait() -> None:
        try:
            answers.append(ask(state_dir, "stop", patience=None, now=now))
        except Exception as error:
            answers.append(error)

    # A thread of its own, so that Ctrl-C and the hint find this one at leisure.
    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    patience = _SAY_AFTER
    while waiting.is_alive():
        waiting.join(patience)
        if waiting.is_alive():
            _say_what_runs(state_dir)
            patience = _SAY_EVERY
    answer = answers[0]
    if isinstance(answer, Exception):
        raise answer
    return answer


def _say_what_runs(state_dir: str) -> None:
    try:
        status = ask(state_dir, "status")
    except (NoMaster, TimeoutError):
        return
    consumers = [one for queue in status["queues"].values() for one in queue["consumers"]]
    busy = [(one["name"], run) for one in consumers for run in one["running"]]
    if not consumers:
        say("all consumers have left; waiting for the scheduler to settle the rest")
        return
    number = "1 consumer" if len(consumers) == 1 else f"{len(consumers)} consumers"
    say(f"still waiting for {number}; procqueue stop --now, in another terminal, kills what runs")
    for name, run in busy[:10]:
        say(f"  {plain(name)} runs {plain(run['task'])} for {run['seconds']:.0f} s ({plain(run['id'])})")


def _wait_for_lock(state_dir: str) -> None:
    """Wait until another master could start: the answer comes a moment before the lock is free."""
    give_up = time.monotonic() + _LAST_STEP
    while lock.holder(f"{state_dir}/master.lock") is not None and time.monotonic() < give_up:
        time.sleep(0.005)
