"""The lock of a state directory: one holder, known by its pid, never kept by its children."""

import os
from pathlib import Path

import pytest

from procqueue.process import lock
from tests.process.actors import actor

HOLDER = """
import os, sys
from procqueue.process import lock

fd = lock.take(sys.argv[1])
child = os.fork() if "fork" in sys.argv else 0
if child == 0 and "fork" in sys.argv:
    print(os.getpid(), flush=True)
    sys.stdin.readline()
    os._exit(0)
if "exec" in sys.argv:
    os.execvp("cat", ["cat"])
if "fork" not in sys.argv:
    print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "master.lock")


def test_a_second_one_is_refused_and_told_who_holds_it(path: str) -> None:
    with actor(HOLDER, path) as holder:
        assert holder.line() == "held"

        with pytest.raises(lock.Occupied, match=str(holder.pid)) as refused:
            lock.take(path)

        assert refused.value.pid == holder.pid and lock.holder(path) == holder.pid
        assert os.stat(path).st_mode & 0o777 == 0o600


def test_a_refused_one_holds_no_descriptor(path: str) -> None:
    with actor(HOLDER, path) as holder:
        holder.line()
        before = sorted(os.listdir("/proc/self/fd"))

        with pytest.raises(lock.Occupied):
            lock.take(path)
        lock.holder(path)

        assert sorted(os.listdir("/proc/self/fd")) == before


def test_what_a_killed_holder_left_behind_is_free(path: str) -> None:
    with actor(HOLDER, path) as holder:
        holder.line()
        holder.kill()

        assert lock.holder(path) is None
        os.close(lock.take(path))


def test_s8_a_killed_holders_child_does_not_keep_it(path: str) -> None:
    with actor(HOLDER, path, "fork") as holder:
        child = int(holder.line())
        holder.kill()

        assert os.path.exists(f"/proc/{child}")
        assert lock.holder(path) is None
        os.close(lock.take(path))
        holder.tell("go")


def test_it_does_not_outlive_an_exec(path: str) -> None:
    with actor(HOLDER, path, "exec") as holder:
        holder.tell("through cat")
        assert holder.line() == "through cat"

        os.close(lock.take(path))


def test_a_lock_that_nobody_made_is_held_by_nobody(path: str) -> None:
    assert lock.holder(path) is None
    assert not os.path.exists(path)


def test_a_symbolic_link_in_its_place_is_not_followed(path: str, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    os.symlink(tmp_path / "victim", path)

    with pytest.raises(OSError, match="symbolic links"):
        lock.take(path)
    assert lock.holder(path) is None
