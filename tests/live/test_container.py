"""A master as the first process of a container: it reaps, it leaves in time, and its exit code says why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from procqueue.process import kernel
from tests.live.harness import PATIENCE, Project

Make = Callable[..., Project]

CONFIG = """
    [queues.q]
    processes = 2
    start_seconds = 0.2
    handle_timeout = "60s"
    """

APP = """
    @task(queue="q")
    def leaves_a_stranger() -> None:
        subprocess.Popen(["setsid", "sleep", "1000"])
        say("left")
        os.kill(os.getpid(), signal.SIGKILL)

    @task(queue="q")
    def deaf() -> None:
        say("began")
        while True:
            try:
                time.sleep(1000)
            except BaseException:
                pass
    """

UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


@pytest.fixture
def contained(make: Make) -> Callable[..., tuple[Project, int]]:
    """Start a master as PID 1, after the lines `before` of a shell; return it with its pid outside."""
    try:
        subprocess.run([*UNSHARE, "true"], check=True, capture_output=True, timeout=PATIENCE)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this user may not make a PID namespace: {error}")

    def start(before: str = "", config: str = CONFIG) -> tuple[Project, int]:
        project = make(config, APP)
        command = f"{before}\nexec {sys.executable} -m procqueue start -c {project.config}"
        with project.output.open("ab") as output:
            project.master = subprocess.Popen(
                [*UNSHARE, "sh", "-c", command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                cwd=project.folder, env=project.environment(),
            )  # fmt: skip
        project.wait_until(project.is_ready, "the master to be ready")
        assert project.status()["master"]["pid"] == 1
        (pid,) = kernel.children_of(project.master.pid)
        return project, pid

    return start


Contained = Callable[..., tuple[Project, int]]


def zombies_below(pid: int) -> list[int]:
    found = []
    for child in kernel.children_of(pid):
        try:
            if Path(f"/proc/{child}/stat").read_text().rpartition(") ")[2][0] == "Z":
                found.append(child)
        except FileNotFoundError:
            pass
    return found


def test_trap_31_a_term_stops_it_softly_with_0(contained: Contained) -> None:
    project, pid = contained()

    os.kill(pid, signal.SIGTERM)

    assert project.master is not None
    assert project.wait_left() == 0


def test_trap_31_strangers_are_reaped(contained: Contained) -> None:
    project, pid = contained(before="sleep 0.5 & sleep 1 &")  # they are there before the master is

    project.push("leaves_a_stranger")
    project.wait_said("left")

    # The scheduler, the logger, the template, two consumers: nobody else, dead or alive.
    project.wait_until(lambda: len(kernel.children_of(pid)) == 5 and project.is_ready(), "strangers to go")
    project.wait_until(lambda: not zombies_below(pid), "the dead to be reaped")
    os.kill(pid, signal.SIGTERM)
    assert project.master is not None
    assert project.wait_left() == 0


def test_a_failed_essential_program_ends_it_with_1(contained: Contained) -> None:
    program = "[processes.main]\ncommand = 'cat fifo'\nrestart = 'never'\nessential = true\n"
    project, _ = contained(before="mkfifo fifo", config=CONFIG + program)

    with (project.folder / "fifo").open("w"):
        project.wait_until(lambda: project.status()["processes"]["main"]["ready"], "it to run")
        member = project.status()["processes"]["main"]["members"][0]["pid"]
        assert member
        project.run("signal", "KILL", "main")

        assert project.master is not None
        assert project.wait_left() == 1


def test_grace_auto_ends_before_the_container_would(contained: Contained) -> None:
    project, pid = contained()
    assert "grace at_most=8s" in project.output.read_text()
    project.push("deaf")
    project.wait_said("began")

    os.kill(pid, signal.SIGTERM)

    assert project.master is not None
    assert project.wait_left() == 0  # 65 s without the bound
    assert "killed=q:" in project.output.read_text()


def test_in_kubernetes_it_may_take_longer_and_a_number_wins(make: Make) -> None:
    project = make(CONFIG, "")
    project.variables = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    project.start()
    assert "grace at_most=25s" in project.output.read_text()
    assert "[queues" not in project.run("reload").stdout  # the bound is no change
    project.stop()

    project.config.write_text(project.config.read_text() + "[master]\ngrace = '40s'\n")
    project.output.write_text("")
    project.start()

    assert "grace at_most" not in project.output.read_text()
