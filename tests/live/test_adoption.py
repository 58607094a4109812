"""kill -9 of the master, and the next `start` at once (law S8).

What the old consumers finish is not run again, what they do not finish is settled once, by what their boards
say; the old scheduler and the new one do not disturb each other; nothing of the old outlives its grace.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter

import pytest

from procqueue.core.message import Counters, State
from procqueue.process import kernel
from procqueue.process.consumer import lastresort
from tests.live.conftest import Make
from tests.live.harness import Project, edit

LOAD = """
trail = os.open(os.environ["TRAIL"], os.O_WRONLY | os.O_APPEND)

@task(queue="q")
def work(n):
    os.write(trail, f"began {n} {os.getpid()}\\n".encode())
    time.sleep(0.03 if n % 50 == 0 else 0.0005)
    os.write(trail, f"ended {n} {os.getpid()}\\n".encode())
"""

DEAF = """
import ctypes

@task(queue="q")
def deaf(n=0):
    say(f"began {os.getpid()}")
    # C code that keeps the interpreter's lock, and that no signal wakes.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctypes.PyDLL(None).sleep(600)

@task(queue="q")
def stubborn():
    say(f"began {os.getpid()}")
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass

@task(queue="q")
def long():
    say(f"began {os.getpid()}")
    wait_for("go")
    say(f"ended {os.getpid()}")

@task(queue="q")
def quick(n):
    say(f"quick {n}")

@task(queue="q")
def gate():
    say("gate")
    wait_for("open")
"""


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_s8_masters_are_killed_under_load_and_nothing_is_lost_or_run_twice(
    make: Make, url: str | None, kills: int
) -> None:
    p = make('[queues.q]\nprocesses = 3\ngrace = "10s"\n', LOAD, url)
    p.start()
    old = set[int]()
    for kill in range(kills):
        p.push_many("work", 600, first=600 * kill)
        wait_worked(p, 600 * kill + 100)
        old |= kill_master(p, *(["scheduler"] if kill % 2 else []))
        assert p.counts().waiting, "not under load: not what is to be shown"
        p.start()

    p.wait_empty(patience=120)
    p.wait_until(lambda: not old & set(p.processes()), "all of the old to be gone")

    began, ended = (count(p, what) for what in ("began", "ended"))
    assert began == ended == Counter(range(600 * kills)), p.report()
    assert p.counts().failed == 0


@pytest.mark.parametrize("also", [[], ["scheduler"]], ids=["master", "master and scheduler"])
def test_s8_under_a_load_of_deaf_ones_all_is_accounted_for(
    make: Make, url: str | None, also: list[str]
) -> None:
    config = """
    [queues.q]
    processes = 2
    handle_timeout = 0.5
    kill_after = 0.3
    max_attempts = 1
    """
    p = make(config, DEAF, url)
    p.start()
    ids = [p.push("deaf") for _ in range(2)]
    p.wait_until(lambda: len(p.said()) == 2, "the deaf to begin")
    old = kill_master(p, *also)

    p.start()
    for n in range(200):
        p.push("quick", n)
    p.wait_until(lambda: p.counts().failed == 2, "the deaf to be ended and to fail")
    p.wait_empty()

    p.wait_until(lambda: not old & set(p.processes()), "all of the old to be gone")
    assert sorted(line for line in p.said() if line.startswith("quick")) == sorted(
        f"quick {n}" for n in range(200)
    )
    assert len(p.said()) == 202, "a deaf one was begun again"
    for id in ids:
        assert counters(p, id) == Counters(attempts=1)
        assert "killed past its deadline" in history(p, id)
    assert len(reclaimed(p)) == 2


def test_s8_the_kernel_ends_the_deaf_when_master_and_scheduler_are_dead(make: Make) -> None:
    p = make("[queues.q]\nprocesses = 3\nhandle_timeout = 0.3\nkill_after = 0.2\n", DEAF)
    p.start()
    for _ in range(2):
        p.push("deaf")
    p.wait_until(lambda: len(p.said()) == 2, "the deaf to begin")

    kill_master(p, "scheduler")
    p.wait_until(lambda: not p.processes(), "the kernel to end all")

    assert p.counts().reserved == 2
    edit(p.folder / "app.py", "sleep(600)", "sleep(0)")
    p.start()
    p.wait_empty()
    assert len(p.said()) == 4 and p.counts().failed == 0


def test_s8_who_hears_and_does_not_leave_is_ended_at_grace_when_master_and_scheduler_are_dead(
    make: Make,
) -> None:
    p = make('[queues.q]\nhandle_timeout = 0\ngrace = "1s"\n', DEAF)
    p.start()
    id = p.push("stubborn")
    p.wait_until(p.said, "it to begin")

    kill_master(p, "scheduler")
    p.wait_until(lambda: not p.processes(), "the kernel to end it")

    stored = p.driver.message("q", id)
    assert stored is not None and stored.state is State.RESERVED


def test_s8_a_master_that_stood_still_meanwhile_knows_that_the_deaf_one_has_timed_out(make: Make) -> None:
    p = make("[queues.q]\nhandle_timeout = 0.3\nkill_after = 0.2\nmax_attempts = 1\n", DEAF)
    p.start()
    id = p.push("deaf")
    p.wait_until(p.said, "it to begin")
    (pid,) = p.pids("q")
    assert p.master is not None

    p.master.send_signal(signal.SIGSTOP)
    p.wait_until(lambda: not kernel.is_alive(pid), "the kernel to end it")
    p.master.send_signal(signal.SIGCONT)

    p.wait_until(p.failed, "it to fail")
    assert counters(p, id) == Counters(attempts=1) and "killed past its deadline" in history(p, id)


def test_s8_the_kernel_ends_nobody_who_is_idle_or_runs_what_has_no_limit(make: Make) -> None:
    app = """
    @task(queue="idle")
    def quick_idle(n):
        say("quick")

    @task(queue="busy")
    def quick_busy(n):
        say("quick")

    @task(queue="busy", handle_timeout=0)
    def long():
        say("began")
        wait_for("go")
        say("ended")
    """
    p = make("[defaults]\nhandle_timeout = 0.3\nkill_after = 0.2\n[queues.idle]\n[queues.busy]\n", app)
    p.start()
    before = p.pids("idle") + p.pids("busy")
    p.push_many("quick_idle", 20, queue="idle")
    p.push_many("quick_busy", 20, queue="busy")
    p.push("long", queue="busy")
    p.wait_said("began")
    p.wait_said("quick", times=40)

    end = time.monotonic() + 0.5 + lastresort._LATER + lastresort._SLACK + 1
    p.wait_until(lambda: time.monotonic() > end, "the moment at which who hears nothing is ended")

    assert p.pids("idle") + p.pids("busy") == before
    (p.folder / "go").touch()
    p.wait_said("ended")


@pytest.mark.parametrize("also", [[], ["scheduler"]], ids=["master", "master and scheduler"])
def test_s8_what_has_not_left_at_grace_goes_back_once_and_uncharged_whoever_ends_it(
    make: Make, url: str | None, also: list[str]
) -> None:
    # With max_crashes = 1 a charge of a crash would fail it.
    config = '[queues.q]\nhandle_timeout = 0\ngrace = "2s"\nprocesses = 2\nmax_crashes = 1\n'
    p = make(config, DEAF, url)
    p.start()
    id = p.push("stubborn")
    p.wait_until(p.said, "it to begin")
    old = kill_master(p, *also)
    edit(p.folder / "app.py", "while True", "while False")

    p.start()
    young = p.pids("q")
    p.wait_until(lambda: len(p.said()) == 2, "it to run again")
    p.wait_until(lambda: not old & set(p.processes()), "all of the old to be gone")

    p.wait_empty()
    assert counters_in_log(p) == {"again": 1} and p.driver.message("q", id) is None
    assert p.pids("q") == young and p.said()[0] != p.said()[1]


def test_s8_an_orphan_that_crashes_is_charged_once_though_two_schedulers_see_it(
    make: Make, url: str | None
) -> None:
    p = make('[queues.q]\nhandle_timeout = 0\ngrace = "10m"\nmax_crashes = 1\n', DEAF, url)
    p.start()
    id = p.push("long")
    p.wait_until(p.said, "it to begin")
    undertaker = p.status()["scheduler"]["pid"]
    kill_master(p)
    p.start()
    assert os.path.exists(f"/proc/{undertaker}")

    os.kill(int(p.said()[0].split()[1]), signal.SIGKILL)
    p.wait_until(lambda: p.counts().failed, "it to fail")
    p.wait_until(lambda: not os.path.exists(f"/proc/{undertaker}"), "the undertaker to leave")

    assert counters(p, id) == Counters(crashes=1) and len(reclaimed(p)) == 1
    assert p.status()["problems"] == []


def test_s8_an_old_undertaker_leaves_the_new_consumers_alone_and_beats_beside_the_new_scheduler(
    make: Make, url: str | None
) -> None:
    p = make("[queues.q]\nhandle_timeout = 0\nprocesses = 2\n", DEAF, url)
    p.config.write_text(p.config.read_text() + '[master]\nhost_timeout = "3s"\n')
    p.start()
    p.push("long")
    p.wait_until(p.said, "it to begin")
    undertaker = p.status()["scheduler"]["pid"]
    kill_master(p)
    p.start()
    young, host = p.pids("q"), p.status()["master"]["host"]

    first = beat(p)
    p.wait_until(lambda: beat(p) > first + 60, "two host_timeouts of beats of the two")
    assert os.path.exists(f"/proc/{undertaker}") and p.pids("q") == young

    (p.folder / "go").touch()
    p.wait_until(lambda: not os.path.exists(f"/proc/{undertaker}"), "the undertaker to leave")
    last = beat(p)
    p.wait_until(lambda: beat(p) > last + 3, "the new one to beat on")

    p.wait_empty()
    status = p.status()
    assert p.pids("q") == young and status["problems"] == []
    assert (status["master"]["host"], status["master"]["host_lost"]) == (host, None)
    assert len(p.said()) == 2 and reclaimed(p) == []
    assert len(list((p.folder / "run" / "boards").iterdir())) == 3


def test_s8_what_is_held_behind_a_long_message_goes_back_at_once_when_the_master_is_killed(
    make: Make, url: str | None
) -> None:
    p = make("[queues.q]\nhandle_timeout = 0\n", DEAF, url)
    p.start()
    p.push("gate")
    p.wait_said("gate")
    p.push_many("quick", 300)
    p.push("long")
    p.push_many("quick", 40, first=300)
    (p.folder / "open").touch()
    p.wait_until(lambda: "began" in p.trail.read_text(), "the long one to begin")
    kill_master(p)

    p.wait_until(lambda: p.counts().reserved == 1, "what was held behind it to be free")

    p.start()
    p.wait_said("quick 339")
    assert not any(line.startswith("ended") for line in p.said())
    (p.folder / "go").touch()
    p.wait_empty()
    assert len(p.said()) == 343


@pytest.mark.parametrize("also", [[], ["scheduler"]], ids=["master", "master and scheduler"])
def test_s8_what_an_orphan_has_begotten_goes_with_it(make: Make, also: list[str]) -> None:
    app = """
    @task(queue="q")
    def begets():
        subprocess.Popen(["sh", "-c", "setsid sleep 1000 & echo"], stdout=subprocess.PIPE).stdout.readline()
        say(f"began {os.getpid()}")
        while True:
            try:
                time.sleep(600)
            except BaseException:
                pass
    """
    p = make('[queues.q]\nhandle_timeout = 0\ngrace = "1s"\nmax_crashes = 1\n', app)
    p.start()
    p.push("begets")
    p.wait_until(p.said, "it to begin")
    old = kill_master(p, *also)
    edit(p.folder / "app.py", "while True", "while False")

    p.start()

    p.wait_until(lambda: not old & set(p.processes()), "all of the old to be gone")


def wait_worked(p: Project, number: int) -> None:
    p.wait_until(lambda: p.trail.read_bytes().count(b"ended") >= number, f"{number} to be worked on")


def test_s8_a_forked_child_that_holds_all_descriptors_keeps_nobody_from_hearing_of_a_death(
    make: Make,
) -> None:
    app = """
    @task(queue="q")
    def forks():
        if os.fork() == 0:
            os.setsid()
            time.sleep(1000)
        say(f"forked {os.getpid()}")
        wait_for("go")

    @task(queue="q")
    def quick(n):
        say(f"quick {n}")
    """
    p = make('[queues.q]\nhandle_timeout = 0\ngrace = "10m"\n', app)
    p.start()
    p.push("forks")
    p.wait_until(p.said, "it to fork")
    (first,) = p.pids("q")

    os.kill(first, signal.SIGKILL)
    p.wait_until(lambda: len(p.said()) == 2, "it to run again")
    p.wait_until(lambda: len(p.processes()) == 6, "master, logger, scheduler, template, consumer, one child")
    old = kill_master(p)
    p.start()
    (p.folder / "go").touch()
    p.push("quick", 1)

    p.wait_said("quick 1")
    p.wait_until(lambda: not old & set(p.processes()), "all of the old to be gone")
    p.wait_empty()
    assert len(p.said()) == 3


def kill_master(p: Project, *also: str) -> set[int]:
    """kill -9 the master, and whom else; return all that was there."""
    family = set(p.processes())
    pids = [p.status()[who]["pid"] for who in also]
    p.kill_master()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return family


def count(p: Project, what: str) -> Counter[int]:
    return Counter(map(int, re.findall(rf"^{what} (\d+) \d+$", p.trail.read_text(), re.MULTILINE)))


def counters(p: Project, id: str) -> Counters:
    stored = p.driver.message("q", id)
    assert stored is not None
    return stored.counters


def history(p: Project, id: str) -> str:
    stored = p.driver.message("q", id)
    assert stored is not None
    return stored.history[-1].decode()


def reclaimed(p: Project) -> list[str]:
    return [line for line in p.output.read_text().splitlines() if " reclaimed " in line]


def counters_in_log(p: Project) -> dict[str, int]:
    """Return what became of all that was reclaimed, as the log says."""
    found = Counter[str]()
    for line in reclaimed(p):
        for word, number in re.findall(r" (done|again|later|failed|parked|not_begun)=(\d+)", line):
            found[word] += int(number)
    return dict(found)


def beat(p: Project) -> int:
    (one,) = p.driver.beats("q").hosts
    return one.value
