"""Programs, beside queues or alone: started, seen to be ready, restarted, given up, ended with all of theirs.

Next to read: procqueue/process/copies.py.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.live.harness import Project, edit, verb

Make = Callable[..., Project]


def program(project: Project, name: str) -> dict[str, Any]:
    found: dict[str, Any] = project.status()["processes"][name]
    return found


def member(project: Project, copy: str) -> dict[str, Any]:
    members = program(project, copy.rpartition(":")[0])["members"]
    return next(one for one in members if one["name"] == copy)


def state(project: Project, copy: str) -> str:
    return str(member(project, copy)["state"])


def started(make: Make, config: str) -> Project:
    """A project of programs alone, whose master answers."""
    project = make(config, "", programs_only=True)
    project.start(ready=False)
    project.wait_until(lambda: project.run("health", "--live").returncode == 0, "the master")
    return project


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


SLEEPER = f"command = ['{sys.executable}', '-c', 'import time; time.sleep(1000)']\nstart_seconds = 0.1\n"


def test_a_file_with_programs_alone_needs_no_driver_and_no_scheduler(make: Make) -> None:
    project = started(make, f"[processes.clock]\n{SLEEPER}")

    project.wait_until(lambda: state(project, "clock:0") == "running", "the program")

    assert project.status()["scheduler"]["state"] == "not needed"
    assert verb(project, "health") == "ready\n"
    assert len(project.processes()) == 3  # and the logger
    assert not (project.folder / "run" / "db").exists()


def test_one_that_is_killed_is_back_with_a_new_pid(make: Make) -> None:
    project = started(make, f"[processes.clock]\ncount = 2\n{SLEEPER}")
    project.wait_until(lambda: program(project, "clock")["ready"] == 2, "both")
    first, second = (member(project, f"clock:{n}")["pid"] for n in (0, 1))

    os.kill(first, signal.SIGKILL)

    project.wait_until(lambda: member(project, "clock:0")["pid"] not in (first, None), "its successor")
    assert member(project, "clock:0")["last_exit"]["signal"] == "KILL"
    assert member(project, "clock:1")["pid"] == second


def test_what_cannot_be_started_is_fatal_at_once_and_says_file_and_line(make: Make) -> None:
    project = started(make, '[processes.bad]\ncommand = "no-such-command --x"\n')

    project.wait_until(lambda: state(project, "bad:0") == "fatal", "it to be given up")

    why = member(project, "bad:0")["why"]
    assert "no-such-command: no such command in PATH" in why and "queues.toml:" in why
    assert member(project, "bad:0")["restarts"] == 1
    assert project.run("status").returncode == 4


def test_one_that_ends_at_once_is_given_up_after_its_retries(make: Make) -> None:
    config = "[processes.bad]\ncommand = \"sh -c 'exit 3'\"\nstart_retries = 1\n"
    project = started(make, config)

    project.wait_until(lambda: state(project, "bad:0") == "fatal", "it to be given up")

    assert "exit code 3" in member(project, "bad:0")["why"]
    restarts = member(project, "bad:0")["restarts"]
    verb(project, "start", "bad")
    project.wait_until(lambda: member(project, "bad:0")["restarts"] == restarts + 2, "two tries more")


def test_one_that_has_done_its_work_is_well(make: Make) -> None:
    config = f"""
        [processes.migrate]
        command = "sh -c 'exit 0'"
        restart = "never"
        [processes.api]
        after = ["migrate"]
        {SLEEPER.replace(chr(10), chr(10) + "        ")}
        """
    project = started(make, config)

    project.wait_until(lambda: state(project, "api:0") == "running", "the one after it")

    assert state(project, "migrate:0") == "exited"
    assert verb(project, "health") == "ready\n"
    assert project.run("status").returncode == 0


def test_a_program_waits_until_a_port_answers(make: Make) -> None:
    port = free_port()
    code = (
        "import time, http.server as h; time.sleep(0.5); "
        f"h.HTTPServer(('127.0.0.1', {port}), h.BaseHTTPRequestHandler).serve_forever()"
    )
    config = f"""
        [processes.server]
        command = ["{sys.executable}", "-c", "{code}"]
        ready = "tcp:{port}"
        [processes.client]
        after = ["server"]
        {SLEEPER.replace(chr(10), chr(10) + "        ")}
        """
    project = started(make, config)

    project.wait_until(lambda: state(project, "client:0") == "running", "the client")

    assert state(project, "server:0") == "running"


def test_a_program_tells_that_it_is_ready(make: Make) -> None:
    code = (
        "import os, socket, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
        "a = os.environ['NOTIFY_SOCKET'].replace('@', chr(0), 1); "
        "s.sendto(b'STATUS=warming up', a); "
        "exec('while not os.path.exists(\\\"go\\\"): time.sleep(0.01)'); "
        "s.sendto(b'READY=1', a); time.sleep(1000)"
    )
    project = started(
        make, f'[processes.api]\ncommand = ["{sys.executable}", "-c", """{code}"""]\nready = "notify"\n'
    )
    project.wait_until(lambda: member(project, "api:0")["says"] == "warming up", "its word")
    assert state(project, "api:0") == "starting"

    (project.folder / "go").touch()

    project.wait_until(lambda: state(project, "api:0") == "running", "it to be ready")


def test_one_that_is_never_ready_is_replaced_and_given_up(make: Make) -> None:
    config = (
        f'[processes.api]\n{SLEEPER}ready = "tcp:{free_port()}"\nstart_timeout = "0.3s"\nstart_retries = 0\n'
    )
    project = started(make, config)

    project.wait_until(lambda: state(project, "api:0") == "fatal", "it to be given up")

    assert "start_timeout" in member(project, "api:0")["why"]


def test_an_unhealthy_one_is_replaced(make: Make) -> None:
    port = free_port()
    code = (
        "import os, http.server as h; "
        "H = type('H', (h.BaseHTTPRequestHandler,), {'do_GET': lambda s: (s.send_response("
        "500 if os.path.exists('sick') else 200), s.end_headers())}); "
        f"h.HTTPServer(('127.0.0.1', {port}), H).serve_forever()"
    )
    config = (
        f'[processes.api]\ncommand = ["{sys.executable}", "-c", "{code}"]\nready = "http://127.0.0.1:{port}/"\n'.replace(
            'ready = "http:', 'ready = "http:http:'
        )
        + f'health = {{check = "http:http://127.0.0.1:{port}/", every = "0.1s", failures = 2}}\n'
    )
    project = started(make, config)
    project.wait_until(lambda: state(project, "api:0") == "running", "it to be ready")
    before = member(project, "api:0")["pid"]

    (project.folder / "sick").touch()

    project.wait_until(lambda: member(project, "api:0")["pid"] not in (before, None), "its successor")
    assert member(project, "api:0")["last_exit"]["reason"] == "unhealthy"


def test_an_essential_one_that_fails_ends_the_master_with_a_failure(make: Make) -> None:
    config = (
        "[processes.api]\ncommand = \"sh -c 'exit 3'\"\nstart_retries = 0\nessential = true\n"
        f"[processes.clock]\n{SLEEPER}"
    )
    project = make(config, "", programs_only=True)

    master = project.start(ready=False)

    assert master.wait(30) == 1
    assert "essential" in project.output.read_text()


def test_a_stop_leaves_nothing_of_a_program_that_does_not_want_to_go(make: Make) -> None:
    config = """
        [processes.deaf]
        command = ["sh", "-c", "trap '' TERM; setsid sleep 1000 & sleep 1000 & while true; do sleep 1; done"]
        grace = "0.3s"
        start_seconds = 0.1
        """
    project = started(make, config)
    project.wait_until(lambda: len(project.processes()) >= 4, "its descendants")

    assert project.stop() == 0

    assert project.processes() == []


def test_one_that_daemonizes_is_not_torn_apart_while_it_lives_and_leaves_nothing(make: Make) -> None:
    code = "import os, time; os.fork() or (os.setsid(), os.fork() and os._exit(0)); time.sleep(1000)"
    project = started(
        make, f'[processes.odd]\ncommand = ["{sys.executable}", "-c", "{code}"]\nstart_seconds = 0.1\n'
    )
    project.wait_until(lambda: len(project.processes()) == 4, "its daemon")
    project.wait_until(lambda: state(project, "odd:0") == "running", "it to run")
    assert len(project.processes()) == 4

    verb(project, "stop", "odd")

    project.wait_until(lambda: len(project.processes()) == 2, "its daemon to be gone")


def test_a_target_is_a_callable_that_hears_that_it_shall_stop(make: Make) -> None:
    config = '[processes.ticker]\ntarget = "app:tick"\nstart_seconds = 0.1\n'
    app = """
        import procqueue
        def tick():
            say("began")
            while not procqueue.stopping().wait(0.01):
                pass
            say("ended")
        """
    project = make(config, app, programs_only=True)
    project.start(ready=False)
    project.wait_said("began")

    assert project.stop() == 0

    assert project.said() == ["began", "ended"]


def test_copies_are_restarted_one_after_the_other_and_only_if_the_first_comes_back(make: Make) -> None:
    config = f"[processes.api]\ncount = 3\n{SLEEPER}"
    project = started(make, config)
    project.wait_until(lambda: program(project, "api")["ready"] == 3, "all")
    before = [one["pid"] for one in program(project, "api")["members"]]

    verb(project, "restart", "api", "--wait")

    after = [one["pid"] for one in program(project, "api")["members"]]
    assert not set(before) & set(after) and program(project, "api")["ready"] == 3
    edit(project.config, "-c", "--no-such-option")

    verb(project, "reload")

    project.wait_until(lambda: state(project, "api:0") in ("backing-off", "fatal"), "the first to fail")
    assert [one["pid"] for one in program(project, "api")["members"]][1:] == after[1:]


def test_s1_more_copies_than_start_quickly_do_not_end_the_master(make: Make) -> None:
    project = started(make, "[processes.many]\ncommand = ['sleep', '1000']\n")

    verb(project, "scale", "many=400")

    project.wait_until(lambda: program(project, "many")["ready"] == 400, "all of them", patience=90)
    verb(project, "scale", "many=0")
    project.wait_until(lambda: not program(project, "many")["members"], "all to leave", patience=90)


def test_a_reload_touches_only_the_program_that_changed(make: Make) -> None:
    project = started(make, f"[processes.api]\n{SLEEPER}[processes.clock]\n{SLEEPER}")
    project.wait_until(
        lambda: verb(project, "health", "--live") and project.run("health").returncode == 0, "all"
    )
    api, clock = member(project, "api:0")["pid"], member(project, "clock:0")["pid"]
    project.config.write_text(project.config.read_text() + 'env = {MODE = "new"}\n')

    assert "[processes.clock] changed: environment" in verb(project, "reload")

    project.wait_until(lambda: member(project, "clock:0")["pid"] not in (clock, None), "a fresh one")
    assert member(project, "api:0")["pid"] == api


def test_programs_run_beside_queues(make: Make) -> None:
    project = make(
        f"[processes.clock]\n{SLEEPER}[queues.q]\n", "@task(queue='q')\ndef work(): say('worked')\n"
    )
    project.start()
    project.wait_until(lambda: state(project, "clock:0") == "running", "the program")

    project.push("work")

    project.wait_said("worked")


def test_json_tells_of_every_copy(make: Make) -> None:
    project = started(make, f"[processes.clock]\nindex_start = 5\ncount = 2\n{SLEEPER}")
    project.wait_until(lambda: program(project, "clock")["ready"] == 2, "both")

    document = json.loads(verb(project, "status", "--json"))

    clock = document["processes"]["clock"]
    assert (clock["state"], clock["wanted"], clock["ready"], clock["by_hand"]) == ("running", 2, 2, None)
    assert [one["name"] for one in clock["members"]] == ["clock:5", "clock:6"]
    assert {"name", "pid", "state", "uptime", "rss", "restarts", "last_exit"} <= set(clock["members"][0])


def test_names_of_the_environment_are_its_own(make: Make, tmp_path: Path) -> None:
    out = tmp_path / "names"
    config = (
        "[processes.api]\nstart_seconds = 0.1\n"
        f"command = ['sh', '-c', 'echo $PROCQUEUE_NAME $PROCQUEUE_INDEX $MODE >> {out}; exec sleep 1000']\n"
        'env = {MODE = "${name}-${index}"}\ncount = 2\n'
    )
    project = started(make, config)

    project.wait_until(lambda: program(project, "api")["ready"] == 2, "both")

    assert sorted(out.read_text().split("\n")) == ["", "api:0 0 api-0", "api:1 1 api-1"]
