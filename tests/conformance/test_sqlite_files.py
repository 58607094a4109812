"""SQLite among user code: files removed, disks full, locks held by others, gates held by the stopped."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from procqueue.core.errors import DriverError, DriverUnavailable, Newer, Stale
from procqueue.core.message import State
from procqueue.drivers.contract import Entry
from procqueue.drivers.sqlite import disk
from procqueue.drivers.sqlite.driver import SqliteDriver
from procqueue.drivers.sqlite.link import JOURNAL_LIMIT
from tests.conformance import playing
from tests.conformance.playing import consumer, ids_of, push, take
from tests.conformance.stores import QUEUE, SqliteStore

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    store = SqliteStore()
    yield store
    store.close()


# files that go


@pytest.mark.parametrize("lost", ["", "-wal", "-shm", ".gate"])
@pytest.mark.parametrize("verb", ["write", "read"])
def test_every_file_that_loses_its_name_is_noticed(store: SqliteStore, lost: str, verb: str) -> None:
    driver = store.open()
    push(driver, "m")

    Path(f"{store.path}{lost}").unlink()

    with pytest.raises(Stale, match=f"{lost or 'database'}.* was deleted or replaced"):
        push(driver, "n") if verb == "write" else driver.counts(QUEUE)


@pytest.mark.parametrize("lost", ["-wal", "-shm", ".gate"])
def test_what_was_answered_outlives_the_loss_of_a_log_or_index(store: SqliteStore, lost: str) -> None:
    first, second = store.open(), store.open()
    push(first, "a")
    push(second, "b")

    Path(f"{store.path}{lost}").unlink()

    with pytest.raises(Stale, match="othing answered is lost"):
        push(first, "c")
    assert _python(_LIST, store.path) == "a b"  # another process: as every one that opens it anew must be
    with pytest.raises(Stale, match="othing answered is lost"):
        push(second, "d")
    assert _python(_LIST, store.path) == "a b"


@pytest.mark.parametrize("somebody_reads", [False, True])
def test_the_log_of_a_database_that_was_moved_away_does_not_get_into_the_next(
    store: SqliteStore, somebody_reads: bool
) -> None:
    driver = SqliteDriver(store.path, timeout=0.1)
    elsewhere = f"{store.path}.old"
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        with contextlib.closing(sqlite3.connect(f"{store.path}.backup")) as backup:
            reader.backup(backup)
        if somebody_reads:  # then the log cannot be emptied
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM messages").fetchone()
        push(driver, *(f"m{number}" for number in range(50)))

        os.rename(store.path, elsewhere)
        os.rename(f"{store.path}.backup", store.path)
        with pytest.raises(Stale, match="not in the new one") as caught:
            driver.counts(QUEUE)

        assert ("the old file is complete" in str(caught.value)) is not somebody_reads
        assert _python(_LIST, store.path) == ""
    with contextlib.closing(sqlite3.connect(store.path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    if somebody_reads:
        assert f"put aside as '{store.path}.old-wal'" in str(caught.value)
        os.rename(f"{store.path}.old-wal", f"{elsewhere}-wal")
    with contextlib.closing(sqlite3.connect(elsewhere)) as db:
        assert db.execute("SELECT count(*) FROM messages").fetchone() == (50,)
    driver.close()


def test_a_commit_into_a_file_that_was_removed_meanwhile_is_not_answered(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = store.open()
    commit = driver._link._commit

    def late(db: sqlite3.Connection) -> None:
        commit(db)
        os.unlink(store.path)

    monkeypatch.setattr(driver._link, "_commit", late)

    with pytest.raises(Stale):
        push(driver, "m")


# what cannot be opened


def test_what_cannot_be_a_database_is_refused_in_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    damaged = tmp_path / "damaged.db"
    SqliteDriver(str(damaged)).close()
    with damaged.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)

    for path, said in ((folder, "is a directory: name a file"), (damaged, "restore a backup")):
        with pytest.raises(DriverError, match=said) as caught:
            SqliteDriver(str(path))
        assert "\n" not in str(caught.value) and not isinstance(caught.value, DriverUnavailable)


def test_d16_a_newer_layout_is_refused_at_the_opening(store: SqliteStore) -> None:
    store.open()
    store.make_newer()

    with pytest.raises(Newer, match="use the newer procqueue"):
        SqliteDriver(store.path)


def test_a_file_that_may_not_be_written_is_refused_with_advice(store: SqliteStore) -> None:
    store.open().close()
    os.chmod(store.path, 0o400)
    os.chmod(store.directory, 0o755)
    os.chmod(store.directory / "db", 0o777)

    said = _python(_OPEN_AS_ANOTHER, store.path)

    assert "DriverUnavailable" in said and "Permission denied" in said and "\n" not in said


# network disks


@pytest.mark.parametrize(
    ("magic", "kind", "name"),
    [
        (0x6969, "", "NFS"),
        (0xFF534D42, "", "CIFS"),
        (0xFFFFFFFFFF534D42, "", "CIFS"),  # f_type is signed on some machines
        (0xFE534D42, "", "SMB2"),
        (0x01021997, "", "9p"),
        (0x00C36400, "", "Ceph"),
        (disk.FUSE, "fuse.sshfs", "fuse.sshfs"),
        (disk.FUSE, "fuse.mergerfs", ""),
        (disk.FUSE, "fuseblk", ""),
        (disk.FUSE, "", ""),
        (0xEF53, "", ""),  # ext4
        (0x58465342, "", ""),  # xfs
        (0x9123683E, "", ""),  # btrfs
        (0x01021994, "", ""),  # tmpfs
        (0x794C7630, "", ""),  # overlay
        (None, "", ""),
    ],
)
def test_network_disks_are_told_by_their_magic_number(magic: int | None, kind: str, name: str) -> None:
    assert disk.network_name(magic, kind) == name


def test_a_disk_of_this_host_is_asked_and_taken(tmp_path: Path) -> None:
    said = subprocess.run(["stat", "-f", "-c", "%t", tmp_path], capture_output=True, text=True, check=True)

    assert disk.magic_of(str(tmp_path)) == int(said.stdout, 16)
    assert disk.kind_of("/proc") == "proc"
    disk.refuse_network_disk(str(tmp_path / "not" / "there" / "yet"))


def test_a_network_disk_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = disk.magic_of(str(tmp_path))
    assert here is not None
    monkeypatch.setitem(disk.NETWORK, here, "NFS")  # this disk, for once

    with pytest.raises(DriverError, match=r"network file system \(NFS\).*\[driver\] url, or use Redis"):
        SqliteDriver(str(tmp_path / "db" / "queue.db"))

    assert list(tmp_path.iterdir()) == []


# locks that others hold


def test_who_waits_for_a_foreign_writer_waits_once_however_many_stand_in_line(store: SqliteStore) -> None:
    store.open()
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(_process(_PUSH_TIMED, store.path)) for _ in range(4)]
        assert [_said(one) for one in waiting] == ["open"] * 4
        foreign = stack.enter_context(_process(_HOLD_A_TRANSACTION, store.path))
        assert _said(foreign) == "holds"
        for one in waiting:
            assert one.stdin is not None
            one.stdin.close()

        said = [_said(one) for one in waiting]

    for line in said:
        seconds, text = line.split(" ", 1)
        assert f"pid {foreign.pid} has a write transaction open" in text
        assert float(seconds) < 2 * 2.0, "one after the other they would wait up to four times as long"
    push(store.open(), "m")


def test_who_leaves_does_not_wait_for_others_to_write(store: SqliteStore) -> None:
    driver = SqliteDriver(store.path, timeout=60)
    who = consumer(driver)
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as foreign:
        foreign.execute("BEGIN IMMEDIATE")

        with pytest.raises(DriverUnavailable):
            driver.leave(QUEUE, who)  # within the test's own time limit

    driver.leave(QUEUE, who)
    driver.close()


def test_a_reader_without_an_end_is_complained_of(store: SqliteStore) -> None:
    driver = store.open()
    assert isinstance(driver, SqliteDriver)
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM messages").fetchone()
        body = b"x" * (1 << 20)
        for number in range((JOURNAL_LIMIT >> 20) // 2):
            driver.push(QUEUE, [Entry(f"m{number}", body)])
        assert driver.complaint() == ""
        for number in range((JOURNAL_LIMIT >> 20) // 2):
            driver.push(QUEUE, [Entry(f"n{number}", body)])

        assert "read transaction" in driver.complaint()
    push(driver, "a")  # the first commit behind the reader writes the log into the database …
    push(driver, "b")  # … and the next begins it anew

    assert driver.complaint() == ""


def test_nobody_gets_into_line_behind_a_holder_that_is_stopped(store: SqliteStore) -> None:
    driver = store.open()
    with _holder(store) as holder:
        os.kill(holder.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, holder.pid, os.WSTOPPED | os.WNOWAIT)

        with pytest.raises(DriverUnavailable, match=f"now by pid {holder.pid};") as caught:
            push(driver, "m")
        assert caught.value.holder == holder.pid
        os.kill(holder.pid, signal.SIGCONT)

    push(driver, "m")


@pytest.mark.parametrize("way", ["os.fork()", "ctypes.CDLL(None).fork()"])
def test_a_child_of_a_holder_that_was_killed_is_found_if_it_keeps_the_gate(
    store: SqliteStore, way: str
) -> None:
    driver = SqliteDriver(store.path, timeout=0.05, keeper=True)
    child = 0
    with _holder(store, f"child = {way}\nif not child: time.sleep(60)\nprint(child, flush=True)") as holder:
        child = int(_said(holder))
    try:
        if way == "os.fork()":
            push(driver, "m")
        else:  # a fork that Python does not know of: no hook of ours runs in that child
            with pytest.raises(DriverUnavailable) as caught:
                push(driver, "m")
            assert caught.value.holder == child
    finally:
        os.kill(child, signal.SIGKILL)
        driver.close()


# disks that are full


def test_a_full_disk_says_so_to_pushes_and_loses_nothing_that_is_in_hand(store: SqliteStore) -> None:
    command = [sys.executable, "-c", _FILL, str(store.directory / "small")]
    inside = f"mkdir {store.directory}/small && mount -t tmpfs -o size=4m none {store.directory}/small"
    script = f"{inside} && exec " + " ".join(f"'{one}'" for one in command)
    private = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*private, f"{inside}"], capture_output=True).returncode:
        pytest.skip("no private mount can be made here; the next test does the same by another way")
    (store.directory / "small").rmdir()

    done = subprocess.run(
        [*private, script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    full, settled = done.stdout.splitlines()
    assert full.startswith("Full") and "make room" in full
    assert settled == "settled 0 1"


def test_a_limit_on_file_sizes_lets_consumers_settle(store: SqliteStore) -> None:
    driver = SqliteDriver(store.path)
    push(driver, *(f"m{number}" for number in range(100)))
    who = consumer(driver)
    size = max(os.stat(store.path).st_size, os.stat(f"{store.path}-wal").st_size)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
    try:
        with pytest.raises(DriverUnavailable):
            driver.push(QUEUE, [Entry("large", b"x" * (1 << 20))])
        settled = _settle_all(driver, who)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)

    assert settled == 100
    driver.push(QUEUE, [Entry("large", b"x" * (1 << 20))])
    assert ids_of(driver, State.WAITING) == ["large"]
    driver.close()


def _settle_all(driver: SqliteDriver, who: str) -> int:
    settled = 0
    deadline = time.monotonic() + playing.DEADLINE
    while time.monotonic() < deadline:
        with contextlib.suppress(DriverUnavailable):  # as a consumer does: again and again
            if not (held := take(driver, who, 10)):
                return settled
            while time.monotonic() < deadline:
                with contextlib.suppress(DriverUnavailable):
                    assert playing.settle(driver, who, held) == ()
                    settled += len(held)
                    break
    raise AssertionError(f"only {settled} could be settled")


_LIST = """
import sys
from procqueue.core.message import State
from procqueue.drivers.sqlite.driver import SqliteDriver
driver = SqliteDriver(sys.argv[1])
print(*(one.id for one in driver.messages("emails", State.WAITING, 0, 100)))
driver.close()
"""

_OPEN_AS_ANOTHER = """
import os, sys
from procqueue.core.errors import DriverError
from procqueue.drivers.sqlite.driver import SqliteDriver
if os.geteuid() == 0:
    os.setuid(65534)
try:
    SqliteDriver(sys.argv[1])
except DriverError as error:
    print(type(error).__name__, error)
"""

_HOLD_A_TRANSACTION = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("holds", flush=True)
time.sleep(60)
"""

_PUSH_TIMED = """
import sys, time
from procqueue.core.errors import DriverUnavailable
from procqueue.drivers.contract import Entry
from procqueue.drivers.sqlite.driver import SqliteDriver
driver = SqliteDriver(sys.argv[1], timeout=2)
print("open", flush=True)
sys.stdin.read()
began = time.monotonic()
try:
    driver.push("emails", [Entry("m", b"")])
except DriverUnavailable as error:
    print(time.monotonic() - began, error, flush=True)
sys.stdin.read()
"""

_HOLD_THE_GATE = """
import ctypes, os, sys, time
from procqueue.drivers.sqlite.driver import SqliteDriver
driver = SqliteDriver(sys.argv[1])
with driver._link.gate:
    print("holds", flush=True)
    {more}
    time.sleep(60)
"""

_FILL = """
import os, sys
from procqueue.core.errors import DriverUnavailable, Full
from procqueue.drivers.contract import Entry
from procqueue.drivers.sqlite.driver import SqliteDriver
from tests.conformance import playing

rest = sys.argv[1] + "/rest"
with open(rest, "wb") as file:
    file.write(b"x" * 2_500_000)
driver = SqliteDriver(sys.argv[1] + "/queue.db")
who = playing.consumer(driver)
left = 0
try:
    while True:
        driver.push("emails", [Entry(f"m{left}", b"x" * 5_000)])
        left += 1
except Full as error:
    print("Full", error)
held = ()
refused = 0
while left:
    try:
        held = held or playing.take(driver, who, 10)
        assert held and playing.settle(driver, who, held) == ()
        left -= len(held)
        held = ()
    except DriverUnavailable:
        refused += 1
    if os.path.exists(rest) and (refused == 10 or left < 10):
        os.unlink(rest)
    assert refused < 100
driver.push("emails", [Entry("after", b"x" * 5_000)])
print("settled", left, driver.counts("emails").waiting)
"""


@contextlib.contextmanager
def _holder(store: SqliteStore, more: str = "pass") -> Iterator[subprocess.Popen[str]]:
    """Give a process that holds the gate, and has done `more` in it; it is killed at the end."""
    store.open()
    with _process(_HOLD_THE_GATE.format(more=more.replace("\n", "\n    ")), store.path) as holder:
        assert _said(holder) == "holds"
        yield holder


@contextlib.contextmanager
def _process(script: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Give a process that runs the script; it is killed at the end."""
    command = [sys.executable, "-c", script, *args]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _python(script: str, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *args],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
