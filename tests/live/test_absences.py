"""A master that was stopped or frozen, alone or with all that is its own, ends nobody for being late."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import pytest

from procqueue.core.vigil import LATE
from procqueue.process.ask import ask
from tests.live.conftest import Make
from tests.live.harness import Project

#: Shorter than the absence, so that each has passed when the master comes back.
SECONDS = 5
AWAY = LATE + 2.0

CONFIG = f"""
[queues.q]
handle_timeout = 0.3
kill_after = {SECONDS}

[queues.leaving]
handle_timeout = 0
grace = {SECONDS}

[processes.slow]
command = ["{sys.executable}", "slow.py", "${{index}}"]
ready = "line:ready"
start_timeout = {SECONDS}
"""

APP = """
@task(queue="q")
def late():
    say("began late")
    try:
        time.sleep(60)
    except SoftTimeout:
        say("told")
        wait_for("go")
    say("ended late")

@task(queue="leaving")
def leaves():
    say("began leaves")
    wait_for("go")
    say("ended leaves")
"""

SLOW = """
import os, sys, time
while sys.argv[1] != "0" and not os.path.exists("go"):
    time.sleep(0.01)
print("ready", flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("whole", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["all", "alone"])
def test_nobody_is_killed_for_what_a_stopped_master_could_not_see(
    make: Make, url: str | None, whole: bool
) -> None:
    p = make(CONFIG, APP, url)
    (p.folder / "slow.py").write_text(SLOW)
    p.start()
    p.wait_until(lambda: slow(p)["ready"] == 1, "the first copy of the program")
    before = p.status()
    p.push("leaves", queue="leaving")
    p.push("late")
    p.wait_said("began leaves")
    p.wait_said("began late")
    ask(str(p.folder / "run"), "scale", names={"leaving": 0, "slow": 2})
    p.wait_until(lambda: len(slow(p)["members"]) == 2 and slow(p)["members"][1]["pid"], "the second copy")

    assert p.master is not None
    stopped = p.processes() if whole else [p.master.pid]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + AWAY
    p.wait_until(lambda: time.monotonic() >= end, "the absence to pass")
    os.kill(p.master.pid, signal.SIGCONT)
    for _ in range(2):  # it has decided by what it saw, before anybody else could say a word
        p.status()
    assert set(stopped) <= set(p.processes()), p.report()
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    p.wait_said("told")
    (p.folder / "go").touch()

    p.wait_said("ended late")
    p.wait_said("ended leaves")
    for queue in ("q", "leaving"):
        p.wait_empty(queue)
    p.wait_until(lambda: slow(p)["ready"] == 2, "the second copy to be ready")
    p.wait_until(lambda: " slept " in p.output.read_text(), "the absence to be told of")
    output = p.output.read_text()
    assert " killed " not in output and " died " not in output, output
    assert p.failed() == [] and p.failed("leaving") == []
    assert p.status()["scheduler"]["pid"] == before["scheduler"]["pid"]
    assert [one["restarts"] for one in slow(p)["members"]] == [0, 0]


def slow(p: Project) -> dict[str, Any]:
    found: dict[str, Any] = p.status()["processes"]["slow"]
    return found
