"""SQLite's directory stands for the names in it: one that was quiet is looked at again when it changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from procqueue.core.errors import Stale
from procqueue.drivers.contract import Entry
from procqueue.drivers.sqlite.driver import SqliteDriver
from procqueue.drivers.sqlite.files import Watch


@pytest.mark.parametrize("name", ["queue.db", "queue.db-wal", "queue.db-shm", "queue.db.gate"])
def test_a_file_that_is_replaced_in_a_quiet_directory_is_seen_before_the_next_answer(tmp_path, name):
    driver = SqliteDriver(str(tmp_path / "queue.db"))
    push_until_quiet(driver)
    other = tmp_path.parent / f"{tmp_path.name}-other"
    other.write_bytes((tmp_path / name).read_bytes())

    other.replace(tmp_path / name)

    with pytest.raises(Stale, match="deleted or replaced"):
        driver.push("q", [Entry("late", b"{}")])
    driver.close()


def test_a_directory_that_is_moved_away_is_seen(tmp_path):
    (tmp_path / "db").mkdir()
    for end in ("", "-wal", "-shm", ".gate"):
        (tmp_path / f"db/queue.db{end}").touch()
    watch = Watch(str(tmp_path / "db/queue.db"))
    wait_until_quiet(watch.changed, lambda: watch.looks)

    (tmp_path / "db").rename(tmp_path / "away")

    assert watch.changed() is not None


def test_who_found_nobody_listening_wakes_who_comes_later(tmp_path: Path):
    producer = SqliteDriver(str(tmp_path / "queue.db"))
    push_until_quiet(producer)
    consumer = SqliteDriver(str(tmp_path / "queue.db"))
    consumer.register("q", "c", "h")

    producer.push("q", [Entry("late", b"{}")])

    assert consumer.wait(["q"], 10, [])
    consumer.close()
    producer.close()


def push_until_quiet(driver: SqliteDriver) -> None:
    """Push until the names are not looked at any more, and no FIFO is looked for."""
    number = iter(range(1 << 20))
    wait_until_quiet(lambda: driver.push("q", [Entry(f"{next(number)}", b"{}")]), driver._link.looks)


def wait_until_quiet(do: Callable[[], object], looks: Callable[[], int]) -> None:
    before = -1
    while looks() != before:
        before = looks()
        do()
