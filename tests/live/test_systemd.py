"""A master under a service manager: what it says, when, and that nobody else speaks for it."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.harness import PATIENCE, Project, edit

Make = Callable[..., Project]

CONFIG = f"""
    [queues.q]
    processes = 2
    start_seconds = 0.2
    [processes.clock]
    command = ['{sys.executable}', '-c', 'import time; time.sleep(1000)']
    start_seconds = 0.1
    """

APP = """
    say("environ " + ",".join(sorted(name for name in os.environ if name.startswith(("NOTIFY", "WATCHDOG")))))

    @task(queue="q")
    def slow() -> None:
        say("began")
        wait_for("go")
    """


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(f"{tmp_path}/notify")
        end.settimeout(PATIENCE)
        yield end


def hear(manager: socket.socket, word: str) -> list[list[str]]:
    """What is said until a datagram begins with `word`, that one the last."""
    heard: list[list[str]] = []
    while not heard or not heard[-1][0].startswith(word):
        heard.append(manager.recv(4096).decode().split("\n"))
    return heard


def managed(make: Make, manager: socket.socket, **more: str) -> Project:
    project = make(CONFIG, APP)
    project.variables = {"NOTIFY_SOCKET": manager.getsockname(), **more}
    project.start(ready=False)
    return project


def first_words(heard: list[list[str]]) -> list[str]:
    return [datagram[0].partition("=")[0] for datagram in heard]


def test_ready_is_said_once_when_all_is_ready_and_stopping_when_asked(
    make: Make, manager: socket.socket
) -> None:
    project = managed(make, manager)

    ready = hear(manager, "READY=1")
    assert ready[-1][1] == "STATUS=2/2 consumers, 1/1 programs ready"
    assert project.is_ready()
    project.stop()
    stopping = hear(manager, "STOPPING=1")

    assert "READY" not in first_words(stopping)
    assert project.said()[0] == "environ "


def test_a_reload_is_announced_and_its_end_said(make: Make, manager: socket.socket) -> None:
    project = managed(make, manager)
    hear(manager, "READY=1")
    edit(project.config, "processes = 2", "processes = 3")
    assert project.master is not None

    project.master.send_signal(signal.SIGHUP)
    (reloading,) = [one for one in hear(manager, "READY=1") if one[0] == "RELOADING=1"]
    assert reloading[1].startswith("MONOTONIC_USEC=")
    project.config.write_text("nonsense")
    project.master.send_signal(signal.SIGHUP)

    assert "RELOADING" in first_words(hear(manager, "READY=1"))  # a bad file is an end too


def test_the_status_line_follows_what_happens(make: Make, manager: socket.socket) -> None:
    project = managed(make, manager)
    hear(manager, "READY=1")

    assert project.run("scale", "q=3").returncode == 0

    hear(manager, "STATUS=3/3 consumers, 1/1 programs ready")


def test_a_long_stop_asks_for_more_time(make: Make, manager: socket.socket) -> None:
    project = managed(make, manager)
    hear(manager, "READY=1")
    project.push("slow")
    project.wait_said("began")
    assert project.master is not None

    project.master.send_signal(signal.SIGTERM)

    (more,) = hear(manager, "EXTEND_TIMEOUT_USEC=")[-1]
    # handle_timeout + kill_after of the queue, and what lies beyond
    assert 60e6 < int(more.partition("=")[2]) < 200e6
    (project.folder / "go").touch()
    assert project.wait_left() == 0


def test_the_watchdog_is_fed_by_a_loop_that_turns(make: Make, manager: socket.socket) -> None:
    project = managed(make, manager, WATCHDOG_USEC="400000")
    hear(manager, "READY=1")
    for _ in range(3):
        hear(manager, "WATCHDOG=1")
    assert project.master is not None

    os.kill(project.master.pid, signal.SIGSTOP)
    state = Path(f"/proc/{project.master.pid}/stat")
    project.wait_until(lambda: state.read_text().rpartition(") ")[2][0] == "T", "it to stand still")
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            manager.recv(4096)
    manager.settimeout(1.0)
    with pytest.raises(TimeoutError):
        manager.recv(4096)
    os.kill(project.master.pid, signal.SIGCONT)
    manager.settimeout(PATIENCE)

    hear(manager, "WATCHDOG=1")
