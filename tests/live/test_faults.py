"""Faults from below: boards that are damaged, processes that stand still, a directory that is taken away."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from procqueue.core.message import Counters
from tests.live.conftest import Make
from tests.live.harness import Project

DAMAGES = """
import glob

def my_board():
    for path in glob.glob("run/boards/*.board"):
        if f'"pid": {os.getpid()},'.encode() in open(path, "rb").read(2048):
            return path

def cut(size):
    os.truncate(my_board(), size)

def scribble(_):
    with open(my_board(), "r+b") as board:
        board.seek(2048)
        board.write(b"x" * 4000)
    os._exit(3)

def remove(_):
    os.unlink(my_board())

@task(queue="q")
def damages(how, size):
    say(f"began {os.getpid()}")
    if not os.path.exists("done"):
        open("done", "w").close()
        globals()[how](size)
        say(f"damaged {os.getpid()}")
        wait_for("go")
    say(f"ended {os.getpid()}")

@task(queue="q")
def quick(n):
    say(f"quick {n}")
"""


@pytest.mark.parametrize("size", [0, 2048, 4096])
def test_s7_a_handler_that_cuts_its_board_short_ends_nobody_but_itself(
    make: Make, url: str | None, size: int
) -> None:
    p = make("[queues.q]\nprocesses = 2\n", DAMAGES, url)
    p.start()
    scheduler = p.status()["scheduler"]["pid"]
    id = p.push("damages", "cut", size)
    p.wait_until(lambda: any(line.startswith("damaged") for line in p.said()), "it to be damaged")

    for n in range(100):  # the scheduler and the master look at it meanwhile, and so does `status`
        p.push("quick", n)
        p.status()
    end = time.monotonic() + 1.5
    p.wait_until(lambda: time.monotonic() > end, "another look of the master")
    for n in range(100):
        p.wait_said(f"quick {n}")
    (p.folder / "go").touch()
    p.wait_empty()

    assert p.status()["scheduler"]["pid"] == scheduler
    assert sum(line.startswith("ended") for line in p.said()) in (1, 2) and p.driver.message("q", id) is None
    assert p.failed() == []


def test_s7_a_handler_that_scribbles_on_its_board_and_dies_is_suspected_not_believed(
    make: Make, url: str | None
) -> None:
    p = make("[queues.q]\nprocesses = 2\n", DAMAGES, url)
    p.start()
    (p.folder / "go").touch()
    id = p.push("damages", "scribble", 0)

    p.wait_until(lambda: (m := p.driver.message("q", id)) and m.counters == Counters(suspects=1), "suspicion")

    p.wait_empty()
    assert [line.split()[0] for line in p.said()] == ["began", "began", "ended"]


def test_s7_a_handler_that_removes_its_board_loses_nothing(make: Make) -> None:
    p = make("[queues.q]\n", DAMAGES)
    p.start()
    (p.folder / "go").touch()
    p.push("damages", "remove", 0)
    p.push("quick", 1)

    p.wait_empty()

    assert [line.split()[0] for line in p.said()] == ["began", "damaged", "ended", "quick"]


STILL = """
trail = os.open(os.environ["TRAIL"], os.O_WRONLY | os.O_APPEND)

@task(queue="q")
def work(n):
    os.write(trail, f"began {n}\\n".encode())
    time.sleep(0.01)
    os.write(trail, f"ended {n}\\n".encode())
"""


@pytest.mark.parametrize("kind", ["master", "scheduler", "consumer", "template"])
def test_whatever_kind_of_process_stands_still_for_three_seconds_nothing_is_lost_or_run_twice(
    make: Make, url: str | None, kind: str
) -> None:
    # For the consumer that is longer than its host_timeout.
    timeout = 2 if kind == "consumer" else 30
    p = make(f"[master]\nhost_timeout = {timeout}\n[queues.q]\nprocesses = 3\n", STILL, url)
    p.start()
    p.push_many("work", 1200)
    p.wait_until(lambda: len(p.said()) > 50, "the load to be worked on")
    still = pid_of(p, kind)

    os.kill(still, signal.SIGSTOP)
    end = time.monotonic() + 3
    p.wait_until(lambda: time.monotonic() > end, "three seconds")
    os.kill(still, signal.SIGCONT)

    p.wait_empty(patience=60)
    everything = Counter(f"{did} {n}" for n in range(1200) for did in ("began", "ended"))
    assert Counter(p.said()) == everything, p.report()
    assert kind == "scheduler" or still in p.processes()
    assert p.status()["master"]["host_lost"] is None


def pid_of(p: Project, kind: str) -> int:
    if kind == "consumer":
        return p.pids("q")[0]
    status = p.status()
    (pid,) = [one["pid"] for one in (status["templates"] if kind == "template" else [status[kind]])]
    return int(pid)


def test_a_state_directory_that_is_removed_is_put_back_and_costs_no_message(
    make: Make, url: str | None, tmp_path: Path
) -> None:
    store = url or f"sqlite:///{tmp_path}/db/queue.db"
    p = make(
        f'[driver]\nurl = "{store}"\nprefix = "{os.path.basename(tmp_path)}"\n[queues.q]\nprocesses = 2\n',
        STILL,
    )
    p.start()
    p.push_many("work", 300)
    p.wait_until(lambda: len(p.said()) > 50, "the load to be worked on")
    pids = p.pids("q")

    shutil.rmtree(p.folder / "run")
    os.kill(pids[0], signal.SIGKILL)

    p.wait_empty(patience=60)
    ended = Counter(line for line in p.said() if line.startswith("ended"))
    assert set(ended) == {f"ended {n}" for n in range(300)} and ended.total() <= 301
    p.wait_until(lambda: list(p.folder.glob("run/boards/*.board")), "a successor")
    p.wait_until(p.is_ready, "the control to be back")
    assert p.run("start").returncode == 6  # the lock too
    assert p.run("stop").returncode == 0


RESTING = "[processes.clock]\ncommand = ['sleep', '1000']\n"


def test_who_asks_a_resting_master_whose_socket_was_removed_is_answered(make: Make) -> None:
    p = make(RESTING, "", programs_only=True)
    master = p.start(ready=False)
    p.wait_until(lambda: p.run("health").returncode == 0, "the program")
    (p.folder / "run" / "control.sock").unlink()

    assert p.status()["master"]["pid"] == master.pid

    (p.folder / "run" / "control.sock").unlink()
    assert p.run("stop").returncode == 0


def test_a_master_whose_directory_another_one_has_by_now_leaves_it_the_field(make: Make) -> None:
    p = make(RESTING, "", programs_only=True)
    first = p.start(ready=False)
    p.wait_until(lambda: p.run("health").returncode == 0, "the program")
    shutil.rmtree(p.folder / "run")

    second = p.start(ready=False)

    assert first.wait(30) == 0
    p.wait_until(lambda: p.run("health").returncode == 0, "the program of the second")
    assert p.status()["master"]["pid"] == second.pid
