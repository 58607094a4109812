"""Consumers that are another user than the master, which is root: what they may, and that the laws hold."""

from __future__ import annotations

import grp
import json
import os
import pwd
import signal
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from procqueue.core.message import State
from tests.live.harness import Project, edit, project, settled, verb
from tests.servers import Server, start_server

APP = """
@task(queue="q")
def who():
    say(f"who {os.getuid()} {os.getgid()} {sorted(os.getgroups())} {os.environ['HOME']} {os.environ['USER']}")

@task(queue="q")
def long(n):
    say(f"began {n} {os.getpid()}")
    wait_for("go")
    say(f"ended {n} {os.getpid()}")

@task(queue="q")
def pry():
    run = os.path.join(os.path.dirname(os.environ["TRAIL"]), "run")
    mine = [f for f in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{f}")
            and os.readlink(f"/proc/self/fd/{f}").endswith(".board")]
    board = os.readlink(f"/proc/self/fd/{mine[0]}")
    for what in (lambda: os.listdir(run), lambda: os.listdir(run + "/boards"), lambda: open(board, "r+b"),
                 lambda: os.unlink(board), lambda: os.open(f"/proc/self/fd/{mine[0]}", os.O_RDWR),
                 lambda: open(run + "/host"), lambda: open(run + "/control.sock.x", "w")):
        try:
            what()
            say("pried: open")
        except PermissionError:
            say("pried: closed")
"""

ASKS = """
import os, sys
from procqueue.process.ask import NoMaster, ask
os.setgroups([int(group) for group in sys.argv[2:]])
os.setgid(65534)
os.setuid(65534)
try:
    print(ask(sys.argv[1], "health")["ready"])
except NoMaster as error:
    print("may not be asked" if "may not be asked" in str(error) else error)
"""

QUEUE = '[queues.q]\nprocesses = 2\nuser = "nobody"\n{more}\n'


#: Python, its packages and the code, which may all lie in a closed home, where nobody can read them.
_PLACES = (sys.base_prefix, site.getsitepackages()[0], str(Path(__file__).parent.parent.parent))
_MOUNT = 'mount --bind "{}" "$0/{}" && '


def _in_open_places(open_folder: Path) -> list[str]:
    """Return a command that runs Python with them mounted in a folder of which all may read everything."""
    for number in range(len(_PLACES)):
        (open_folder / str(number)).mkdir(parents=True)
    mounts = "".join(_MOUNT.format(place, number) for number, place in enumerate(_PLACES))
    python = f"$0/0/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    return ["unshare", "-m", "sh", "-c", f'{mounts}shift && exec {python} "$@"', str(open_folder)]


def _can_mount() -> bool:
    return (
        not os.geteuid() and not subprocess.run(["unshare", "-m", "mount", "--bind", "/", "/mnt"]).returncode
    )


pytestmark = pytest.mark.skipif(not _can_mount(), reason="needs to become another user, and to mount")


@pytest.fixture
def open_server() -> Iterator[Server]:
    """A Redis that every user may ask."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        server = start_server(Path(folder))
        os.chmod(server.socket, 0o777)
        yield server
        server.stop()


@pytest.fixture(params=["redis", "sqlite"])
def made(request: pytest.FixtureRequest) -> Iterator[Project]:
    """A project that other users may read, with a queue of nobody."""
    url = None
    if request.param == "redis":
        server = request.getfixturevalue("open_server")
        url = server.url
    group = grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name
    shared = "" if url else f'[driver]\ngroup = "{group}"\nmode = "0660"\n'
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        with project(Path(folder), shared + QUEUE.format(more=""), APP, url) as one:
            let_all_run(one)
            yield one


def let_all_run(one: Project) -> None:
    """Have the master run with a Python and code that its consumers may read, too."""
    os.chmod(one.trail, 0o666)
    one.wrapper = _in_open_places(one.folder / "open")
    one.variables["PYTHONPATH"] = f"{one.folder}/open/2:{one.folder}/open/1"


def replaced(one: Project, *words: str) -> None:
    """Run a verb that replaces all consumers, and wait until that is done."""
    before = set(one.pids("q"))
    verb(one, *words)
    one.wait_until(lambda: settled(one) and not before & set(one.pids("q")), "others to be ready")


def test_s8_a_consumer_of_another_user_lives_dies_and_is_reclaimed_like_any(made: Project) -> None:
    nobody = pwd.getpwnam("nobody")
    groups = sorted(os.getgrouplist("nobody", nobody.pw_gid))
    me = f"who {nobody.pw_uid} {nobody.pw_gid} {groups} {nobody.pw_dir} nobody"
    made.start()
    made.push("who")
    made.wait_said(me)

    made.push("long", 1)
    made.wait_until(lambda: any(line.startswith("began 1") for line in made.said()), "the run to begin")
    first = int(made.said()[-1].split()[2])
    assert os.stat(f"/proc/{first}").st_uid in (0, nobody.pw_uid)
    os.kill(first, signal.SIGKILL)
    made.wait_until(lambda: sum(line.startswith("began 1") for line in made.said()) == 2, "the run to repeat")
    (stored,) = made.driver.messages("q", State.RESERVED, 0, 10)
    assert stored.counters.crashes == 1
    assert first not in made.pids("q")

    (made.folder / "go").touch()
    made.wait_empty()
    replaced(made, "restart", "q")
    made.push("who")
    made.wait_said(me, 2)

    edit(made.folder / "app.py", "who {os", "new {os")
    replaced(made, "reload")
    made.push("who")
    made.wait_said(me.replace("who", "new"))

    text = verb(made, "stacks", "q", "--json")
    assert [one["why"] for one in json.loads(text)["stacks"]] == ["", ""]


def test_s8_it_outlives_its_master_and_the_next_one_knows_it(made: Project) -> None:
    made.start()
    made.push("long", 1)
    made.push("long", 2)
    made.wait_until(lambda: sum("began" in line for line in made.said()) == 2, "two runs")
    old = made.pids("q")
    made.kill_master()
    made.start()
    os.kill(old[0], signal.SIGKILL)
    made.wait_until(lambda: sum("began" in line for line in made.said()) == 3, "one to be begun again")
    (made.folder / "go").touch()
    made.wait_empty()

    made.wait_until(lambda: not set(old) & set(made.processes()), "all of the old to be gone")
    assert sorted(line.split()[1] for line in made.said() if "ended" in line) == ["1", "2"]


def test_s7_it_may_open_nothing_of_the_state_directory_by_its_name(made: Project) -> None:
    made.start()

    made.push("pry")
    made.wait_empty()

    assert [line for line in made.said() if "pried" in line] == ["pried: closed"] * 7
    assert os.stat(made.folder / "run").st_mode & 0o777 == 0o711
    for path in (made.folder / "run").iterdir():
        if path.name != "db":
            assert path.stat().st_mode & 0o077 == 0, path


def test_a_member_of_the_sockets_group_may_ask(made: Project) -> None:
    with open(made.config, "a") as config:
        config.write('[master]\nsocket_group = "daemon"\nsocket_mode = "0660"\n')
    made.start()
    words = [*made.wrapper, "python", "-c", ASKS, str(made.folder / "run")]
    asked = {
        groups: subprocess.run([*words, *map(str, groups)], capture_output=True, text=True, check=False,
                               env=made.environment()).stdout.strip()
        for groups in ((1,), (2,))
    }  # fmt: skip

    assert asked == {(1,): "True", (2,): "may not be asked"}


def test_a_master_that_may_not_become_the_user_says_so_once_with_key_and_line(made: Project) -> None:
    os.chown(made.folder, 2, 2)
    for path in made.folder.iterdir():
        os.chown(path, 2, 2)
    made.wrapper[-2] = made.wrapper[-2].replace("exec ", "exec setpriv --reuid 2 --regid 2 --clear-groups ")
    made.start(ready=False)

    made.wait_until(lambda: made.problems(), "the problem")

    (problem,) = made.problems()
    assert "not permitted to a master that runs as uid 2" in problem["text"]
    assert f"{made.config}:" in problem["text"] and "queues.q.user" in problem["text"]
