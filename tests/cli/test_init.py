# ruff: noqa: E501
"""`procqueue init`: what it writes runs as it stands, and nothing is ever overwritten."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from procqueue.cli.deployment import stop_seconds
from procqueue.config import load
from tests.cli.place import Place

CONF = "[supervisord]\n[program:web]\ncommand=sleep 1000\nstopwaitsecs=7\n[program:Off]\ncommand=a\nautostart=no\n"


@pytest.fixture
def empty(place: Place) -> Place:
    """A place without any file."""
    (place.folder / "procqueue.toml").unlink()
    (place.folder / "app.py").unlink()
    return place


def names_in(place: Place) -> set[str]:
    return {str(path.relative_to(place.folder)) for path in place.folder.rglob("*") if path.is_file()}


def test_a_beginning_runs_as_it_stands(empty: Place) -> None:
    ran = empty.run("init")

    assert (ran.code, ran.out) == (0, "written: etc/queues.toml\nwritten: app_tasks.py\n")
    assert empty.run("check", "--connect", "--import").code == 0
    empty.start()
    assert empty.run("push", "app_tasks.hello", "Ada").code == 0
    empty.wait_until(lambda: "hello, Ada" in (empty.folder / "output").read_text(), "the greeting")


@pytest.mark.parametrize("there", ["etc/queues.toml", "app_tasks.py", "procqueue.toml"])
def test_a_beginning_overwrites_nothing_and_then_writes_nothing(empty: Place, there: str) -> None:
    empty.write(there, "mine")

    ran = empty.run("init", "--json")

    assert (ran.code, ran.json["exists"]) == (1, [there])
    assert names_in(empty) == {there}
    assert (empty.folder / there).read_text() == "mine"


def test_even_a_dangling_link_is_not_written_through(empty: Place) -> None:
    (empty.folder / "app_tasks.py").symlink_to("elsewhere.py")

    assert empty.run("init").code == 1
    assert not (empty.folder / "elsewhere.py").exists()


def test_json_says_what_is_written(empty: Place) -> None:
    assert empty.run("init", "--json").json == {"v": 1, "written": ["etc/queues.toml", "app_tasks.py"]}


@pytest.mark.parametrize("kind", ["systemd", "docker", "compose", "k8s"])
def test_each_kind_is_written_once(place: Place, kind: str) -> None:
    before = names_in(place)
    ran = place.run("init", kind, "--json")
    written = ran.json["written"]

    assert ran.code == 0
    assert names_in(place) - before == set(written)
    again = place.run("init", kind)
    assert again.code == (1 if written else 0)
    assert "nothing is written" in again.err


def test_the_unit_gives_a_stop_the_time_that_it_may_take(place: Place) -> None:
    place.write(
        "procqueue.toml", "app = ['app']\n[queues.emails]\nhandle_timeout = '100s'\nkill_after = '20s'\n"
    )

    assert place.run("init", "systemd").code == 0

    unit = dict(line.split("=", 1) for line in (place.folder / "procqueue.service").read_text().splitlines()
                if "=" in line and not line.startswith("#"))  # fmt: skip
    assert int(unit["TimeoutStopSec"]) >= 120 + 10
    assert (unit["Type"], unit["KillMode"], unit["OOMPolicy"]) == ("notify-reload", "mixed", "continue")
    assert (unit["Delegate"], int(unit["WatchdogSec"]) > 0) == ("no", True)
    assert unit["ExecStart"].endswith(f"start -c {place.folder}/procqueue.toml")
    assert unit["WorkingDirectory"] == str(place.folder)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on the PATH")
def test_systemd_understands_the_unit_even_of_an_odd_directory(place: Place) -> None:
    folder = place.folder / 'odd %n $HOME "x"'
    place.write(f"{folder.name}/procqueue.toml", "[processes.x]\ncommand = 'sleep 1'\n")
    place.run("init", "systemd", cwd=folder)

    unit = folder / "procqueue.service"
    unit.write_text(unit.read_text().replace("notify-reload", "notify"))  # systemd before 253

    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    about = [line for line in ran.stderr.splitlines() if "procqueue.service" in line]
    assert [line for line in about if "Unknown" in line or "ignoring" in line.lower()] == []


def test_a_chain_of_programs_is_given_all_its_graces(tmp_path: Path) -> None:
    file = tmp_path / "procqueue.toml"
    file.write_text(
        "[processes.a]\ncommand='a'\ngrace='20s'\n[processes.b]\ncommand='b'\nafter=['a']\ngrace='30s'\n"
        "[processes.c]\ncommand='c'\ngrace='40s'\n"
    )

    assert stop_seconds(load(str(file), {})) == 55


def test_the_manifest_and_the_image_ask_health_and_wait_for_a_stop(place: Place) -> None:
    place.write(
        "procqueue.toml", "app = ['app']\n[driver]\nurl = 'redis://r/0'\n[queues.emails]\ngrace = '20s'\n"
    )
    for kind in ("docker", "compose", "k8s"):
        assert place.run("init", kind).code == 0

    image, compose, manifest = (
        (place.folder / name).read_text() for name in ("Dockerfile", "compose.yaml", "k8s.yaml")
    )
    assert re.search(r"terminationGracePeriodSeconds: 35$", manifest, re.M)
    assert "[procqueue, health, --live]" in manifest and "[procqueue, health, --ready]" in manifest
    assert "PersistentVolumeClaim" not in manifest and "preStop:" not in manifest
    assert "stop_grace_period: 35s" in compose
    assert "STOPSIGNAL SIGTERM" in image and 'CMD ["procqueue", "health"]' in image
    assert "PROCQUEUE_CONFIG=/app/procqueue.toml" in image
    assert (place.folder / ".dockerignore").read_text().splitlines()[-1] == "run"


def test_sqlite_has_one_pod_and_a_volume_that_stays(place: Place) -> None:
    assert place.run("init", "k8s").code == 0

    manifest = (place.folder / "k8s.yaml").read_text()
    assert "kind: PersistentVolumeClaim" in manifest and "type: Recreate" in manifest


def test_the_image_leaves_a_dockerignore_alone(place: Place) -> None:
    place.write(".dockerignore", "mine\n")

    assert place.run("init", "docker").code == 0
    assert (place.folder / ".dockerignore").read_text() == "mine\n"


@pytest.mark.parametrize("arguments", [("helm",), ("-o", "x"), ("--order",), ("systemd", "--from", "x")])
def test_what_cannot_be_meant_is_usage(place: Place, arguments: tuple[str, ...]) -> None:
    assert place.run("init", *arguments).code == 2


def test_a_supervisord_conf_is_translated_reported_and_runs(empty: Place) -> None:
    empty.write("supervisord.conf", CONF)

    ran = empty.run("init", "--from", "supervisord.conf")

    assert ran.code == 0
    assert "= supervisord.conf:4  [program:web] stopwaitsecs: grace" in ran.out
    assert "Off  is  off:0" in ran.out
    assert empty.run("check").code == 0
    empty.start()
    ready = lambda: empty.run("status", "--json").json["processes"]["web"]["ready"] == 1  # noqa: E731
    empty.wait_until(ready, "web to run")


def test_a_translation_goes_where_it_is_told_and_overwrites_nothing(empty: Place) -> None:
    file = empty.write("supervisord.conf", CONF)
    os.chmod(file, 0o640)

    ran = empty.run("init", "--from", "supervisord.conf", "-o", "new/x.toml", "--json")

    assert (ran.code, ran.json["written"]) == (0, ["new/x.toml"])
    assert ran.json["names"] == {"web": "web:0", "Off": "off:0"}
    assert ran.json["lines"][0].keys() == {"mark", "file", "line", "section", "key", "text"}
    assert (empty.folder / "new/x.toml").stat().st_mode & 0o777 & 0o027 == 0
    assert empty.run("init", "--from", "supervisord.conf", "-o", "new/x.toml").code == 1


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("command=a\n", 78, "supervisord.conf:1"), ("[program:x]\nautostart=x\ncommand=a\n", 78, ":2: [program:x]"),
        ("[supervisord]\n", 1, "no program"), (None, 78, "no such file"),
    ],
)  # fmt: skip
def test_what_cannot_be_translated_writes_nothing(
    empty: Place, text: str | None, code: int, said: str
) -> None:
    if text is not None:
        empty.write("supervisord.conf", text)
    before = names_in(empty)

    ran = empty.run("init", "--from", "supervisord.conf")

    assert (ran.code, said in ran.err, "Traceback" in ran.err) == (code, True, False)
    assert names_in(empty) == before


def test_a_variable_that_start_will_miss_is_said_at_once(empty: Place) -> None:
    empty.write("supervisord.conf", "[program:x]\ncommand=a %(ENV_PQ_NONE)s\n")

    ran = empty.run("init", "--from", "supervisord.conf")

    assert ran.code == 78
    assert "PQ_NONE" in ran.err and "written, but" in ran.err
    assert empty.run("check", PQ_NONE="b").code == 0
