"""SQLite among user code: handlers and other programs open, remove, lock and fill it, or die at the gate."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from procqueue.core.message import State
from procqueue.drivers.contract import Entry
from tests.live.conftest import Make
from tests.live.harness import Project

APP = """
from procqueue.drivers.sqlite.gate import Gate

FILE = os.path.join(os.path.dirname(os.environ["TRAIL"]), "run", "db", "queue.db")

@task(queue="q")
def long(n=0):
    say(f"began {n} {os.getpid()}")
    wait_for("go")
    say(f"ended {n}")

@task(queue="q")
def quick(n):
    say(f"quick {n}")

@task(queue="q")
def nosy(n):
    for name in (FILE, FILE + "-wal", FILE + "-shm"):
        with open(name, "rb") as file:
            file.read()
    quick.push(n)

@task(queue="q")
def stopped_in_the_gate(times):
    with Gate(FILE + ".gate", 0o600):
        say(f"in {os.getpid()}")
        for _ in range(times if not current().crashes else 0):
            os.kill(os.getpid(), signal.SIGSTOP)
    say("out")

@task(queue="q")
def killed_in_the_gate():
    if current().crashes:
        return
    if os.fork() == 0:
        os.setsid()
        say(f"child {os.getpid()}")
        time.sleep(600)
    with Gate(FILE + ".gate", 0o600):
        os.kill(os.getpid(), signal.SIGKILL)
"""

QUEUE = "[queues.q]\nrestart_delay_max = 1\nprocesses = 2\n"
IMPATIENT = '[driver]\ntimeout = "1s"\n' + QUEUE

BACKUP = """
import sqlite3, sys
while True:
    db = sqlite3.connect(sys.argv[1])
    db.execute("SELECT count(*) FROM messages").fetchone()
    db.close()
    for name in ("", "-wal", "-shm"):
        with open(sys.argv[1] + name, "rb") as file:
            file.read()
"""


def database(p: Project) -> Path:
    return p.folder / "run" / "db" / "queue.db"


def told(p: Project, what: str) -> str:
    """Return what `status` says under problems, or notes."""
    return "\n".join(one["text"] for one in p.status()[what])


def let_go(p: Project) -> None:
    """Close the test's own connection: from now on only the project's processes have the files open."""
    if p._driver is not None:
        p._driver.close()
        p._driver = None


@pytest.mark.parametrize("messages", [300, pytest.param(5_000, marks=pytest.mark.slow)])
def test_handlers_and_backups_that_open_and_close_the_file_lose_nothing(make: Make, messages: int) -> None:
    p = make("[queues.q]\nprocesses = 4\n", APP)
    p.start()
    command = [sys.executable, "-c", BACKUP, str(database(p))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as backup:
        try:
            p.push_many("nosy", messages)
            let_go(p)
            p.wait_until(lambda: len(p.said()) >= messages, "all to be handled", 300)
        finally:
            backup.kill()

    p.wait_empty()
    assert sorted(p.said()) == sorted(f"quick {n}" for n in range(messages))
    assert p.failed() == [] and told(p, "notes") == ""


@pytest.mark.parametrize("lost", ["-wal", "-shm", ".gate"])
def test_the_loss_of_a_log_or_an_index_loses_no_message(make: Make, lost: str) -> None:
    p = make(QUEUE, APP)
    p.start()
    before = p.pids("q")
    p.push("long", 0)
    p.wait_until(lambda: len(p.said()) == 1, "it to begin")
    p.push_many("quick", 100)
    p.wait_until(lambda: len(p.said()) > 10, "some to be handled")
    let_go(p)

    Path(f"{database(p)}{lost}").unlink()
    (p.folder / "go").touch()

    p.wait_until(lambda: f"{lost} file was deleted" in told(p, "notes"), "it to be told")
    p.wait_until(lambda: "ended 0" in p.said() and len(p.said()) >= 102, "all to be handled")
    p.wait_until(lambda: p.is_ready() and not set(p.pids("q")) & set(before), "all to be replaced")
    p.wait_empty()
    said = Counter(line for line in p.said() if line.startswith("quick"))
    assert sorted(said) == sorted(f"quick {n}" for n in range(100)) and p.failed() == []
    assert "othing answered is lost" in told(p, "notes")


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_database_that_was_deleted_or_replaced_is_told_and_the_new_one_served(make: Make, how: str) -> None:
    p = make(QUEUE, APP)
    p.start()
    p.push("quick", 0, delay_ms=86_400_000)
    let_go(p)

    old = database(p).rename(p.folder / "old.db")
    if how == "deleted":
        old.unlink()
    else:
        sqlite3.connect(p.folder / "new.db").close()
        (p.folder / "new.db").rename(database(p))

    p.wait_until(lambda: "What was stored in the old file" in told(p, "notes"), "it to be told")
    p.wait_until(p.is_ready, "everything to be there again")
    p.push("quick", 1)
    p.wait_said("quick 1")
    p.wait_empty()
    with contextlib.closing(sqlite3.connect(database(p))) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    if how == "replaced":
        with contextlib.closing(sqlite3.connect(old)) as db:
            assert db.execute("SELECT state FROM messages").fetchall() == [("delayed",)]


def test_a_read_transaction_without_an_end_is_told_until_it_ends(make: Make) -> None:
    p = make(QUEUE, APP)
    p.start()
    with contextlib.closing(sqlite3.connect(database(p), isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM messages").fetchone()
        for number in range(66):
            p.driver.push("q", [Entry(f"m{number}", b"x" * (1 << 20), delay_ms=86_400_000)])
        p.wait_until(lambda: "keeps a read transaction open" in told(p, "problems"), "it to be told")

    p.push("quick", 1)
    p.wait_said("quick 1")
    p.wait_until(lambda: not told(p, "problems"), "it to be solved")


@contextlib.contextmanager
def write_transaction(p: Project) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(database(p), isolation_level=None)) as foreign:
        foreign.execute("BEGIN IMMEDIATE")
        yield
        foreign.execute("ROLLBACK")


def test_a_long_write_transaction_of_another_program_is_waited_for_and_charges_nobody(make: Make) -> None:
    p = make(IMPATIENT + 'grace = "10m"\n', APP)
    p.start()
    p.push("long", 0)
    p.wait_until(lambda: len(p.said()) == 1, "it to begin")
    busy = int(p.said()[0].split()[2])
    (idle,) = set(p.pids("q")) - {busy}

    with write_transaction(p):
        (p.folder / "go").touch()
        p.wait_said("ended 0")
        who = f"pid {os.getpid()} has a write transaction open"
        p.wait_until(lambda: who in told(p, "problems"), "it to be told")
        os.kill(idle, signal.SIGTERM)
        p.wait_until(lambda: idle not in p.processes(), "the idle one to leave while nothing can be written")

    p.wait_empty()
    p.wait_until(lambda: p.is_ready() and not told(p, "problems"), "everything to be well again")
    assert [line.split()[0] for line in p.said()] == ["began", "ended"]
    assert p.failed() == [] and busy in p.pids("q")


def test_a_stop_while_another_program_writes_keeps_the_outcomes_for_the_next_start(make: Make) -> None:
    p = make(IMPATIENT + 'grace = "3s"\n', APP)
    p.start()
    p.push("long", 0)
    p.wait_until(lambda: len(p.said()) == 1, "it to begin")
    busy = int(p.said()[0].split()[2])

    with write_transaction(p):
        (p.folder / "go").touch()
        p.wait_said("ended 0")
        assert p.master is not None
        os.kill(busy, signal.SIGKILL)
        p.run("stop", "--now")
        p.wait_left(60)
    p.start()

    p.wait_empty()
    assert [line.split()[0] for line in p.said()] == ["began", "ended"] and p.failed() == []


def test_a_consumer_that_is_stopped_in_the_gate_is_continued(make: Make) -> None:
    p = make(QUEUE, APP)
    p.start()
    p.push("stopped_in_the_gate", 1)
    p.wait_until(lambda: p.said(), "it to be in")

    p.wait_said("out")

    assert "scheduler warning continued" in p.output.read_text()
    p.push("quick", 1)
    p.wait_said("quick 1")
    p.wait_empty()
    assert [line.split()[0] for line in p.said()] == ["in", "out", "quick"] and p.failed() == []


def test_a_consumer_that_stops_again_in_the_gate_is_killed(make: Make) -> None:
    p = make(QUEUE, APP)
    p.start()
    p.push("stopped_in_the_gate", 1_000_000)

    p.wait_said("out", 1)

    assert "scheduler warning killed" in p.output.read_text()
    p.wait_empty()


def test_a_child_of_a_handler_that_was_killed_in_the_gate_keeps_nobody_out(make: Make) -> None:
    p = make(QUEUE, APP)
    p.start()
    p.push("killed_in_the_gate")
    p.push("quick", 1)

    p.wait_said("quick 1")
    p.wait_empty()

    assert p.failed() == []


def limit_file_sizes(p: Project, size: int) -> None:
    """Let no process of the project write behind `size` bytes of any file, as if the disk were full."""
    for pid in p.processes():
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_d7_what_ended_while_nothing_could_be_written_is_settled_when_there_is_room(make: Make) -> None:
    p = make(QUEUE, APP)
    p.start()
    for n in range(2):
        p.push("long", n)
    p.wait_until(lambda: len(p.said()) == 2, "both to be busy")
    one, _other = (int(line.split()[2]) for line in p.said())
    p.driver.push("q", [Entry("filler", b"x" * 300_000, delay_ms=86_400_000)])

    limit_file_sizes(p, 65_536)
    (p.folder / "go").touch()
    p.wait_until(lambda: len(p.said()) == 4, "both to end")
    p.wait_until(lambda: "disk I/O error" in told(p, "problems"), "it to be told")
    assert p.counts().reserved == 2
    os.kill(one, signal.SIGKILL)
    p.wait_until(lambda: one not in p.processes(), "its death")

    def has_room() -> bool:
        limit_file_sizes(p, resource.RLIM_INFINITY)  # again: who is being born had the limit of its parent
        return p.counts().reserved == 0

    p.wait_until(has_room, "both to be settled")
    assert p.driver.messages("q", State.WAITING, 0, 10) == [] and p.failed() == []
    p.wait_until(lambda: has_room() and p.is_ready() and not told(p, "problems"), "all to be well again")
    assert Counter(line.split()[0] for line in p.said()) == {"began": 2, "ended": 2}


WORK = """
trail = os.open(os.environ["TRAIL"], os.O_WRONLY | os.O_APPEND)

@task(queue="q")
def work(n):
    os.write(trail, f"began {n}\\n".encode())
    os.write(trail, f"ended {n}\\n".encode())
"""


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_d1_all_processes_killed_at_once_in_the_midst_of_commits_leave_a_sound_store(
    make: Make, rounds: int
) -> None:
    each = 1_500
    p = make("[queues.q]\nprocesses = 8\nmax_crashes = 1000\n", WORK)
    draw = random.Random()
    for done in range(rounds):
        p.push_many("work", each)
        let_go(p)
        before = len(p.said())
        p.start()
        goal = before + draw.randrange(each)
        p.wait_until(lambda goal=goal: len(p.said()) > goal, f"round {done} to be in the midst")
        kill_everything(p)
        with contextlib.closing(sqlite3.connect(database(p))) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    p.start()
    p.wait_empty(patience=120)
    ended = Counter(line for line in p.said() if line.startswith("ended"))
    began = Counter(line for line in p.said() if line.startswith("began"))
    assert set(ended) == {f"ended {n}" for n in range(each)} and set(ended.values()) >= {rounds}
    assert all(times >= rounds for times in ended.values())
    assert began.total() - rounds * each <= 8 * rounds, "more ran again than had been running"
    assert p.failed() == []


def kill_everything(p: Project) -> None:
    """kill -9 master, template, scheduler and consumers, as near to one moment as can be."""
    for pid in p.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert p.master is not None
    p.master.wait()
    p.master = None
    deadline = time.monotonic() + 30
    while left := p.processes():
        assert time.monotonic() < deadline, left
        for pid in left:  # born while we killed
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
