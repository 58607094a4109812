# ruff: noqa: E501
"""Thirty programs as they are found in the wild (kit/): translated, started, and seen as Supervisor sees them.

The comparison needs a supervisord: PROCQUEUE_TEST_SUPERVISORD or the PATH. It is never a dependency. Without
one that test is skipped, and the others compare with what Supervisor 4.3.0 has shown.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from procqueue.process.ask import NoMaster, ask
from tests.cli.place import Place

KIT = Path(__file__).parent / "kit"
GIVEN = {"KIT_PYTHON": sys.executable, "KIT_TAG": "tag"}
SUPERVISORD = os.environ.get("PROCQUEUE_TEST_SUPERVISORD") or shutil.which("supervisord")
NOT_FOUND = "no supervisord: set PROCQUEUE_TEST_SUPERVISORD to one in an environment of its own"

#: What supervisorctl calls our states.
THEIRS = {
    "running": "RUNNING", "starting": "STARTING", "backing-off": "BACKOFF", "exited": "EXITED", "fatal": "FATAL",
    "stopped": "STOPPED", "stopping": "STOPPING",
}  # fmt: skip

#: As supervisord 4.3.0 shows them; all others are RUNNING.
SHOWN = {
    "Broken-One": "FATAL", "not_there": "FATAL", "by_hand": "STOPPED", "once": "EXITED", "migrate": "EXITED",
}  # fmt: skip


@pytest.fixture
def kit(place: Place) -> Iterator[Place]:
    """The kit in a directory of its own; programs of it that are left over are found by the tag."""
    (place.folder / "procqueue.toml").unlink()
    shutil.copytree(KIT, place.folder, dirs_exist_ok=True)
    for name in ("log", "run"):
        (place.folder / name).mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in GIVEN.items():
            patch.setenv(name, value)
        yield place


def translated(kit: Place) -> dict[str, str]:
    """Translate; return what supervisorctl calls each of our copies."""
    ran = kit.run("init", "--from", "supervisord.conf", "--json")
    assert ran.code == 0, ran.err
    names: dict[str, str] = ran.json["names"]
    return {ours: theirs for theirs, ours in names.items()}


def states(kit: Place, theirs: dict[str, str]) -> dict[str, str]:
    """What our status shows, in Supervisor's words."""
    try:
        programs = ask(str(kit.folder / "run"), "status")["processes"]
    except (NoMaster, TimeoutError):
        return {}
    members = [member for one in programs.values() for member in one["members"]]
    return {theirs[member["name"]]: THEIRS[member["state"]] for member in members}


def started(kit: Place) -> dict[str, str]:
    """Start what was translated; return the states once nothing is on its way any more."""
    theirs = translated(kit)
    kit.begin("start")
    kit.wait_until(lambda: _settled(states(kit, theirs)), "all of the kit")
    return states(kit, theirs)


def _settled(shown: dict[str, str]) -> bool:
    return bool(shown) and not {"STARTING", "BACKOFF", "STOPPING"} & set(shown.values())


def test_thirty_programs_are_what_they_were(kit: Place) -> None:
    shown = started(kit)

    assert shown == {name: SHOWN.get(name, "RUNNING") for name in shown}
    assert len(shown) == 33
    assert SHOWN.keys() <= shown.keys()
    told = {path.stem: _told(path) for path in (kit.folder / "log").glob("*_*.log")}
    assert told["with_env"]["arguments"] == ["tag", "blue"]
    assert told["with_env"]["env"] == {
        "STAGE": "kit", "SHARED": "a,b", "COLOUR": "blue", "NUMBER": "7", "PATHS": "/a:/b",
    }  # fmt: skip
    assert [told[f"numbered_{n}"]["arguments"] for n in range(3)] == [[str(n), "of", "3"] for n in range(3)]
    assert [told[f"padded_{n}"]["arguments"] for n in ("09", "10")] == [["port-8009"], ["port-8010"]]


def _told(path: Path) -> dict[str, object]:
    line = path.read_text().splitlines()[0]
    found: dict[str, object] = json.loads(line[line.index("{") :])
    return found


@pytest.mark.skipif(SUPERVISORD is None, reason=NOT_FOUND)
def test_status_shows_what_a_real_supervisord_shows(kit: Place) -> None:
    ours = started(kit)
    kit.run("stop")

    theirs = _of_supervisord(kit, ours)

    theirs.pop("memory")  # the listener, which is none of the programs
    assert ours == theirs


def _of_supervisord(kit: Place, ours: dict[str, str]) -> dict[str, str]:
    assert SUPERVISORD is not None
    control = [str(Path(SUPERVISORD).with_name("supervisorctl")), "-c", "supervisord.conf", "status"]
    environ = {name: text for name, text in kit.environment().items() if name != "PYTHONPATH"}
    with (kit.folder / "output").open("ab") as output:
        process = subprocess.Popen(
            [SUPERVISORD, "-n", "-c", "supervisord.conf"], cwd=kit.folder, env=environ, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    shown: dict[str, str] = {}

    def look() -> bool:
        ran = subprocess.run(
            control, cwd=kit.folder, env=environ, capture_output=True, text=True, check=False
        )
        shown.clear()
        shown.update(line.split()[:2] for line in ran.stdout.splitlines() if len(line.split()) > 1)
        return len(shown) > len(ours) and _settled(shown)

    try:
        kit.wait_until(look, "supervisord to have started all")
    finally:
        process.terminate()
        process.wait(30)
    return shown
