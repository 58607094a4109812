"""`start --daemon`: the master in the background, told of in the terminal until all is ready.

The process forks twice before anything else of the master is done. What goes wrong before the master runs
comes back through a pipe; its end of file means that the master has ended.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Callable

from procqueue.cli.asking import say_what_is_missing
from procqueue.cli.failures import Refusal, refusal_of
from procqueue.core.exits import Exit
from procqueue.process.ask import NoMaster, ask

_ASK_EVERY = 0.1


def in_background(run: Callable[[], int], state_dir: str, patience: float) -> int:
    """Run a master's life in a process of its own; return its pid when all is ready.

    Raises Refusal for what it could not begin with, and if not all is ready after `patience` seconds.
    """
    read, write = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        os.close(read)
        _detach(run, write)
    os.close(write)
    os.waitpid(child, 0)
    try:
        return _wait(read, state_dir, time.monotonic() + patience)
    finally:
        os.close(read)


def _detach(run: Callable[[], int], report: int) -> None:
    """Leave the terminal and its session, and run; never return."""
    code = int(Exit.FAILED)
    try:
        os.setsid()
        if os.fork():
            os._exit(0)  # no leader of a session: no terminal can become ours
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.close(null)
        code = run()
        os.write(report, json.dumps({"code": code}).encode())
    except Exception as error:
        refusal = refusal_of(error) or Refusal(Exit.FAILED, f"{type(error).__name__}: {error}")
        said = {"code": int(refusal.code), "message": refusal.message, "hint": refusal.hint}
        os.write(report, json.dumps(said).encode()[:4096])
    finally:
        os._exit(code)


def _wait(report: int, state_dir: str, give_up: float) -> int:
    while time.monotonic() < give_up:
        if select.select([report], [], [], _ASK_EVERY)[0]:
            raise _what_was_wrong(os.read(report, 4096))
        try:
            if ask(state_dir, "health")["ready"]:
                return int(ask(state_dir, "status")["master"]["pid"])
        except (NoMaster, TimeoutError):
            pass  # it is on its way
    say_what_is_missing(state_dir)
    hint = "it goes on trying: procqueue status shows it, procqueue stop ends it"
    raise Refusal(Exit.TIMED_OUT, "the master runs, but not everything is ready in time", hint)


def _what_was_wrong(said: bytes) -> Refusal:
    hint = "procqueue logs shows its last lines"
    if not said:
        return Refusal(Exit.FAILED, "the master was killed before all was ready", hint)
    found = json.loads(said)
    if "message" not in found:
        return Refusal(Exit.FAILED, "the master has ended before all was ready", hint)
    return Refusal(Exit(found["code"]), found["message"], found["hint"])
