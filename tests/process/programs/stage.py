"""A small parent for the tests of programs/: a process of its own that starts real programs."""

from __future__ import annotations

import os
import textwrap
from contextlib import AbstractContextManager

import pytest

from tests.process.actors import Actor, actor

HEAD = """
import atexit, json, os, resource, select, signal, socket, sys, time
from pathlib import Path
from procqueue.process import kernel
from procqueue.process.programs import sweep
from procqueue.core.settings.environment import Environment, Limit
from procqueue.process.programs.order import Failure, Order
from procqueue.process.programs.exec import start

kernel.become_subreaper()

@atexit.register
def leave_nothing():
    for pid in kernel.descendants_of(os.getpid()):
        kernel.send(pid, signal.SIGKILL)

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def order(*argv, **options):
    # Its lines arrive where ours do.
    given = {"stdout": 1, "stderr": 2, **options}
    how = {key: given.pop(key) for key in list(given) if key in Environment.__dataclass_fields__}
    how["env"] = tuple(how.get("env", {}).items())
    return Order("clock", 3, OWNER, argv, environment=Environment(**how), **given)

def begun(started):
    # Wait until it runs, or return why it does not.
    select.select([started.report], [], [], 20)
    assert started.report.hear(), "neither begun nor failed"
    started.report.close()
    return started.report.failure

def code_of(started):
    os.close(started.pidfd)
    return os.waitstatus_to_exitcode(os.waitpid(started.pid, 0)[1])

def run(*argv, **options):
    started = start(order(*argv, **options))
    failure = begun(started)
    code = code_of(started)
    say(failure.sentence("processes.clock", "queues.toml:41") if failure else "code " + str(code))

def python(code, **options):
    run(sys.executable, "-c", code, **options)

def wait_until(holds):
    give_up = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < give_up, holds
        time.sleep(0.002)
"""

#: What only root can do: drop to another user, raise a limit.
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def parent(code: str, *arguments: object, owner: str = "host.1.1") -> AbstractContextManager[Actor]:
    """Start a parent that runs `code` after HEAD."""
    return actor(f"OWNER = {owner!r}\n" + HEAD + textwrap.dedent(code), *arguments)


def lines(one: Actor, number: int) -> list[str]:
    """Return its next lines."""
    return [one.line() for _ in range(number)]
