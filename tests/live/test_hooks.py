"""Hooks: they run with the facts, one at a time, not too often, and hold nobody up."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from tests.live.harness import Project

Make = Callable[..., Project]

TELL = "sh -c 'echo \"$PROCQUEUE_HOOK $PROCQUEUE_ABOUT $PROCQUEUE_TEXT\" >> told; echo a line of the hook'"
FATAL = """
    [processes.bad]
    command = "false"
    restart = "never"
    """
SLEEPER = f"[processes.clock]\ncommand = ['{sys.executable}', '-c', 'import time; time.sleep(1000)']\n"


def hooks(**commands: str) -> str:
    return "[hooks]\n" + "".join(f'{key} = ["""{command}"""]\n' for key, command in commands.items())


def told(project: Project) -> list[str]:
    file = project.folder / "told"
    return file.read_text().splitlines() if file.exists() else []


def started(make: Make, config: str) -> Project:
    project = make(config, "", programs_only=True)
    project.start(ready=False)
    return project


def test_a_program_that_is_given_up_is_told_of_with_the_facts(make: Make) -> None:
    project = started(make, FATAL + SLEEPER + hooks(on_fatal=TELL))

    project.wait_until(lambda: told(project), "the hook")

    assert told(project)[0].startswith("on_fatal bad:0 ")
    project.wait_until(lambda: "hook | a line of the hook" in project.output.read_text(), "its line")


def test_an_essential_program_that_fails_is_told_of_before_all_ends(make: Make) -> None:
    project = started(make, FATAL + "essential = true\n" + hooks(on_fatal=f"sleep 0.3; {TELL}"))
    # One command, no shell: "sleep" gets all the words, and says that it does not know them.
    assert project.master is not None
    assert project.master.wait(30) == 1
    assert "hook kind=on_fatal exit_code=1" in project.output.read_text()


def test_the_same_is_not_told_twice_within_a_minute(make: Make) -> None:
    flaky = "[processes.flaky]\ncommand = 'true'\nstart_retries = 0\nok_exit_codes = [3]\n"
    project = started(make, flaky + SLEEPER + hooks(on_fatal=TELL))
    project.wait_until(lambda: len(told(project)) == 1, "the hook")

    def times() -> int:
        return project.output.read_text().count("died name=flaky:0")

    before = times()
    assert project.run("start", "flaky").returncode == 0
    project.wait_until(lambda: times() > before, "it to fail again")
    assert project.run("status").returncode == 4  # the master has gone on since

    assert len(told(project)) == 1


def test_a_hook_that_cannot_start_or_hangs_stops_nobody_and_does_not_stay(make: Make) -> None:
    hanging = "sh -c 'echo $$ > pid; exec sleep 1000'"
    project = started(make, FATAL + SLEEPER + hooks(on_fatal=hanging, on_problem="/nonexistent/command"))
    project.wait_until(lambda: "hooks.on_problem" in project.output.read_text(), "the failure to be said")
    pid_file = project.folder / "pid"
    project.wait_until(lambda: pid_file.exists() and pid_file.read_text(), "the other hook")

    assert project.run("status").returncode == 4  # the master answers meanwhile
    assert project.run("stop", "--now").returncode == 0
    assert not os.path.exists(f"/proc/{int(pid_file.read_text())}")
