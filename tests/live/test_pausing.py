"""pause and resume: consumers take nothing, what runs is finished, nothing is lost; here, or on all hosts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.conftest import Make
from tests.live.harness import Project, edit, queue, verb
from tests.live.test_hosts import hosts_of

CONFIG = """
    [queues.q]
    processes = 2
    start_seconds = 0.2
    handle_timeout = 0
    """

APP = """
    @task(queue="q")
    def work(n: int) -> None:
        time.sleep(0.001)
        say(f"did {n}")

    @task(queue="q")
    def slow() -> None:
        say("began")
        wait_for("go")
        say("ended")

    @task(queue="q")
    def long():
        say("never")

    @task(queue="q")
    def quick(n):
        say(f"quick {n}")

    @task(queue="q", max_crashes=1)
    def crash():
        say("crashing")
        wait_for("go")
        os.kill(os.getpid(), signal.SIGKILL)

    @crash.on_failed
    def hook(failure):
        say("hook")
    """


def standing(project: Project) -> int:
    """Wait until nothing is in hand any more; return how many wait."""
    project.wait_until(lambda: project.counts().reserved == 0, "nothing to be in hand")
    return project.counts().waiting


def stands_still(project: Project) -> None:
    """Nobody takes anything: another push would wake whoever does, and the scheduler's round wakes too."""
    before = standing(project)
    project.push("work", -1)
    at = project.status()["counts_at"]
    project.wait_until(lambda: project.status()["counts_at"] > at, "a round of the scheduler")
    assert standing(project) == before + 1


@pytest.mark.parametrize("where", [(), ("--here",)], ids=["everywhere", "here"])
def test_under_load_a_pause_keeps_all_and_resume_goes_on(
    make: Make, url: str | None, where: tuple[str, ...]
) -> None:
    project = make(CONFIG, APP, url)
    project.start()
    project.push_many("work", 1500)
    project.wait_until(lambda: len(project.said()) > 20, "work")

    verb(project, "pause", "q", *where)

    project.wait_until(lambda: queue(project)["state"] == "paused", "status to say so")
    stands_still(project)
    assert queue(project)["ready"] == 2 and project.counts().waiting > 0
    assert queue(project)["paused"]["where"] == ("here" if where else "everywhere")
    verb(project, "resume", "q", *where)
    project.wait_empty()
    assert sorted(project.said()) == sorted(f"did {n}" for n in range(-1, 1500))
    project.wait_until(lambda: queue(project)["state"] == "ok", "status to say so")


@pytest.mark.parametrize("where", [(), ("--here",)], ids=["everywhere", "here"])
def test_what_runs_is_finished_and_what_is_held_behind_it_goes_back(
    make: Make, where: tuple[str, ...]
) -> None:
    project = make(CONFIG.replace("processes = 2", "processes = 1"), APP)
    project.start()
    project.push_many("work", 50)  # quick ones: it holds several
    project.wait_empty()
    project.push("slow")
    project.push_many("work", 5, first=100)
    project.wait_said("began")

    verb(project, "pause", "q", *where)

    project.wait_until(lambda: project.counts().waiting == 5, "the five to be back")
    (project.folder / "go").touch()
    project.wait_said("ended")
    stands_still(project)
    assert not any(line in [f"did {n}" for n in range(100, 105)] for line in project.said())


@pytest.mark.parametrize("where", [(), ("--here",)], ids=["everywhere", "here"])
def test_hooks_that_are_owed_run_although_the_queue_is_paused(make: Make, where: tuple[str, ...]) -> None:
    project = make(CONFIG, APP)
    project.start()
    project.push("crash")
    project.wait_said("crashing")

    verb(project, "pause", "q", *where)
    (project.folder / "go").touch()

    project.wait_said("hook")
    stands_still(project)


def test_a_pause_for_a_time_ends_by_itself(make: Make, url: str | None) -> None:
    project = make(CONFIG, APP, url)
    project.start()
    for where in ((), ("--here",)):
        verb(project, "pause", "q", "--for", "1s", *where)
        project.push("work", len(where))

        project.wait_said(f"did {len(where)}")

        project.wait_until(lambda: queue(project)["state"] == "ok", "status to say so")


def test_a_pause_here_outlives_reload_restart_scale_crashes_and_the_master(make: Make) -> None:
    project = make(CONFIG, APP)
    project.start()
    verb(project, "pause", "q", "--here")
    since = queue(project)["by_hand"]
    assert since["what"] == "paused here"

    edit(project.config, "processes = 2", "processes = 3")
    verb(project, "reload")
    verb(project, "restart", "q", "--wait")
    project.wait_until(lambda: queue(project)["ready"] == 3, "three")
    stands_still(project)
    project.kill_master()
    project.start()

    assert queue(project)["by_hand"] == since
    stands_still(project)
    verb(project, "reload", "--as-in-file")
    project.wait_empty()
    assert queue(project)["state"] == "ok" and queue(project)["by_hand"] is None


def test_consumers_that_import_for_themselves_know_it_too(make: Make) -> None:
    project = make(CONFIG + "preload = false\n", APP)
    project.start()
    verb(project, "pause", "q", "--here")
    verb(project, "restart", "q", "--wait")

    stands_still(project)


def test_a_pause_for_all_hosts_outlives_the_master_and_needs_none(make: Make, url: str | None) -> None:
    project = make(CONFIG, APP, url)
    assert re.search("q: paused since .*Z", verb(project, "pause", "q"))
    project.push_many("work", 5)
    project.start()
    stands_still(project)
    project.kill_master()

    project.start()

    stands_still(project)
    assert "paused since" in verb(project, "queues")
    assert "resumed" in verb(project, "resume", "q")
    project.wait_empty()
    assert "was not paused" in verb(project, "resume", "q")


@pytest.fixture
def hosts(make: Make, url: str | None, tmp_path: Path) -> Iterator[tuple[Project, Project]]:
    made = hosts_of(make, url or f"sqlite:///{tmp_path}/db/queue.db")
    new_host: Any = next(made)
    yield new_host("one"), new_host("two")
    with pytest.raises(StopIteration):
        next(made)


def test_on_two_hosts_here_is_one_and_everywhere_is_both(hosts: tuple[Project, Project]) -> None:
    one, two = hosts
    one.start()
    two.start()

    verb(one, "pause", "q", "--here")
    for number in range(40):
        one.push("quick", number)
        two.wait_said(f"quick {number}")
    assert one.said() == []

    verb(one, "resume", "q", "--here")
    verb(two, "pause", "q")
    before = len(two.said())
    for project in (one, two):
        project.wait_until(lambda p=project: queue(p)["state"] == "paused", "status to say so")  # type: ignore[misc]
    one.push("quick", 100)
    for project in (one, two):
        at = project.status()["counts_at"]
        project.wait_until(lambda p=project, a=at: p.status()["counts_at"] > a, "a round")  # type: ignore[misc]
    assert (one.said(), len(two.said()), one.counts().waiting) == ([], before, 1)
    verb(one, "resume", "q")
    one.wait_empty()


def test_pausing_what_is_no_queue_says_so(make: Make) -> None:
    project = make(CONFIG, APP)
    project.start()

    assert "no queue" in verb(project, "pause", "nobody", "--here", code=2)
    verb(project, "pause", "nobody", code=2)
    verb(project, "pause", "q", "--for", "soon", code=2)
