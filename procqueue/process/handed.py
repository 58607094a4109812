"""What a consumer gets from the master if it is another user: its board and its stacks file, open.

It may open nothing in the state directory by its name, so it can neither touch what is another's nor put
anything in the place of its own. The files are the master's; the descriptors come with the lifeline.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

from procqueue.process.reclaim import board_path
from procqueue.process.stacks import folder_of

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class Handed:
    """The descriptors of one consumer."""

    board: int
    stacks: int

    @classmethod
    def made(cls, state_dir: str, consumer: str) -> Handed:
        """Make the files, empty: a board that is not filled in is none yet. Raises OSError."""
        board = os.open(board_path(f"{state_dir}/boards", consumer), _NEW, 0o600)
        try:
            return cls(board, _stacks(state_dir, consumer))
        except OSError:
            os.close(board)
            forget(state_dir, consumer)
            raise

    def close(self) -> None:
        """Close both, in who has made them."""
        os.close(self.board)
        os.close(self.stacks)


def forget(state_dir: str, consumer: str) -> None:
    """Remove the files of a consumer that will never be."""
    for path in (board_path(f"{state_dir}/boards", consumer), f"{folder_of(state_dir)}/{consumer}"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _stacks(state_dir: str, consumer: str) -> int:
    flags = _NEW | os.O_APPEND
    try:
        return os.open(f"{folder_of(state_dir)}/{consumer}", flags, 0o600)
    except FileNotFoundError:  # somebody has removed the directory: it works without
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
