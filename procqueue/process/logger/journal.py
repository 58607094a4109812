"""What the logger is about to write, in memory that outlives it: its successor undoes what was half done.

The master makes the memory (a memfd) and hands it to each logger. Before a batch is written the journal
says how long the files were; then come the writes, then `written`, then the bytes leave their pipe, then
`done`. A logger killed before `written` has taken nothing: its files are cut back, and the batch is written
again, once. Between `written` and `done` nobody can say whether the bytes have left the pipe, so nothing is
cut: if they are still there, the batch is repeated. What waits for the terminal (a queue of 1 MiB for each
of stdout and stderr) lies here too.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
from collections.abc import Sequence
from typing import NamedTuple

QUEUES = 2
#: Bytes that wait for one terminal.
QUEUE = 1 << 20
_PAYLOAD = 4096
_QUEUES = 65536
_SIZE = _QUEUES + QUEUES * QUEUE
_DONE, _WRITING, _WRITTEN = 0, 1, 2
#: Where the words are: state, length of what is said, then start and end of each queue.
_STATE, _LENGTH, _START, _END = 0, 1, 2, 3


class Growth(NamedTuple):
    """A file that a batch makes longer: from `size`, by at most `length` bytes."""

    path: str
    inode: int
    size: int
    length: int


def new_journal() -> int:
    """Return the descriptor of an empty journal. Raises OSError."""
    fd = os.memfd_create("procqueue-logger", os.MFD_CLOEXEC)
    os.ftruncate(fd, _SIZE)
    return fd


class Journal:
    """The journal as its one writer sees it."""

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, _SIZE)
        # Aligned words, each stored at once: a killed writer leaves the old one or the new one.
        self._words = memoryview(self._memory)[:_PAYLOAD].cast("Q")
        if self._words[_STATE] == _WRITING:
            self._undo()
        for number in range(QUEUES):
            if self.is_empty(number):
                self._empty(number)
        self._words[_STATE] = _DONE

    def begin(self, files: Sequence[Growth]) -> None:
        """Say what will be written now."""
        ends = [self._words[_END + 2 * number] for number in range(QUEUES)]
        payload = json.dumps([files, ends]).encode()
        self._memory[_PAYLOAD : _PAYLOAD + len(payload)] = payload
        self._words[_LENGTH] = len(payload)
        self._words[_STATE] = _WRITING

    def written(self) -> None:
        """Say that all of it is written."""
        self._words[_STATE] = _WRITTEN

    def done(self) -> None:
        """Say that it has left its pipe."""
        self._words[_STATE] = _DONE

    def is_empty(self, number: int) -> bool:
        """True if nothing waits in a queue."""
        return self._words[_START + 2 * number] >= self._words[_END + 2 * number]

    def waiting(self, number: int, most: int) -> bytes:
        """Return the first bytes that wait in a queue."""
        start, end = self._words[_START + 2 * number], self._words[_END + 2 * number]
        base = _QUEUES + number * QUEUE
        return self._memory[base + start : base + min(end, start + most)]

    def room(self, number: int) -> int:
        """Return how many bytes a queue can still take before it has been emptied."""
        return QUEUE - self._words[_END + 2 * number]

    def enqueue(self, number: int, data: bytes) -> None:
        """Append to a queue that has the room."""
        end = self._words[_END + 2 * number]
        base = _QUEUES + number * QUEUE
        self._memory[base + end : base + end + len(data)] = data
        self._words[_END + 2 * number] = end + len(data)

    def dequeue(self, number: int, count: int) -> None:
        """Forget the first bytes of a queue."""
        self._words[_START + 2 * number] += count
        if self.is_empty(number):
            self._empty(number)

    def _empty(self, number: int) -> None:
        # The end first: killed in between, the queue is still empty, for its start is not before its end.
        self._words[_END + 2 * number] = 0
        self._words[_START + 2 * number] = 0

    def _undo(self) -> None:
        length = self._words[_LENGTH]
        files, ends = json.loads(self._memory[_PAYLOAD : _PAYLOAD + length])
        for growth in files:
            with contextlib.suppress(OSError):
                _cut_back(Growth(*growth))
        for number, end in enumerate(ends):
            self._words[_END + 2 * number] = end


def _cut_back(growth: Growth) -> None:
    fd = os.open(growth.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(fd)
        # Longer than we made it: somebody else writes there too, whose lines are not ours to cut.
        if found.st_ino == growth.inode and growth.size < found.st_size <= growth.size + growth.length:
            os.ftruncate(fd, growth.size)
    finally:
        os.close(fd)
