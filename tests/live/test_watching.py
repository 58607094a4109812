"""Reload on change: a save is at work at once, and a broken one costs nothing."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.live.harness import PATIENCE, Project

Make = Callable[..., Project]

TWO = """
    [queues.q]
    processes = 2
    start_seconds = 0.2
    start_timeout = "2s"
    """
APP = """
    VERSION = 0

    @task(queue="q")
    def work(n: int) -> None:
        say(f"{VERSION} {n}")
        time.sleep(0.002)
    """


def watched(project: Project, *arguments: str) -> Project:
    """Start with a watcher, and wait until it stands."""
    project.start("--reload", *arguments)
    project.wait_until(lambda: watcher(project)["state"] == "ready", "the watcher")
    return project


def of_master(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = project.status()["master"]
    return found


def save(project: Project, version: int | str, name: str = "app.py") -> None:
    """Write the application once more, with another version."""
    path = project.folder / name
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join(f"VERSION = {version}" if line.startswith("VERSION") else line for line in lines)
    )


def wait_for_version(project: Project, version: int | str) -> None:
    """Push until a message is handled by this version."""

    def handled() -> bool:
        if project.counts().waiting == 0:
            project.push("work", -1)
        return any(line.startswith(f"{version} ") for line in project.said())

    project.wait_until(handled, f"version {version} to handle a message")


def settled(project: Project) -> bool:
    """Only consumers of the wanted generation are there, and all of them are ready."""
    status = project.status()
    consumers = status["queues"]["q"]["consumers"]
    newest = status["master"]["generation"]
    ready = [one for one in consumers if one["state"] in ("ready", "busy")]
    return len(ready) == len(consumers) == 2 and all(one["generation"] == newest for one in ready)


def problems(project: Project) -> str:
    return " | ".join(f"{one['about']}: {one['text']}" for one in project.status()["problems"])


def lines_of(project: Project, event: str) -> int:
    return project.output.read_text().count(f" {event} ")


def watcher(project: Project) -> dict[str, Any]:
    """Return what `status` says of the watcher."""
    found: dict[str, Any] = project.status()["watcher"]
    return found


def test_saves_under_load_lose_interrupt_and_charge_nothing(make: Make, url: str | None) -> None:
    project = watched(make(TWO, APP, url))
    least = 2
    pushed = 0

    for version in range(1, 6):
        project.push_many("work", 300, first=pushed)
        pushed += 300
        save(project, version)
        while not any(line.startswith(f"{version} ") for line in project.said()) or not settled(project):
            least = min(least, project.status()["queues"]["q"]["ready"])
            if project.counts().waiting == 0:
                project.push_many("work", 50, first=pushed)
                pushed += 50
            project.wait_until(lambda: True, "nothing")

    project.wait_empty()
    assert sorted(int(line.split()[1]) for line in project.said()) == list(range(pushed))
    assert project.failed() == []
    assert least == 2


def test_a_broken_save_changes_nothing_and_the_next_is_tried_at_once(make: Make) -> None:
    project = watched(make(TWO, APP))
    before = sorted(project.pids("q"))
    save(project, "= broken")
    project.wait_until(lambda: "app.py:" in problems(project), "the problem, with its place")
    assert "SyntaxError" in problems(project)
    assert sorted(project.pids("q")) == before

    os.kill(before[0], signal.SIGKILL)  # it comes back with the old code
    project.wait_until(lambda: len(set(project.pids("q")) - {before[0]}) == 2, "its successor")
    project.push("work", 7)
    project.wait_said("0 7")
    assert "SyntaxError" in problems(project)  # which is not solved by that

    save(project, 1)
    wait_for_version(project, 1)
    project.wait_until(lambda: settled(project), "all to have the new code")
    assert problems(project) == ""
    told = [line for line in project.output.read_text().splitlines() if " problem " in line]
    assert len(told) == 1, told


def test_a_save_whose_import_hangs_is_given_up_and_the_next_works(make: Make) -> None:
    project = watched(make(TWO, APP))
    before = sorted(project.pids("q"))
    save(project, "time.sleep(1000)")
    project.wait_until(lambda: "start_timeout" in problems(project), "the problem")
    assert sorted(project.pids("q")) == before

    save(project, 2)

    wait_for_version(project, 2)
    project.wait_until(lambda: settled(project) and problems(project) == "", "the problem to be solved")


def test_a_save_during_an_import_that_hangs_does_not_wait_for_it(make: Make) -> None:
    project = watched(make(TWO.replace('"2s"', '"10m"'), APP))
    save(project, "say('hangs') or time.sleep(1000)")
    project.wait_said("hangs")

    save(project, 3)

    wait_for_version(project, 3)
    project.wait_until(lambda: settled(project), "all to have the new code")


def test_the_last_of_many_saves_is_what_runs(make: Make) -> None:
    project = watched(make(TWO, APP))
    until = time.monotonic()
    for version in range(1, 11):
        save(project, version)
        until += 0.1
        time.sleep(max(0.0, until - time.monotonic()))  # as a person, or an agent, may save

    wait_for_version(project, 10)
    project.wait_until(lambda: settled(project), "all to have the last code")
    number = len(project.said())
    project.push_many("work", 50)
    project.wait_until(lambda: len(project.said()) >= number + 50, "the messages")
    assert {line.split()[0] for line in project.said()[-50:]} == {"10"}


def test_a_save_that_is_seen_half_written_ends_as_it_was_meant(make: Make) -> None:
    project = watched(make(TWO, APP))
    path = project.folder / "app.py"
    text = path.read_text().replace("VERSION = 0", "VERSION = 4")
    path.write_text("")
    time.sleep(0.03)
    path.write_text(text)

    wait_for_version(project, 4)
    project.wait_until(lambda: settled(project) and problems(project) == "", "all to have the new code")


def test_saves_of_the_same_size_within_a_second_are_not_taken_for_the_compiled_ones(make: Make) -> None:
    project = make(TWO, "\n    import mod" + APP.replace('say(f"{VERSION}', 'say(f"{mod.VERSION}'))
    (project.folder / "mod.py").write_text("VERSION = 0\n")
    environment = {k: v for k, v in project.environment().items() if k != "PYTHONDONTWRITEBYTECODE"}
    project.environment = lambda: environment  # type: ignore[method-assign]
    watched(project)

    for version in range(1, 8):
        save(project, version, "mod.py")
        wait_for_version(project, version)


def test_a_checkout_of_many_files_is_applied_and_back_too(make: Make) -> None:
    project = make(
        TWO, "\n    import package.m0" + APP.replace('say(f"{VERSION}', 'say(f"{package.m0.VERSION}')
    )
    (project.folder / "package").mkdir()
    (project.folder / ".gitignore").write_text("run/\noutput\ntrail\n")

    def git(*words: str) -> None:
        me = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        subprocess.run(["git", *me, *words], cwd=project.folder, check=True, capture_output=True)

    def write_all(version: int) -> None:
        for number in range(500):
            (project.folder / f"package/m{number}.py").write_text(f"VERSION = {version}\n")
        git("add", ".")
        git("commit", "-m", str(version))

    git("init", "-b", "zero")
    write_all(0)
    git("checkout", "-b", "one")
    write_all(1)
    git("checkout", "zero")
    watched(project)
    wait_for_version(project, 0)

    git("checkout", "one")
    wait_for_version(project, 1)

    project.wait_until(lambda: settled(project), "all to have the new code")
    project.trail.write_text("")
    git("checkout", "zero")
    wait_for_version(project, 0)


def test_new_directories_are_watched_from_then_on(make: Make) -> None:
    project = watched(make(TWO, APP))
    (project.folder / "fresh/deep").mkdir(parents=True)
    (project.folder / "fresh/deep/mod.py").write_text("VERSION = 5\n")
    project.wait_until(lambda: of_master(project)["generation"] == 2, "the new file to be seen")
    save(project, 6, "fresh/deep/mod.py")
    project.wait_until(lambda: of_master(project)["generation"] == 3, "its change to be seen")
    (project.folder / "app.py").write_text(
        (project.folder / "app.py").read_text().replace("VERSION = 0", "from fresh.deep.mod import VERSION")
    )

    wait_for_version(project, 6)


def test_a_directory_that_is_removed_and_made_again_is_watched(make: Make) -> None:
    project = make(TWO, APP)
    (project.folder / "package").mkdir()
    (project.folder / "package/mod.py").write_text("VERSION = 0\n")
    watched(project)
    for generation in (2, 4, 6):
        shutil.rmtree(project.folder / "package")
        (project.folder / "package").mkdir()
        (project.folder / "package/mod.py").write_text(f"VERSION = {generation}\n")
        project.wait_until(
            lambda g=generation: of_master(project)["generation"] >= g, "the new directory to be seen"
        )
        before = of_master(project)["generation"]
        save(project, generation + 1, "package/mod.py")
        project.wait_until(lambda b=before: of_master(project)["generation"] > b, "a change in it to be seen")


def test_a_change_of_the_configuration_is_applied_and_a_bad_one_is_told(make: Make) -> None:
    project = watched(make(TWO, APP))
    before = set(project.pids("q"))
    good = project.config.read_text()

    project.config.write_text(good.replace("processes = 2", "processes = 3"))
    project.wait_until(lambda: len(project.pids("q")) == 3, "the third")
    assert before < set(project.pids("q"))

    project.config.write_text(good + "nonsense = 1\n")
    project.wait_until(lambda: "nonsense" in problems(project), "the problem")
    assert len(project.pids("q")) == 3
    project.config.write_text(good)
    project.wait_until(lambda: problems(project) == "" and settled(project), "two again")


def test_a_file_that_is_included_later_is_watched(make: Make) -> None:
    project = make(TWO, APP)
    project.config.write_text('include = ["queues.d/*.toml"]\n' + project.config.read_text())
    (project.folder / "queues.d").mkdir()
    watched(project)

    (project.folder / "queues.d/r.toml").write_text("[queues.r]\n")
    project.wait_until(lambda: "r" in project.status()["queues"], "the new queue")
    project.wait_until(lambda: watcher(project)["state"] == "ready", "the watcher")
    (project.folder / "queues.d/r.toml").write_text("[queues.r]\nprocesses = 2\n")
    project.wait_until(lambda: project.status()["queues"]["r"]["wanted"] == 2, "its change")


def test_what_changed_while_nobody_watched_is_found(make: Make) -> None:
    project = watched(make(TWO, APP))
    pid = watcher(project)["pid"]
    os.kill(pid, signal.SIGSTOP)
    save(project, 8)
    os.kill(pid, signal.SIGKILL)

    wait_for_version(project, 8)
    project.wait_until(lambda: watcher(project)["state"] == "ready", "the next watcher")
    save(project, 9)
    wait_for_version(project, 9)


def test_without_events_files_are_polled_and_that_is_told_once(make: Make) -> None:
    project = make(TWO, APP)
    environment = {**project.environment(), "WATCHFILES_FORCE_POLLING": "1"}
    project.environment = lambda: environment  # type: ignore[method-assign]
    watched(project)

    for version in (1, 2):
        save(project, version)
        wait_for_version(project, version)

    notes = [one["text"] for one in project.status()["notes"] if one["about"] == "reload"]
    assert len(notes) == 1
    assert "WATCHFILES_FORCE_POLLING" in notes[0]
    assert lines_of(project, "note") == 1


def test_a_change_of_code_restarts_programs_with_a_target_and_no_others(make: Make) -> None:
    programs = """
    [processes.mine]
    target = "mine:run"
    start_seconds = 0
    [processes.other]
    command = "sleep 1000"
    start_seconds = 0
    """
    project = make(TWO + programs, APP)
    (project.folder / "mine.py").write_text(
        "import os, time\nVERSION = 0\ndef run():\n"
        "    open(os.environ['TRAIL'], 'a').write(f'mine {VERSION}\\n')\n    time.sleep(1000)\n"
    )
    watched(project)
    project.wait_said("mine 0")
    other = project.status()["processes"]["other"]

    save(project, 1, "mine.py")

    project.wait_said("mine 1")
    now = project.status()["processes"]["other"]
    assert [one["pid"] for one in now["members"]] == [one["pid"] for one in other["members"]]


@pytest.mark.parametrize(
    ("flags", "line"), [((), "on=yes why=terminal"), (("--no-reload",), "on=no why=--no-reload")]
)
def test_on_a_terminal_files_are_watched_unless_it_is_told_not_to(
    make: Make, flags: tuple[str, ...], line: str
) -> None:
    project = make(TWO, APP)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "procqueue", "start", "-c", str(project.config), *flags]
    project.master = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, cwd=project.folder,
        env=project.environment(),
    )  # fmt: skip
    os.close(theirs)
    text = b""
    give_up = time.monotonic() + PATIENCE
    while b" ready " not in text and time.monotonic() < give_up:
        text += os.read(ours, 4096)

    assert line in text.decode()
    project.stop()
    os.close(ours)
