"""What a successor finds in the journal of a logger that was killed at any of its steps."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from procqueue.process.logger.journal import QUEUE, Growth, Journal, new_journal


@pytest.fixture
def memory() -> Iterator[int]:
    fd = new_journal()
    yield fd
    os.close(fd)


def grown(path: Path, by: bytes) -> Growth:
    """Return the growth that a batch of `by` makes, and make it."""
    before = path.stat()
    with path.open("ab") as file:
        file.write(by)
    return Growth(str(path), before.st_ino, before.st_size, len(by))


def test_what_was_half_written_is_undone(memory: int, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"before\n")
    one = Journal(memory)
    one.enqueue(0, b"waits\n")
    path = tmp_path / "log"
    one.begin([Growth(str(path), path.stat().st_ino, 7, 100)])
    path.write_bytes(b"before\nhalf a li")
    one.enqueue(0, b"half\n")

    other = Journal(memory)

    assert path.read_bytes() == b"before\n"
    assert other.waiting(0, 100) == b"waits\n"


def test_what_was_written_stays_for_nobody_knows_whether_it_was_taken(memory: int, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"")
    one = Journal(memory)
    growth = Growth(str(tmp_path / "log"), (tmp_path / "log").stat().st_ino, 0, 5)
    one.begin([growth])
    (tmp_path / "log").write_bytes(b"line\n")
    one.written()

    Journal(memory)

    assert (tmp_path / "log").read_bytes() == b"line\n"


def test_a_file_into_which_somebody_else_writes_too_is_not_cut(memory: int, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"")
    one = Journal(memory)
    one.begin([Growth(str(tmp_path / "log"), (tmp_path / "log").stat().st_ino, 0, 5)])
    (tmp_path / "log").write_bytes(b"ours\nand theirs\n")

    Journal(memory)

    assert (tmp_path / "log").read_bytes() == b"ours\nand theirs\n"


def test_another_file_of_that_name_is_not_cut(memory: int, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"")
    one = Journal(memory)
    one.begin([Growth(str(tmp_path / "log"), (tmp_path / "log").stat().st_ino + 1, 0, 100)])
    (tmp_path / "log").write_bytes(b"theirs\n")

    Journal(memory)

    assert (tmp_path / "log").read_bytes() == b"theirs\n"


def test_what_waits_for_a_terminal_comes_out_in_order_and_frees_its_room(memory: int) -> None:
    one = Journal(memory)
    one.enqueue(0, b"first ")
    one.enqueue(0, b"second")
    one.enqueue(1, b"elsewhere")

    assert one.waiting(0, 5) == b"first"
    one.dequeue(0, 6)
    assert Journal(memory).waiting(0, 100) == b"second"
    assert one.room(0) == QUEUE - 12
    one.dequeue(0, 6)
    assert one.is_empty(0) and one.room(0) == QUEUE
    assert one.waiting(1, 100) == b"elsewhere"
