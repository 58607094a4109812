"""What readers find in the rings, while the logger writes and rotates them."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from procqueue.process.logger.ring import Line, Ring, names_in, path_of, read

MOMENT = "2026-01-02T03:04:05.{:03}Z"


def line(number: int, text: str = "text", name: str = "q:0") -> str:
    return f"{MOMENT.format(number)} {name} out | {text} {number}\n"


def texts(lines: Iterable[Line]) -> list[str]:
    return [one.text.decode() for one in lines]


Open = Callable[..., Ring]


@pytest.fixture
def opened() -> Iterator[Callable[..., Ring]]:
    """Open the ring of q in a folder; it is closed at the end."""
    rings = []

    def open_one(folder: Path, **how: bool) -> Ring:
        rings.append(Ring(str(folder), "q", **how))
        return rings[-1]

    yield open_one
    for ring in rings:
        ring.close()


def rotate(folder: Path) -> None:
    (folder / "q.log").rename(folder / "q.log.1")


def test_a_line_is_read_with_all_that_is_known_of_it() -> None:
    assert read(b"2026-01-02T03:04:05.678Z q:0 err + a | b\xff") == Line(
        "2026-01-02T03:04:05.678Z", "q:0", "err", b"a | b\xff", True
    )
    assert read(b"half a li") is None
    assert read(b"") is None


def test_processes_of_a_queue_share_a_ring_and_our_own_have_others() -> None:
    assert path_of("d", "q:0") == path_of("d", "q:11") == "d/q.log"
    assert path_of("d", "master", own=True) == "d/@master.log"


def test_names_are_those_of_which_there_are_lines(tmp_path: Path) -> None:
    for name in ("q.log", "q.log.1", "a.b.log", "only.log.1", "@master.log", "stranger"):
        (tmp_path / name).touch()

    assert names_in(str(tmp_path)) == ["@master", "a.b", "only", "q"]
    assert names_in(str(tmp_path / "nowhere")) == []


def test_lines_come_newest_first_over_both_files_whatever_their_length(tmp_path: Path, opened: Open) -> None:
    (tmp_path / "q.log.1").write_text(line(1, "x" * 200_000) + line(2))
    (tmp_path / "q.log").write_text(line(3) + line(4, "y" * 70_000) + "half a li")

    found = texts(opened(tmp_path).backwards())

    assert [text.split()[1] for text in found] == ["4", "3", "2", "1"]
    assert len(found[3]) == 200_002


def test_what_is_shown_backwards_is_not_added_and_what_is_added_was_not_shown(
    tmp_path: Path, opened: Open
) -> None:
    path = tmp_path / "q.log"
    path.write_text(line(1) + line(2)[:20])
    ring = opened(tmp_path)

    path.write_text(line(1) + line(2) + line(3))

    assert texts(ring.backwards()) == ["text 1"]
    assert texts(ring.added()) == ["text 2", "text 3"]
    assert texts(ring.added()) == []


def test_nothing_is_missed_over_one_rotation_or_two(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "q.log"
    path.write_text(line(1))
    ring = opened(tmp_path)

    with path.open("a") as file:
        file.write(line(2))
    rotate(tmp_path)
    path.write_text(line(3))
    assert texts(ring.added()) == ["text 2", "text 3"]

    with path.open("a") as file:
        file.write(line(4))
    rotate(tmp_path)
    path.write_text(line(5))
    rotate(tmp_path)
    path.write_text(line(6))
    assert texts(ring.added()) == ["text 4", "text 5", "text 6"]


def test_in_the_moment_of_a_rotation_there_may_be_no_file(tmp_path: Path, opened: Open) -> None:
    (tmp_path / "q.log").write_text(line(1))
    ring = opened(tmp_path)
    rotate(tmp_path)

    assert texts(ring.added()) == []
    assert texts(opened(tmp_path).backwards()) == ["text 1"]

    (tmp_path / "q.log").write_text(line(2))
    assert texts(ring.added()) == ["text 2"]


def test_a_name_that_appears_later_is_read_from_its_beginning(tmp_path: Path, opened: Open) -> None:
    (tmp_path / "q.log").write_text(line(1))

    assert texts(opened(tmp_path, from_start=True).added()) == ["text 1"]


def test_where_a_killed_loggers_half_is_cut_off_the_reader_goes_on(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "q.log"
    path.write_text(line(1))
    ring = opened(tmp_path)
    path.write_text(line(1) + line(2) + line(3))
    assert texts(ring.added()) == ["text 2", "text 3"]

    path.write_text(line(1))
    assert texts(ring.added()) == []
    path.write_text(line(1) + line(4))

    assert texts(ring.added()) == ["text 4"]
