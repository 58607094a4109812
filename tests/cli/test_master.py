"""`start`, `status`, `stop`: with a real master."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.cli.place import PATIENCE, Place


def test_start_status_stop(place: Place) -> None:
    master = place.start()

    document = place.run("status", "--json").json
    assert document["v"] == 1
    assert document["master"]["pid"] == master.pid
    assert document["queues"]["emails"]["state"] == "ok"
    assert [one["name"] for one in document["queues"]["emails"]["consumers"]] == ["emails:0"]

    stopped = place.run("stop", "--json")
    assert stopped.code == 0
    assert stopped.json == {"v": 1, "stopped": ["emails", "images"], "killed": []}
    assert master.wait(PATIENCE) == 0


def test_status_is_readable_in_80_columns_and_has_no_colours_in_a_pipe(place: Place) -> None:
    place.start()
    place.run("push", "app.until_told", "--queue", "images")
    place.wait_until(place.has_begun, "the task to begin")

    ran = place.run("status")

    assert ran.code == 0
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "\x1b" not in ran.out
    assert "app.until_told" in ran.out and "busy" in ran.out


def test_status_shows_only_what_is_named(place: Place) -> None:
    with (place.folder / "procqueue.toml").open("a") as file:
        file.write(
            '[processes.clock]\ncommand = "sleep 1000"\ncount = 2\n[groups]\nweb = ["images", "clock"]\n'
        )
        file.write('[processes.off]\ncommand = "sleep 1000"\nenabled = false\n')
    place.start()

    ran = place.run("status", "images", "--json")
    assert list(ran.json["queues"]) == ["images"]
    for pattern in ("image?", "web:*", "all"):
        assert "images" in place.run("status", pattern, "--json").json["queues"]
    program = place.run("status", "clock:1", "--json").json
    assert (list(program["queues"]), list(program["processes"])) == ([], ["clock"])
    assert [one["name"] for one in program["processes"]["clock"]["members"]] == ["clock:1"]
    assert list(place.run("status", "off", "--json").json["processes"]) == ["off"]
    unknown = place.run("status", "imges")
    assert unknown.code == 2 and 'did you mean "images"?' in unknown.err


def test_without_a_master_status_and_stop_are_3(place: Place) -> None:
    for verb in ("status", "stop"):
        ran = place.run(verb, "--json")
        assert ran.code == 3
        assert ran.json["error"]["code"] == 3
        assert "no master is running" in ran.err


def test_a_second_start_is_6_and_names_the_first(place: Place) -> None:
    master = place.start()

    ran = place.run("start", "--json")

    assert ran.code == 6
    assert str(master.pid) in ran.json["error"]["message"]


def test_what_is_broken_makes_status_4_and_says_where(place: Place) -> None:
    place.write("app.py", "import there_is_no_such_module\n")
    place.begin("start")
    place.wait_until(lambda: "there_is_no_such_module" in place.run("status").out, "the problem")

    ran = place.run("status")

    assert ran.code == 4
    assert "app.py:1" in ran.out and "problems" in ran.out


def test_a_broken_file_is_only_a_warning_for_status_and_stop(place: Place) -> None:
    place.start()
    place.write("procqueue.toml", "app = ['app']\n[queues.emails]\nproceses = \n")

    status = place.run("status", "--json")
    assert status.code in (0, 4)
    assert status.json["master"]["file_newer"] is True
    assert "warning: procqueue.toml:3" in status.err
    assert place.run("start").code == 78
    assert place.run("stop").code == 0


def test_the_state_dir_is_enough(place: Place) -> None:
    place.start()
    (place.folder / "procqueue.toml").unlink()
    state_dir = str(place.folder / "run")

    assert place.run("--state-dir", state_dir, "status").code == 0
    assert place.run("status", PROCQUEUE_STATE_DIR=state_dir).code == 0
    assert place.run("stop", "--state-dir", state_dir).code == 0


def test_start_runs_under_the_state_dir_that_is_asked_for(place: Place) -> None:
    place.begin("start", "--state-dir", "elsewhere")

    place.wait_until(lambda: place.is_ready("elsewhere"), "it to be ready")
    assert place.run("status", "--state-dir", "elsewhere").code == 0
    assert place.run("status").code == 3
    assert place.run("stop", "--state-dir", "elsewhere").code == 0


def test_only_some_queues_are_started(place: Place) -> None:
    place.start("--only", "images")

    queues = place.run("status", "--json").json["queues"]
    assert (queues["images"]["state"], queues["emails"]["state"]) == ("ok", "stopped")
    assert place.run("start", "--only", "imges").code == 2


def test_stop_says_what_it_waits_for(place: Place) -> None:
    place.start()
    place.run("push", "app.until_told", "--queue", "images")
    place.wait_until(place.has_begun, "the task to begin")
    stop = subprocess.Popen(
        [sys.executable, "-u", "-m", "procqueue", "stop"], cwd=place.folder, env=place.environment(),
        stderr=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert stop.stderr is not None
    hint = stop.stderr.readline() + stop.stderr.readline()
    place.let_go()
    out, _ = stop.communicate(timeout=PATIENCE)

    assert b"1 process" in hint and b"app.until_told" in hint
    assert stop.returncode == 0 and b"stopped: emails, images" in out
    assert place.counts("images") == {}


def test_stop_now_kills_and_loses_nothing(place: Place) -> None:
    place.start()
    place.run("push", "app.until_told", "--queue", "images")
    place.wait_until(place.has_begun, "the task to begin")

    ran = place.run("stop", "--now", "--json")

    assert ran.code == 0
    assert "images:0" in ran.json["killed"]
    assert place.counts("images") == {"waiting": 1}


def test_after_stop_a_start_succeeds_at_once(place: Place) -> None:
    for _ in range(3):
        place.start()
        assert place.run("stop").code == 0


def test_a_signal_stops_it_with_0(place: Place) -> None:
    master = place.start()

    master.send_signal(signal.SIGTERM)

    assert master.wait(PATIENCE) == 0


def test_a_master_that_does_not_answer_is_5(place: Place) -> None:
    master = place.start()
    master.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        ran = place.run("status")
    finally:
        master.send_signal(signal.SIGCONT)

    assert ran.code == 5
    assert time.monotonic() - began < PATIENCE


def test_status_and_stop_import_nothing_heavy(place: Place) -> None:
    place.start()
    heavy = {
        "msgspec", "redis", "sqlite3", "psutil", "rich", "asyncio", "ctypes", "watchfiles", "subprocess",
        "procqueue.producer", "procqueue.process.master",
    }  # fmt: skip
    code = (
        "import sys\nfrom procqueue.cli.main import run\ncode = run(sys.argv[1:])\n"
        f"sys.stderr.write(','.join(sorted({heavy!r} & set(sys.modules))))\nsys.exit(code)"
    )
    for verb in ("status", "stop"):
        ran = subprocess.run(
            [sys.executable, "-c", code, verb], cwd=place.folder, env=place.environment(),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (ran.returncode, ran.stderr) == (0, "")


def test_what_probes_ask_imports_no_parser(place: Place) -> None:
    place.start()
    code = (
        "import sys\nfrom procqueue.cli.main import run\ncode = run(sys.argv[1:])\n"
        "heavy = {'click', 'typing', 'inspect', 'dataclasses', 'tomli', 'procqueue.config'}\n"
        "sys.stderr.write(','.join(sorted(heavy & set(sys.modules))))\nsys.exit(code)"
    )
    for verb in ("status", "health"):
        ran = subprocess.run(
            [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}", verb],
            cwd=place.folder, env=place.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(
    "line",
    [
        ["status"], ["status", "emails"], ["--json", "status", "emails", "images"], ["status", "nowhere"],
        ["status", "--json", "nowhere"], ["-c", "procqueue.toml", "status"],
        ["status", "--config", "none.toml"], ["status", "--state-dir", "elsewhere"], ["health"],
        ["health", "--live", "--json"],
        ["--state-dir", "run", "health", "--ready"], ["health", "--ready", "--live"],
    ],
)  # fmt: skip
def test_the_quick_way_answers_as_the_long_one(place: Place, line: list[str]) -> None:
    place.start()
    code = (
        "import sys, time\nfrom procqueue.cli import quick\nfrom procqueue.cli.main import run\n"
        "if sys.argv[1] == 'long': quick.run = lambda _: None\nsys.exit(run(sys.argv[2:]))"
    )

    def way(which: str) -> tuple[int, str, str]:
        ran = subprocess.run(
            [sys.executable, "-c", code, which, *line], cwd=place.folder, env=place.environment(),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        moving = r'(up |"uptime": |"rss": |"counts_at": |"since": )[^ ,}]+|[0-9.]+(ms|s|MiB)\b'
        return ran.returncode, " ".join(re.sub(moving, "", ran.stdout).split()), ran.stderr

    assert way("quick") == way("long")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_who_may_not_look_is_77(place: Place) -> None:
    place.start()
    (place.folder / "run").chmod(0o700)
    state_dir = os.open(place.folder / "run", os.O_PATH)
    code = (
        "import os, sys, procqueue.cli.failures\nfrom procqueue.cli.main import run\n"
        "assert run(['status']) == 0\n"  # imports all it needs: the other user may not even read Python
        "os.setgid(65534); os.setuid(65534)\n"
        f"sys.exit(run(['status', '--state-dir', '/proc/self/fd/{state_dir}']))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=place.folder, env=place.environment(), pass_fds=[state_dir],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    os.close(state_dir)

    assert ran.returncode == 77
    assert "Permission denied" in ran.stderr
