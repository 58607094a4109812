"""Cancel: what runs is told, and ended if it does not hear; what waits is removed; nothing runs again."""

from __future__ import annotations

import json
import os
import signal

from tests.conformance.playing import header
from tests.live.conftest import Make
from tests.live.harness import Project

CONFIG = """
    [queues.q]
    handle_timeout = 0
    kill_after = "1s"
    max_attempts = 5
    retry_seconds = 0
"""

APP = """
from procqueue import Cancelled

@task(queue="q")
def hears():
    say("began")
    try:
        wait_for("never")
    except Cancelled:
        say(f"told {current().cancelled}")
        raise

@task(queue="q")
def deaf():
    say("began")
    with current().shield():
        wait_for("never")

@task(queue="q")
def quick(n):
    say(f"quick {n}")
"""


def cancel(project: Project, *ids: str) -> dict[str, str]:
    ran = project.run("cancel", "q", *ids, "--json")
    assert ran.returncode == 0, ran.stderr
    answer: dict[str, str] = json.loads(ran.stdout)["cancelled"]
    return answer


def test_a_handler_that_runs_is_told_and_its_message_is_gone(make: Make, url: str | None) -> None:
    project = make(CONFIG, APP, url)
    project.start()
    id = project.push("hears")
    project.wait_said("began")
    waits = project.push("quick", 1)

    assert cancel(project, id, waits) == {id: "cancelling", waits: "removed"}

    project.wait_said("told True")
    project.wait_empty()
    project.push("quick", 2)
    project.wait_said("quick 2")
    assert project.said() == ["began", "told True", "quick 2"]
    assert project.failed() == []


def test_one_that_hears_nothing_is_ended_and_does_not_run_again(make: Make, url: str | None) -> None:
    project = make(CONFIG, APP, url)
    project.start()
    id = project.push("deaf")
    project.wait_said("began")

    assert cancel(project, id) == {id: "cancelling"}

    project.wait_empty()
    project.push("quick", 1)
    project.wait_said("quick 1")
    assert project.said() == ["began", "quick 1"]
    assert project.failed() == []


def test_it_is_gone_also_if_its_process_dies_meanwhile(make: Make, url: str | None) -> None:
    project = make(CONFIG, APP, url)
    project.start()
    id = project.push("deaf")
    project.wait_said("began")
    project.driver.cancel("q", {id: header(id, "cancelled")})

    for pid in project.pids("q"):
        os.kill(pid, signal.SIGKILL)

    project.wait_empty()
    project.push("quick", 1)
    project.wait_said("quick 1")
    assert project.said() == ["began", "quick 1"]


def test_what_is_not_there_and_what_is_not_named_are_refused(make: Make) -> None:
    project = make(CONFIG, APP)

    missing, nameless = project.run("cancel", "q", "nowhere"), project.run("cancel", "q")
    unsure, unknown = project.run("cancel", "q", "--all"), project.run("cancel", "p", "x")

    assert missing.returncode == 1 and "there is no such message" in missing.stderr
    assert nameless.returncode == 2 and "--all" in nameless.stderr
    assert unsure.returncode == 2 and "--yes" in unsure.stderr
    assert unknown.returncode == 2 and "q" in unknown.stderr
