"""The template imports the application once; consumers are forked of it (law S3)."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.live.conftest import Make
from tests.live.harness import Project

QUEUE = "[queues.q]\nrestart_delay_max = 1\n"

QUICK = """
@task(queue="q")
def quick(n):
    say(f"quick {n}")
"""

LONG = """
@task(queue="q")
def long():
    say(f"began {os.getpid()}")
    wait_for("go")
    say(f"ended {os.getpid()}")
"""

SLOW_IMPORT = "time.sleep(2)\nsay(f'imported {os.getpid()}')\n" + QUICK


def templates(p: Project) -> list[dict[str, Any]]:
    return [t for t in p.status()["templates"] if t["state"] == "ready"]


def template_of(p: Project, after: int = 0) -> int:
    """Return the template that serves, or the one that came after another."""
    found: list[int] = []

    def serves() -> bool:
        found[:] = [t["pid"] for t in templates(p) if t["pid"] != after]
        return bool(found)

    p.wait_until(serves, "a template")
    (pid,) = found
    return pid


def notes(p: Project) -> str:
    return "\n".join(note["text"] for note in p.status()["notes"])


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def successor(p: Project, dead: int) -> int:
    """Return the consumer that took the place of `dead`, once it is ready."""
    p.wait_until(lambda: (pids := p.pids("q")) and dead not in pids, "the successor")
    return p.pids("q")[0]


def works(p: Project, number: int = 1) -> None:
    p.push("quick", number)
    p.wait_said(f"quick {number}")


# What it is for.


def test_s3_an_import_of_two_seconds_happens_once_and_successors_are_ready_at_once(make: Make) -> None:
    p = make("[queues.q]\nprocesses = 2\n", SLOW_IMPORT)
    p.start()
    first, second = p.pids("q")
    # One that dies in its first second has a back-off.
    p.wait_until(lambda: min(c["uptime"] for c in p.status()["queues"]["q"]["consumers"]) > 1.1, "a second")

    killed = time.monotonic()
    os.kill(first, signal.SIGKILL)
    p.wait_until(lambda: set(p.pids("q")) - {first, second}, "the successor")

    assert time.monotonic() - killed < 1
    p.wait_until(p.is_ready, "both to be ready")
    assert p.said() == [f"imported {template_of(p)}"]
    works(p)


def test_s3_the_master_is_the_parent_of_every_consumer_and_imports_nothing(make: Make) -> None:
    p = make("[queues.q]\nprocesses = 3\n", "say(f'imported {os.getpid()}')\n" + QUICK)
    master = p.start()

    children = [*p.pids("q"), template_of(p)]

    assert [parent_of(pid) for pid in children] == [master.pid] * 4
    assert all(os.getpgid(pid) == pid for pid in children)
    assert p.said() == [f"imported {template_of(p)}"]


def test_queues_with_the_same_modules_share_a_template(make: Make) -> None:
    p = make('[queues.q]\n[queues.r]\n[queues.s]\napp = ["more"]\n[queues.t]\npreload = false\n', QUICK)
    (p.folder / "more.py").write_text("")
    p.start()
    p.wait_until(lambda: len(templates(p)) == 2, "two templates")

    assert {t["name"]: t["queues"] for t in templates(p)} == {
        "template:app": ["q", "r"],
        "template:app,more": ["s"],
    }


def test_randomness_is_every_consumers_own(make: Make) -> None:
    app = """
    import random

    @task(queue="q")
    def draw():
        say(f"drew {random.random()}")
        wait_for("go")
    """
    p = make("[queues.q]\nprocesses = 3\n", app)
    p.start()
    for _ in range(3):
        p.push("draw")
    p.wait_until(lambda: len(p.said()) == 3, "three draws")

    (p.folder / "go").touch()
    assert len(set(p.said())) == 3


def test_what_the_import_opened_and_how_it_handles_signals_is_every_consumers_too(make: Make) -> None:
    app = """
    import gc
    gc.disable()
    note = open(os.environ["TRAIL"], "a", buffering=1)
    signal.signal(signal.SIGUSR1, lambda *_: note.write("usr1\\n"))
    signal.alarm(1)

    @task(queue="q")
    def write():
        note.write(f"collects {gc.isenabled()}\\n")
        os.kill(os.getpid(), signal.SIGUSR1)
    """
    p = make("[queues.q]\n", app)
    p.start()
    template = template_of(p)
    p.push("write")

    p.wait_said("usr1")
    assert p.said() == ["collects False", "usr1"]
    p.wait_until(lambda: p.status()["templates"][0]["uptime"] > 1.3, "the alarm not to come")
    assert template_of(p) == template


# Deaths.


def test_s3_a_killed_template_leaves_its_consumers_alone_and_is_replaced(make: Make) -> None:
    p = make(QUEUE, LONG + QUICK)
    p.start()
    p.push("long")
    p.wait_until(p.said, "the message to run")
    (pid,) = p.pids("q")
    template = template_of(p)

    os.kill(template, signal.SIGKILL)
    template_of(p, after=template)

    (p.folder / "go").touch()
    p.wait_said(f"ended {pid}")
    assert p.pids("q") == [pid] and p.said() == [f"began {pid}", f"ended {pid}"]
    os.kill(pid, signal.SIGKILL)
    assert successor(p, pid) != pid
    works(p)


def test_s3_a_consumer_that_dies_with_its_template_comes_with_the_next_one(make: Make) -> None:
    p = make(QUEUE, SLOW_IMPORT)
    p.start()
    (pid,), template = p.pids("q"), template_of(p)

    os.kill(template, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)

    successor(p, pid)
    works(p)
    assert [line.split()[0] for line in p.said()] == ["imported", "imported", "quick"]


def test_a_template_that_is_told_to_leave_is_replaced_and_is_no_problem(make: Make) -> None:
    p = make(QUEUE, QUICK)
    p.start()
    template = template_of(p)
    os.kill(template, signal.SIGINT)
    os.kill(template, signal.SIGHUP)

    os.kill(template, signal.SIGTERM)

    template_of(p, after=template)
    assert p.status()["problems"] == [] and p.status()["queues"]["q"]["state"] == "ok"


def test_s4_kill_9_of_the_master_is_seen_at_once_by_every_consumer(make: Make) -> None:
    p = make("[queues.q]\nprocesses = 4\n", LONG + QUICK)
    p.start()
    p.push("long")  # a sibling that stays must not hold the others' lifelines open
    p.wait_until(p.said, "the message to run")
    busy = int(p.said()[0].split()[1])
    idle = [pid for pid in p.pids("q") if pid != busy] + [template_of(p)]

    killed = time.monotonic()
    p.kill_master()
    p.wait_until(lambda: not set(idle) & set(p.processes()), "the others to leave")

    assert time.monotonic() - killed < 3
    assert busy in p.processes()
    (p.folder / "go").touch()
    p.wait_until(lambda: not p.processes(), "the last to leave")


@pytest.mark.parametrize("also", [["template"], ["template", "scheduler"]])
def test_s8_nothing_is_left_after_kill_9_of_master_and_template_together(make: Make, also: list[str]) -> None:
    p = make("[queues.q]\nprocesses = 2\n", QUICK)
    master = p.start()
    others = {"template": template_of(p), "scheduler": p.status()["scheduler"]["pid"]}

    for pid in (master.pid, *(others[name] for name in also)):
        os.kill(pid, signal.SIGKILL)
    p.kill_master()

    p.wait_until(lambda: not p.processes(), "everybody to leave")
    p.start()
    works(p)


@pytest.mark.parametrize("moment", [0.0, 0.002, 0.005, 0.01, 0.02, 0.05])
def test_s8_a_master_killed_amid_its_first_orders_leaves_nobody_behind(make: Make, moment: float) -> None:
    p = make("[queues.q]\nprocesses = 8\n", "say('imported')\n" + QUICK)
    p.start(ready=False)
    p.wait_said("imported")
    time.sleep(moment)

    p.kill_master()

    p.wait_until(lambda: not p.processes(), "everybody to leave")


@pytest.mark.parametrize("moment", [0.0, 0.002, 0.005, 0.01, 0.02, 0.05])
def test_s3_a_template_killed_amid_its_orders_costs_nothing_but_time(make: Make, moment: float) -> None:
    p = make("[queues.q]\nprocesses = 8\n", "say(f'imported {os.getpid()}')\n" + QUICK)
    p.start(ready=False)
    p.wait_until(p.said, "the import")
    time.sleep(moment)

    os.kill(int(p.said()[0].split()[1]), signal.SIGKILL)

    p.wait_until(p.is_ready, "all to be ready")
    assert len(p.pids("q")) == 8
    works(p)


def test_a_template_that_stands_still_is_replaced_when_it_is_needed(make: Make) -> None:
    p = make(QUEUE, QUICK)
    p.start()
    (pid,), template = p.pids("q"), template_of(p)
    os.kill(template, signal.SIGSTOP)

    os.kill(pid, signal.SIGKILL)

    successor(p, pid)
    assert template not in p.processes()


def test_a_stop_waits_for_no_import(make: Make) -> None:
    p = make(QUEUE, "say('imports')\ntime.sleep(1000)\n")
    p.start(ready=False)
    p.wait_said("imports")

    began = time.monotonic()
    assert p.stop() == 0
    assert time.monotonic() - began < 5


# Broken applications.


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("\n\nraise ValueError('not today')", "app.py:3: ValueError: not today"),
        ("import time\ntime.sleep(1000)", "start_timeout = 500ms"),
        ("import os\nos._exit(3)", "it died: exit code 3"),
    ],
    ids=["raises", "hangs", "exits"],
)
def test_a_broken_application_is_found_once_while_its_consumers_run_on(
    make: Make, broken: str, reason: str
) -> None:
    p = make(f'{QUEUE}start_timeout = "500ms"\n[queues.r]\n{QUEUE[10:]}start_timeout = "500ms"\n', QUICK)
    app = p.folder / "app.py"
    sound = app.read_text()
    p.start()
    (pid,) = p.pids("q")
    app.write_text(broken)

    os.kill(template_of(p), signal.SIGKILL)

    def told(queue: str) -> bool:
        return any(one["about"] == queue and reason in one["text"] for one in p.status()["problems"])

    p.wait_until(lambda: told("q") and told("r"), "the reason to be told of both queues")
    works(p)
    assert p.pids("q") == [pid]
    os.kill(pid, signal.SIGKILL)
    p.wait_until(lambda: reason in str(p.status()["queues"]["q"]["consumers"][0]["why"]), "why")
    app.write_text(sound)
    p.wait_until(p.is_ready, "the mended file to be picked up")
    p.wait_until(lambda: not p.status()["problems"], "the problem to be over")
    works(p, 2)


# What must not be shared.

LEFT = [
    (
        "threading.Thread(target=time.sleep, args=(1e3,), daemon=True, name='ticker').start()",
        "thread 'ticker'",
    ),
    ("import socket\ns = socket.create_server(('127.0.0.1', 0))", "socket at 127.0.0.1:"),
    ("import socket\na, b = socket.socketpair()", "socket without a name"),
    (
        "import sqlite3\nd = sqlite3.connect('shop.data'); d.execute('create table if not exists t (x)')",
        "SQLite file ",
    ),
    ("w = open('shop.db', 'ab')", "shop.db"),
    ("c = subprocess.Popen(['sleep', '1000'])", "(sleep)"),
    ("subprocess.run(['sh', '-c', 'setsid sleep 1000 &'])", "child process"),
]
LEFT_IDS = ["thread", "listener", "pair", "sqlite", "file", "child", "daemon"]


@pytest.mark.parametrize(("code", "told"), LEFT, ids=LEFT_IDS)
def test_s3_what_must_not_be_shared_is_told_and_each_consumer_imports_for_itself(
    make: Make, code: str, told: str
) -> None:
    p = make("[queues.q]\nprocesses = 2\n", f"say(f'imported {{os.getpid()}}')\n{code}\n{QUICK}")
    p.start()

    assert told in notes(p)
    assert p.status()["problems"] == [] and p.status()["queues"]["q"]["state"] == "ok"
    p.wait_until(lambda: not p.status()["templates"], "the template to leave")
    assert set(p.pids("q")) < {int(line.split()[1]) for line in p.said()}
    (first, *_) = p.pids("q")
    works(p)
    os.kill(first, signal.SIGKILL)
    successor(p, first)
    assert p.output.read_text().count("imports the application for itself") == 1
    text = p.run("status").stdout
    assert " ".join(told.split()) in " ".join(text.split())


@pytest.mark.parametrize(("code", "told"), LEFT[1:], ids=LEFT_IDS[1:])
def test_s3_with_preload_true_the_template_is_used_all_the_same_and_what_is_left_is_told(
    make: Make, code: str, told: str
) -> None:
    p = make("[queues.q]\npreload = true\n", f"say(f'imported {{os.getpid()}}')\n{code}\n{QUICK}")
    p.start()

    assert told in notes(p) and "preload = true" in notes(p)
    assert [line for line in p.said() if line.startswith("imported")] == [f"imported {template_of(p)}"]
    works(p)
    assert p.status()["queues"]["q"]["state"] == "ok"


def test_s3_threads_that_a_fork_ends_do_not_count(make: Make) -> None:
    app = """
    stop = threading.Event()
    ticker = threading.Thread(target=stop.wait)
    ticker.start()
    os.register_at_fork(before=lambda: (stop.set(), ticker.join()))
    """
    p = make("[queues.q]\n", dedent(app) + QUICK)
    p.start()

    assert notes(p) == "" and template_of(p)
    works(p)


def test_what_the_import_has_finished_is_not_left_behind(make: Make) -> None:
    app = """
    import socket, sqlite3
    thread = threading.Thread(target=time.sleep, args=(0.01,)); thread.start(); thread.join()
    socket.socket().close()
    sqlite3.connect("shop.db").close()
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    if os.fork() == 0:
        sys.exit(0) if os.path.exists("exits") else say("came back")
    """
    p = make("[queues.q]\n", dedent(app) + QUICK)
    p.start()

    assert notes(p) == "" and template_of(p)
    works(p)


def test_s3_a_thread_that_comes_later_stops_the_preloading(make: Make) -> None:
    app = """
    if os.path.exists("later"):
        os.register_at_fork(after_in_parent=lambda: threading.Thread(target=time.sleep, args=(9,)).start())
        # The trial fork does not count: this is what comes after it.
        real, count = os.listdir, []
        def listdir(path="."):
            found = real(path)
            if path == "/proc/self/task" and len(count) < 1:
                count.append(1)
                return found[:1]
            return found
        os.listdir = listdir
    """
    p = make("[queues.q]\n", dedent(app) + QUICK)
    (p.folder / "later").touch()
    p.start()

    assert "there are threads" in notes(p)
    works(p)


def test_an_application_that_no_fork_survives_is_imported_by_each_consumer(make: Make) -> None:
    app = """
    os.register_at_fork(before=lambda: os.kill(os.getpid(), signal.SIGSEGV))
    """
    p = make("[queues.q]\n", dedent(app) + QUICK)
    p.start()

    assert "signal SEGV" in notes(p)
    works(p)


def test_with_preload_false_there_is_no_template(make: Make) -> None:
    p = make("[queues.q]\nprocesses = 2\npreload = false\n", "say(f'imported {os.getpid()}')\n" + QUICK)
    p.start()

    assert p.status()["templates"] == []
    assert {f"imported {pid}" for pid in p.pids("q")} == set(p.said())
    works(p)


def test_status_of_a_master_with_templates_is_one_document(make: Make) -> None:
    p = make("[queues.q]\n", QUICK)
    p.start()

    (template,) = json.loads(p.run("status", "--json").stdout)["templates"]

    assert template["name"] == "template:app" and template["queues"] == ["q"]
    assert template["state"] == "ready" and template["generation"] == 1 and template["rss"] > 1 << 20
