"""What a database's group may do, and that it cannot make root give anything away."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from procqueue.core.errors import DriverError
from procqueue.core.settings.model import DriverSettings
from procqueue.drivers.opening import open_driver
from procqueue.drivers.sqlite.driver import SqliteDriver

GROUP = 4242

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs to give files to a group")

MEMBER = """
import os, sys
from procqueue.core import wire
from procqueue.drivers.contract import Entry
from procqueue.drivers.sqlite.driver import SqliteDriver
import procqueue.drivers.lanes, importlib.resources, sqlite3, urllib.parse, grp
importlib.resources.files("procqueue.drivers.sqlite").joinpath("schema.sql").read_text()
path, *groups = sys.argv[1:]
os.chdir(os.path.dirname(path))  # what is above it may be closed
os.setgroups([int(group) for group in groups])
os.setgid(65534)
os.setuid(65534)
os.umask(0o077)
driver = SqliteDriver("queue.db", mode=0o660, group="4242")
driver.register("late", "c", "h")
print(driver.push("q", [Entry("one", wire.encode("app.task", [], {}, id="one"))]))
driver.close()
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A directory that all users may pass."""
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o755)
        yield Path(made)


def shape(path: Path) -> tuple[str, int]:
    found = path.stat()
    return oct(stat.S_IMODE(found.st_mode)), found.st_gid


def member(path: Path, *groups: int) -> subprocess.CompletedProcess[str]:
    """Open the database as another user, of these groups, and push."""
    words = [sys.executable, "-c", MEMBER, str(path), *map(str, groups)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_all_files_get_mode_and_group_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        path = tmp_path / "run/db/queue.db"
        driver = open_driver(DriverSettings(f"sqlite:///{path}", mode=0o660, group=str(GROUP)))
        driver.register("q", "c", "h")
        found = {one.name: shape(one) for one in path.parent.iterdir()}
        driver.close()
    finally:
        os.umask(before)

    names = ("queue.db", "queue.db-wal", "queue.db-shm", "queue.db.gate", "q.wake")
    assert found == dict.fromkeys(names, ("0o660", GROUP))
    assert shape(path.parent) == ("0o2770", GROUP)
    assert shape(path.parent.parent)[0] == "0o711"


def test_a_member_works_with_it_and_what_he_makes_is_the_groups_too(open_folder: Path) -> None:
    path = open_folder / "db/queue.db"
    driver = SqliteDriver(str(path), mode=0o660, group=str(GROUP))

    inside, outside = member(path, GROUP), member(path)

    assert inside.returncode == 0, inside.stderr
    assert "Permission denied" in outside.stderr
    assert driver.counts("q").waiting == 1
    assert shape(path.parent / "late.wake") == ("0o660", GROUP)
    driver.close()


def test_what_is_there_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "db/queue.db"
    SqliteDriver(str(path)).close()

    SqliteDriver(str(path), mode=0o660, group=str(GROUP)).close()

    assert shape(path.parent) == ("0o700", os.getegid())
    assert shape(path) == ("0o600", os.getegid())


@pytest.mark.parametrize("name", ["queue.db", "queue.db.gate", "q.wake"])
@pytest.mark.parametrize("exists", [True, False])
def test_no_link_in_the_place_of_a_file_is_followed(tmp_path: Path, name: str, exists: bool) -> None:
    folder, secret = tmp_path / "db", tmp_path / "secret"
    SqliteDriver(str(folder / "queue.db"), mode=0o660, group=str(GROUP)).close()
    if exists:
        secret.write_text("of root alone")
        secret.chmod(0o600)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(secret)

    with pytest.raises(DriverError):
        driver = SqliteDriver(str(folder / "queue.db"), mode=0o660, group=str(GROUP))
        try:
            driver.register("q", "c", "h")
            driver.wait(["q"], 0, ())
        finally:
            driver.close()

    assert secret.exists() is exists
    if exists:
        assert shape(secret) == ("0o600", os.getegid())
        assert secret.read_text() == "of root alone"


def test_a_group_that_does_not_exist_is_named_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match=r"\[driver\] group 'no-such-group': no such group"):
        SqliteDriver(str(tmp_path / "db/queue.db"), group="no-such-group")
