"""`procqueue start --daemon`: detached, and honest about how the start went."""

import os
from pathlib import Path

from tests.cli.place import Place


def test_it_returns_when_all_is_ready_and_has_left_the_terminal(place: Place) -> None:
    ran = place.run("start", "--daemon")

    assert (ran.code, ran.err) == (0, "")
    assert place.is_ready()
    pid = int((place.folder / "run/master.pid").read_text())
    assert ran.out == f"started: pid {pid}\n"
    assert os.getsid(pid) not in (pid, os.getsid(0))
    assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)} == {"/dev/null"}
    assert "ready" in place.run("logs", "master").out
    assert place.run("start", "--daemon").code == 6
    assert place.run("stop").code == 0


def test_what_is_wrong_at_the_start_is_shown_in_the_terminal(place: Place) -> None:
    place.write("elsewhere/x", "")
    (place.folder / "run").symlink_to(place.folder / "elsewhere/x")

    ran = place.run("start", "--daemon")

    assert ran.code not in (0, 5)
    assert "state_dir" in ran.err


def test_who_does_not_become_ready_in_time_is_named(place: Place) -> None:
    place.write("app.py", "import nothing_of_that_name")
    text = "app = ['app']\n[queues.emails]\nstart_timeout = '500ms'\nstart_seconds = 0\n"
    place.write("procqueue.toml", text)

    ran = place.run("start", "--daemon")

    assert ran.code == 5
    assert "nothing_of_that_name" in ran.err
    assert place.run("stop").code == 0


def test_an_essential_program_that_fails_at_once_is_a_failed_start(place: Place) -> None:
    program = (
        "[processes.main]\ncommand = 'false'\nrestart = 'never'\nessential = true\nstart_seconds = '5s'\n"
    )
    place.write("procqueue.toml", program)

    ran = place.run("start", "--daemon")

    assert ran.code == 1
    assert not Path(place.folder / "run/master.pid").exists()
