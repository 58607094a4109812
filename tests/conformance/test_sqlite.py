"""What only the SQLite driver can get wrong: its gate, its files, forks, and the locks that POSIX drops."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from procqueue.core.errors import DriverError, DriverUnavailable, Full
from procqueue.core.message import State
from procqueue.drivers.contract import Entry, Lane, Pushed
from procqueue.drivers.sqlite import rows
from procqueue.drivers.sqlite.driver import SqliteDriver
from procqueue.drivers.sqlite.gate import Gate
from tests.conformance import playing
from tests.conformance.playing import consumer, ids_of, push, take
from tests.conformance.stores import QUEUE, SqliteStore

ROOT = Path(__file__).parents[2]

CONNECT_AND_CLOSE = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("SELECT count(*) FROM messages").fetchall()
db.close()
"""

OPEN_AND_CLOSE = """
import sys
from procqueue.drivers.sqlite.driver import SqliteDriver
driver = SqliteDriver(sys.argv[1])
print(driver.counts("emails").waiting)
driver.close()
"""

FORK = """
import os, sys
from procqueue.core.errors import DriverError
from procqueue.drivers.contract import Entry
from procqueue.drivers.sqlite.driver import SqliteDriver

driver = SqliteDriver(sys.argv[1])
driver.register("emails", "c", "h")
driver.push("emails", [Entry("before", b"")])
child = os.fork()
if child == 0:
    left = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    print("kept", sum(name.endswith((".gate", ".wake")) for name in left), flush=True)
    try:
        driver.push("emails", [Entry("child", b"")])
    except DriverError as error:
        print("refused", "fork" in str(error), flush=True)
    driver.close()
    del driver
    sys.exit(0)  # an orderly end: whatever would close the connection does so here
os.waitpid(child, 0)
driver.push("emails", [Entry("after", b"")])
print(driver.counts("emails").waiting, flush=True)
"""


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    store = SqliteStore()
    yield store
    store.close()


@pytest.fixture
def gate(store: SqliteStore) -> Iterator[Gate]:
    """The gate of the store, as another process would hold it."""
    store.open()
    gate = Gate(f"{store.path}.gate", 0o600, 0.01)
    yield gate
    gate.close()


def test_a_handler_that_opens_and_closes_the_file_loses_no_answered_push(store: SqliteStore) -> None:
    driver = store.open()
    push(driver, "before")

    for name in (store.path, f"{store.path}-wal"):
        Path(name).read_bytes()  # this process has no POSIX lock of the file any more
    _python(CONNECT_AND_CLOSE, store.path)  # the last one, as it believes

    push(driver, "after")
    assert _python(OPEN_AND_CLOSE, store.path) == "2"
    assert ids_of(driver, State.WAITING) == ["before", "after"]


def test_the_last_to_close_tidies_up(store: SqliteStore) -> None:
    one, other = store.open(), store.open()
    push(one, "m")

    one.close()
    assert Path(f"{store.path}-wal").exists()
    other.close()

    assert not Path(f"{store.path}-wal").exists()
    assert ids_of(store.open(), State.WAITING) == ["m"]


@pytest.mark.parametrize("lost", ["", "-wal"])
def test_files_that_were_removed_are_noticed_before_anything_is_answered(
    store: SqliteStore, lost: str
) -> None:
    driver = store.open()
    push(driver, "m")

    Path(f"{store.path}{lost}").unlink()

    with pytest.raises(DriverError, match="deleted or replaced"):
        push(driver, "n")
    with pytest.raises(DriverError, match="deleted or replaced"):
        driver.counts(QUEUE)


def test_a_forked_child_keeps_no_gate_and_cannot_use_or_harm_the_connection(store: SqliteStore) -> None:
    said = _python(FORK, store.path).splitlines()

    assert said == ["kept 0", "refused True", "2"]
    assert ids_of(store.open(), State.WAITING) == ["before", "after"]


def test_an_idle_turn_does_not_wait_for_the_gate(store: SqliteStore, gate: Gate) -> None:
    keeper = SqliteDriver(store.path, timeout=0.05, keeper=True)
    who = consumer(keeper)
    push(keeper, "m")
    (held,) = take(keeper, who)

    with gate:
        assert keeper.turn(QUEUE, who, (), 5).owned == 1
        with pytest.raises(DriverUnavailable, match=str(os.getpid())):
            keeper.turn(QUEUE, who, playing.verdicts([held]), 5)

    assert playing.settle(keeper, who, [held]) == ()
    keeper.close()


def test_the_gate_is_free_again_when_its_holder_is_killed(store: SqliteStore, gate: Gate) -> None:
    holding = "import sys, time; from procqueue.drivers.sqlite.gate import Gate\n"
    holding += "with Gate(sys.argv[1], 0o600): print('held', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", holding, f"{store.path}.gate"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        assert gate.holder() == holder.pid
        with pytest.raises(DriverUnavailable, match=str(holder.pid)):
            gate.__enter__()
        holder.kill()

    push(store.open(), "m")


def test_a_transaction_that_is_interrupted_leaves_nothing(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = store.open()
    put = rows.put

    def interrupted(db, numbers, entry, now_ms):  # type: ignore[no-untyped-def]
        if entry.id == "b":
            raise KeyboardInterrupt
        return put(db, numbers, entry, now_ms)

    monkeypatch.setattr(rows, "put", interrupted)
    with pytest.raises(KeyboardInterrupt):
        push(driver, "a", "b")
    push(store.open(), "c")

    assert ids_of(driver, State.WAITING) == ["c"]


def test_a_foreign_writer_makes_the_store_unavailable_for_a_while(store: SqliteStore) -> None:
    driver = SqliteDriver(store.path, timeout=0.05)
    foreign = sqlite3.connect(store.path, isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")

    with pytest.raises(DriverUnavailable, match="locked"):
        push(driver, "m")
    foreign.close()

    push(driver, "m")
    driver.close()


def test_a_full_disk_refuses_pushes_and_still_lets_consumers_settle(store: SqliteStore) -> None:
    driver = SqliteDriver(store.path)
    push(driver, "m")
    who = consumer(driver)
    (pages,) = driver._link._db.execute("PRAGMA page_count").fetchone()  # type: ignore[union-attr]
    driver._link._db.execute(f"PRAGMA max_page_count = {pages}")  # type: ignore[union-attr]

    with pytest.raises(Full):
        driver.push(QUEUE, [Entry("small", b""), Entry("large", b"x" * 100_000)])
    with pytest.raises(Full):
        driver.push(QUEUE, [Entry("large", b"x" * 100_000)], Lane("s", 1))
    assert driver.push(QUEUE, [Entry("m", b"")], Lane("s", 1)) == [Pushed.DUPLICATE]  # keeps its number

    assert playing.drain(driver, who) == ["m"]
    driver.close()


def test_d10_what_had_its_time_leaves_no_rows(store: SqliteStore) -> None:
    driver = store.open()
    for number in range(150):
        driver.push(QUEUE, [Entry(f"m{number}", b"", remember_ms=9_000)], Lane(f"s{number}", 1))
        driver.forget(QUEUE, [f"m{number}"])
    store.age(2 * 3_600_000)

    driver.promote(QUEUE)
    assert _rows(store) == (50, 50)
    driver.promote(QUEUE)

    assert _rows(store) == (0, 0)


def _rows(store: SqliteStore) -> tuple[int, int]:
    with contextlib.closing(sqlite3.connect(store.path)) as db:
        found: tuple[int, int] = db.execute(
            "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM remembered)"
        ).fetchone()
    return found


def test_a_file_that_is_no_database_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    path.write_bytes(b"something else, and long enough to be looked at\n" * 100)

    with pytest.raises(DriverError, match="no SQLite database"):
        SqliteDriver(str(path))

    assert path.read_bytes().startswith(b"something else")


def test_files_are_private_and_the_directory_is_made(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        driver = SqliteDriver(str(tmp_path / "run" / "db" / "queue.db"))
        driver.register(QUEUE, "c", "h")
    finally:
        os.umask(umask)

    directory = tmp_path / "run" / "db"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()} == {0o600}
    assert {file.name for file in directory.iterdir()} == {
        "queue.db",
        "queue.db-wal",
        "queue.db-shm",
        "queue.db.gate",
        f"{QUEUE}.wake",
    }
    driver.close()


def test_closing_gives_back_every_descriptor(store: SqliteStore) -> None:
    store.open().close()
    before = sorted(os.listdir("/proc/self/fd"))

    driver = store.open()
    driver.wait([QUEUE], 0, [])
    driver.close()
    driver.close()

    assert sorted(os.listdir("/proc/self/fd")) == before
    with pytest.raises(DriverError, match="closed"):
        driver.counts(QUEUE)


@pytest.mark.parametrize(("argument", "level"), [("full", 2), ("normal", 1)])
def test_durability_is_what_was_asked_for(tmp_path: Path, argument: str, level: int) -> None:
    driver = SqliteDriver(str(tmp_path / "queue.db"), synchronous=argument)
    db = driver._link._db
    assert db is not None

    assert db.execute("PRAGMA synchronous").fetchone() == (level,)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    driver.close()


def _python(script: str, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *args], cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=60
    )
    assert done.returncode == 0
    return done.stdout.strip()
