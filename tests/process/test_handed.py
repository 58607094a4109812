"""What a consumer of another user is handed: files of the master, and a board only once it is filled in."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from procqueue.process.board import Board
from procqueue.process.handed import Handed, forget
from procqueue.process.view import NoBoard, View


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    (tmp_path / "boards").mkdir()
    (tmp_path / "stacks").mkdir()
    return tmp_path


def test_s7_a_board_that_was_handed_is_none_before_it_is_filled_in(state_dir: Path) -> None:
    path = state_dir / "boards/c.1.board"
    handed = Handed.made(str(state_dir), "c.1")
    with pytest.raises(NoBoard):
        View.open(str(path))

    board = Board.fill(str(path), handed.board, ("q",), {"consumer": "c.1"})
    board.hold(0, 0, 7)

    view = View.open(str(path))
    assert (view.queues, view.identity["consumer"], view.tickets("q")[0]) == (("q",), "c.1", 7)
    assert board.last_ticket("q") == 7
    view.close()
    handed.close()


def test_its_files_are_closed_to_others_and_nothing_is_inherited_by_an_exec(state_dir: Path) -> None:
    handed = Handed.made(str(state_dir), "c.1")

    for fd, path in ((handed.board, "boards/c.1.board"), (handed.stacks, "stacks/c.1")):
        assert os.path.samestat(os.fstat(fd), os.stat(state_dir / path))
        assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o600
        assert not os.get_inheritable(fd)
    handed.close()


def test_nothing_is_left_of_one_that_will_never_be(state_dir: Path) -> None:
    Handed.made(str(state_dir), "c.1").close()

    forget(str(state_dir), "c.1")
    forget(str(state_dir), "c.1")

    assert [*(state_dir / "boards").iterdir(), *(state_dir / "stacks").iterdir()] == []


def test_without_a_place_for_stacks_it_works_all_the_same(state_dir: Path) -> None:
    (state_dir / "stacks").rmdir()

    handed = Handed.made(str(state_dir), "c.1")

    assert os.fstat(handed.stacks).st_rdev == os.stat(os.devnull).st_rdev
    handed.close()
