"""A start that meets what it should not: broken modules, what the dead left, a second master, odd places."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from procqueue.process.ask import NoMaster, ask
from procqueue.process.board import Board
from procqueue.process.view import View
from tests.live.conftest import Make
from tests.live.harness import Project

QUEUE = "[queues.q]\nrestart_delay_max = 1\n"

QUICK = """
@task(queue="q")
def quick(n):
    say(f"quick {n} {os.getcwd()}")
"""


def why(p: Project) -> str:
    """Return everything that `status` says about what is wrong, "" while nobody answers."""
    try:
        status = p.status()
    except (NoMaster, TimeoutError):
        return ""
    consumers = status["queues"]["q"]["consumers"]
    texts = [problem["text"] for problem in status["problems"]] + [str(one["why"]) for one in consumers]
    return "\n".join(texts)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (None, "ModuleNotFoundError: No module named 'app'"),
        ("\n\nraise ValueError('not today')", "app.py:3: ValueError: not today"),
        ("\nif True\n    pass", "app.py:2: SyntaxError"),
        ("import sys\nsys.exit(0)", "app.py:2: SystemExit: 0"),
        ("import absent.module", "app.py:1: ModuleNotFoundError: No module named 'absent'"),
        ("raise ValueError('x' * 1_000_000)", "app.py:1: ValueError: xxx"),
        ("raise BaseException", "app.py:1: BaseException"),
        ("import time\nprint('imports', flush=True)\ntime.sleep(1000)", "start_timeout"),
        ("import os\nos._exit(3)", "it died: exit code 3"),
        (
            "while True:\n    try:\n        import time; time.sleep(9)\n    except BaseException: pass",
            "start_timeout",
        ),
    ],
    ids=[
        "missing",
        "raises",
        "syntax",
        "exits",
        "imports",
        "endless text",
        "base",
        "hangs",
        "leaves",
        "deaf",
    ],
)
def test_s10_an_application_that_cannot_be_imported_is_told_of_and_started_once_it_is_mended(
    make: Make, broken: str | None, reason: str
) -> None:
    p = make(f'{QUEUE}start_timeout = "500ms"\n', QUICK)
    app = p.folder / "app.py"
    sound = app.read_text()
    app.unlink() if broken is None else app.write_text(broken)

    p.start(ready=False)
    p.wait_until(lambda: reason in why(p), f"status to say {reason!r}")
    status = p.status()
    assert status["master"]["state"] == "starting" and status["scheduler"]["state"] in ("ready", "starting")
    assert status["queues"]["q"]["ready"] == 0
    p.push("quick", 1)
    app.write_text(sound)

    p.wait_said(f"quick 1 {p.folder}")
    p.wait_until(p.is_ready, "the master to be ready")
    p.wait_until(lambda: reason not in why(p), "the reason to be forgotten")


def leave_behind(p: Project) -> Path:
    """Let a master and all its children die at once; return its state directory."""
    p.start()
    family = p.processes()
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in family:
            os.kill(pid, number)
    p.kill_master()
    p.wait_until(lambda: not p.processes(), "all to be dead")
    return p.folder / "run"


def test_s8_what_a_killed_host_left_in_the_state_directory_hinders_no_start(make: Make) -> None:
    p = make(QUEUE, QUICK)
    run = leave_behind(p)
    assert {"master.lock", "master.pid", "control.sock", "host"} <= set(os.listdir(run))
    (board,) = (one for one in (run / "boards").glob("*.board") if pool_of(one) == "q")
    whole = board.read_bytes()
    another = View.open(str(board))
    facts = {**another.identity, "boot_id": "another", "pid": os.getpid(), "consumer": "of.another.boot"}
    another.close()
    (run / "boards" / "garbage.board").write_bytes(os.urandom(9000))
    (run / "boards" / "empty.board").touch()
    (run / "boards" / "cut.board").write_bytes(whole[:3000])
    (run / "boards" / "new.board.draft").write_bytes(whole)
    odd_facts = {**another.identity, "pid": 1 << 80, "consumer": "odd"}
    odd = Board.create(str(run / "boards" / "odd.board"), ["q"], odd_facts)
    boot = Board.create(str(run / "boards" / "of.another.boot.board"), ["q"], facts)
    (run / "master.pid").write_text("no number")
    odd.close()
    boot.close()

    p.start()

    p.push("quick", 1)
    p.wait_said(f"quick 1 {p.folder}")
    p.wait_until(lambda: len(os.listdir(run / "boards")) == 2, "the boards of the dead to go")
    assert (run / "master.pid").read_text() == f"{p.status()['master']['pid']}\n"


def pool_of(path: Path) -> str:
    board = View.open(str(path))
    board.close()
    return str(board.identity["pool"])


@pytest.mark.parametrize("host", ["", "no identity at all\n", "0123456789abcde/", "\x00" * 16])
def test_a_host_file_that_says_nothing_is_made_anew(make: Make, host: str) -> None:
    p = make(QUEUE, QUICK)
    (p.folder / "run").mkdir(mode=0o700)
    (p.folder / "run" / "host").write_text(host)

    p.start()

    named, _, place = (p.folder / "run" / "host").read_text().strip().partition(" ")
    assert place and len(named) == 16 and named.isalnum() and p.status()["master"]["host"] == named


def test_a_copy_of_a_state_dir_is_another_host_and_reclaims_nothing_of_the_original(make: Make) -> None:
    p = make(QUEUE, QUICK)
    p.start()
    original = p.status()["master"]["host"]
    copied = make(QUEUE, QUICK, name="copy")
    (copied.folder / "run").mkdir(mode=0o700)
    (copied.folder / "run" / "host").write_text((p.folder / "run" / "host").read_text())
    shutil.copytree(p.folder / "run" / "boards", copied.folder / "run" / "boards")

    copied.start()

    assert copied.status()["master"]["host"] != original
    assert "reclaimed" not in copied.output.read_text() and "adopted" not in copied.output.read_text()


def test_s8_a_second_master_is_refused_and_told_who_is_there(make: Make) -> None:
    p = make(QUEUE, QUICK)
    master = p.start()

    second = p.run("start")

    assert second.returncode == 6 and str(master.pid) in second.stderr
    assert p.status()["master"]["pid"] == master.pid
    p.push("quick", 1)
    p.wait_said(f"quick 1 {p.folder}")


def test_two_masters_at_the_same_moment_are_one(make: Make) -> None:
    p = make(QUEUE, QUICK)
    first = p.start(ready=False)
    second = p.start(ready=False)

    p.master = None
    p.wait_until(lambda: [m for m in (first, second) if m.poll() is not None], "one of them to end")
    ended = [m for m in (first, second) if m.poll() is not None]
    p.master = second if ended == [first] else first
    p.wait_until(p.is_ready, "the other to be ready")
    assert [m.returncode for m in ended] == [6] and p.master.poll() is None


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_a_state_directory_that_others_can_write_is_refused(make: Make, mode: int) -> None:
    p = make(QUEUE, QUICK)
    (p.folder / "run").mkdir()
    (p.folder / "run").chmod(mode)

    refused = p.run("start")

    assert refused.returncode not in (0, 1) and "chmod go-w" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_state_directory_that_is_a_file_is_refused(make: Make) -> None:
    p = make('[master]\nstate_dir = "app.py"\n' + QUEUE, QUICK)

    refused = p.run("start")

    assert refused.returncode not in (0, 1) and "state_dir" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_state_directory_may_be_deeper_than_a_socket_address_is_long(make: Make) -> None:
    p = make(QUEUE, QUICK, None, "long-" + "x" * 150)
    assert len(str(p.folder / "run" / "control.sock")) > 107

    p.start()

    p.push("quick", 1)
    p.wait_said(f"quick 1 {p.folder}")
    assert p.run("status").returncode == 0 and p.stop() == 0


def test_two_projects_with_prefixes_of_their_own_do_not_see_each_other(make: Make, url: str | None) -> None:
    one, two = make(QUEUE, QUICK, url, "one"), make(QUEUE, QUICK, url, "two")
    for p in (one, two):
        p.start()

    one.push_many("quick", 10)
    one.wait_empty()
    two.push("quick", 99)
    two.wait_empty()

    assert sorted(one.said()) == [f"quick {n} {one.folder}" for n in range(10)]
    assert two.said() == [f"quick 99 {two.folder}"]
    assert one.stop() == 0
    two.push("quick", 100)
    two.wait_said(f"quick 100 {two.folder}")


def test_the_directory_of_the_start_does_not_matter(make: Make, url: str | None) -> None:
    p = make(QUEUE, QUICK, url)
    p.start(cwd=Path("/"))

    p.push("quick", 1)

    p.wait_said(f"quick 1 {p.folder}")
    assert (p.folder / "run" / "control.sock").exists()


def test_a_root_behind_a_symbolic_link_works_the_same(make: Make) -> None:
    p = make(QUEUE, QUICK)
    link = p.folder.parent / "current"
    link.symlink_to(p.folder)
    p.config = link / "queues.toml"

    p.start(cwd=Path("/"))

    p.push("quick", 1)
    p.wait_until(p.said, "the message to run")
    assert p.said()[0] in (f"quick 1 {p.folder}", f"quick 1 {link}")
    assert ask(str(link / "run"), "status")["master"]["pid"] == p.status()["master"]["pid"]
    p.config = p.folder / "queues.toml"
    assert p.run("start").returncode == 6
    assert json.loads(p.run("status", "--json").stdout)["master"]["pid"] == p.status()["master"]["pid"]
    assert p.stop() == 0


def test_an_unwritable_place_is_said_and_not_a_traceback(make: Make) -> None:
    p = make('[master]\nstate_dir = "/proc/nowhere"\n' + QUEUE, QUICK)

    refused = p.run("start")

    assert refused.returncode not in (0, 1) and "/proc/nowhere" in refused.stderr
    assert "Traceback" not in refused.stderr
