"""Signals to a real master: log files, stacks, one consumer more or less, a terminal that goes away."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from typing import Any

import pytest

from tests.live.harness import Project, edit

Make = Callable[..., Project]

CONFIG = """
    [queues.q]
    processes = 1
    start_seconds = 0.2
    """

APP = """
    import hashlib

    @task(queue="q")
    def in_c_code() -> None:
        say("began")
        hashlib.pbkdf2_hmac("sha256", b"x", b"y", 1 << 30)

    @task(queue="q")
    def loops() -> None:
        say("began")
        while not os.path.exists("go"):
            pass

    @task(queue="q")
    def closes() -> None:
        for fd in os.listdir("/proc/self/fd"):
            try:
                if "/stacks/" in os.readlink(f"/proc/self/fd/{fd}"):
                    os.close(int(fd))
            except FileNotFoundError:
                pass
        say("closed")

    def clock():
        say("ticks")
        wait_for("go")
    """


def stacks(project: Project, name: str, code: int = 0) -> dict[str, Any]:
    done = project.run("stacks", name, "--json")
    assert done.returncode == code, (done.stdout, done.stderr)
    (found,) = json.loads(done.stdout)["stacks"]
    return dict(found)


def send(project: Project, signum: int) -> None:
    assert project.master is not None
    project.master.send_signal(signum)


# stacks


@pytest.mark.parametrize("task", ["in_c_code", "loops"])
@pytest.mark.parametrize("preload", ["true", "false"])
def test_stacks_are_shown_whatever_the_handler_does(make: Make, task: str, preload: str) -> None:
    project = make(CONFIG + f"preload = {preload}\n", APP)
    project.start()
    project.push(task)
    project.wait_said("began")

    found = stacks(project, "q")

    assert f"in {task}" in found["text"]
    assert found["name"] == "q:0"
    assert found["text"].count("Current thread") == 1
    assert f"in {task}" in stacks(project, "q")["text"]  # a second time: nothing of the first is left
    assert stacks(project, "q")["text"].count("Current thread") == 1
    assert project.run("stop", "--now").returncode == 0
    assert not (project.folder / "run/stacks").exists()


def test_stacks_of_a_target_and_of_a_program_that_is_no_python_of_ours(make: Make) -> None:
    other = "[processes.other]\ncommand = 'sleep 1000'\n"
    project = make(CONFIG + "[processes.clock]\ntarget = 'app:clock'\n" + other, APP)
    project.start()
    project.wait_said("ticks")

    assert "in clock" in stacks(project, "clock")["text"]
    found = stacks(project, "other", code=1)
    assert (found["text"], "does not listen" in found["why"]) == ("", True)
    assert project.status()["processes"]["other"]["members"][0]["restarts"] == 0


def test_a_consumer_without_its_file_is_not_asked(make: Make) -> None:
    project = make(CONFIG, APP)
    project.start()
    before = project.pids("q")
    project.push("closes")
    project.wait_said("closed")

    assert "closed the file" in stacks(project, "q", code=1)["why"]
    assert project.pids("q") == before


def test_a_stopped_consumer_is_said_to_be_one(make: Make) -> None:
    project = make(CONFIG, APP)
    project.start()
    (pid,) = project.pids("q")
    os.kill(pid, signal.SIGSTOP)

    assert "SIGSTOP" in stacks(project, "q", code=1)["why"]
    os.kill(pid, signal.SIGCONT)


def test_usr2_writes_the_stacks_of_all_children_to_the_log(make: Make) -> None:
    project = make(CONFIG, APP)
    project.start()
    project.push("loops")
    project.wait_said("began")

    send(project, signal.SIGUSR2)

    def told(name: str, text: str) -> bool:
        lines = project.output.read_text().splitlines()
        return any(f" stack name={name}" in line and text in line for line in lines)

    project.wait_until(lambda: told("q:0", "in loops"), "the stack of the handler")
    project.wait_until(lambda: told("scheduler", "scheduler.py"), "that of the scheduler")
    project.wait_until(lambda: told("template", "template.py"), "that of the template")
    (project.folder / "go").touch()


# log files, more, less


def test_usr1_opens_the_log_files_anew(make: Make) -> None:
    project = make(CONFIG + "[logging]\nfile = 'all.log'\n", APP)
    project.start()
    file = project.folder / "all.log"
    project.wait_until(file.exists, "the file")
    file.rename(project.folder / "moved.log")

    def exists() -> bool:
        send(project, signal.SIGUSR1)  # it says so, and a line makes the new file
        return file.exists()

    project.wait_until(exists, "a new file")


def test_ttin_and_ttou_are_wishes_by_hand(make: Make) -> None:
    project = make(CONFIG + "[queues.off]\nenabled = false\n[queues.other]\nprocesses = 2\n", APP)
    project.start()

    def wanted() -> list[int]:
        queues = project.status()["queues"]
        return [queues[name]["wanted"] for name in ("q", "off", "other")]

    send(project, signal.SIGTTIN)
    project.wait_until(lambda: wanted() == [2, 0, 3], "one more of each")
    assert project.status()["queues"]["q"]["by_hand"]["what"] == "scaled to 2"
    send(project, signal.SIGTTOU)
    project.wait_until(lambda: wanted() == [1, 0, 2], "one less of each")
    send(project, signal.SIGTTOU)
    project.wait_until(lambda: wanted() == [1, 0, 1], "never none")


# terminals


def _lead() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup


def on_terminal(project: Project, *before: str) -> int:
    """Start the master as the leader of a terminal; return our end of that."""
    ours, theirs = os.openpty()
    project.master = subprocess.Popen(
        [*before, sys.executable, "-m", "procqueue", "start", "-c", str(project.config)],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=project.folder, env=project.environment(),
        start_new_session=True, preexec_fn=_lead,
    )  # fmt: skip
    os.close(theirs)
    project.wait_until(project.is_ready, "the master to be ready")
    return ours


def test_a_terminal_that_goes_away_stops_softly(make: Make) -> None:
    project = make(CONFIG, APP)
    terminal = on_terminal(project)
    assert project.master is not None

    os.close(terminal)

    assert project.wait_left() == 0


def test_a_hang_up_from_a_person_on_a_terminal_reloads(make: Make) -> None:
    project = make(CONFIG, APP)
    terminal = on_terminal(project)
    edit(project.config, "processes = 1", "processes = 2")

    send(project, signal.SIGHUP)

    project.wait_until(lambda: project.status()["queues"]["q"]["wanted"] == 2, "the reload")
    os.close(terminal)


def test_with_nohup_it_outlives_its_terminal_and_still_reloads(make: Make) -> None:
    project = make(CONFIG, APP)
    # Python starts with it ignored, as nohup leaves it; nohup itself would take stdout away.
    ignoring = "trap '' HUP; exec \"$@\""
    os.close(on_terminal(project, "sh", "-c", ignoring, "sh"))
    project.push("closes")
    project.wait_said("closed")

    send(project, signal.SIGHUP)

    project.wait_until(lambda: "name=inspector" in project.run("logs", "master").stdout, "the reload")
    assert project.run("health", "--live").returncode == 0


def test_a_reader_of_stdout_that_leaves_stops_nobody(make: Make) -> None:
    project = make(CONFIG, APP)
    read, write = os.pipe()
    project.master = subprocess.Popen(
        [sys.executable, "-m", "procqueue", "start", "-c", str(project.config)], stdout=write, stderr=write,
        cwd=project.folder, env=project.environment(),
    )  # fmt: skip
    os.close(write)
    project.wait_until(project.is_ready, "the master to be ready")

    os.close(read)
    (pid,) = project.pids("q")
    os.kill(pid, signal.SIGKILL)  # which is told

    project.wait_until(lambda: project.pids("q") not in ([], [pid]), "a successor")
    project.push("closes")
    project.wait_said("closed")
    assert project.stop() == 0
