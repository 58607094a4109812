"""Processes of their own for the tests of process/: nothing forks, dies or stops in the tests' own."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from procqueue.process.kernel import descendants_of, send

#: Generous: machines are shared.
PATIENCE = 20.0


class Actor:
    """A process that runs a piece of Python, with lines in and lines out. `pid` is its number."""

    def __init__(self, code: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.pid = self.process.pid
        self._unread = b""

    def line(self) -> str:
        """Return the next line that it, or a child of it, has written."""
        assert self.process.stdout is not None
        give_up = time.monotonic() + PATIENCE
        while b"\n" not in self._unread:
            left = max(0.0, give_up - time.monotonic())
            readable, _, _ = select.select([self.process.stdout], [], [], left)
            data = os.read(self.process.stdout.fileno(), 1 << 16) if readable else b""
            if not data:
                raise AssertionError(f"no line came, only {self._unread!r}; its errors: {self.errors()}")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def readable(self) -> bool:
        """True if it has written something, or has closed its end."""
        return bool(self._unread) or bool(select.select([self.process.stdout], [], [], 0)[0])

    def tell(self, line: str) -> None:
        """Write a line to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def signal(self, number: int) -> None:
        """Signal it."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9 it and wait for its end."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def wait(self) -> int:
        """Wait for its end; return its exit code."""
        return self.process.wait(PATIENCE)

    def end(self) -> None:
        """kill -9 it and its children; never wait for who else may hold its pipes."""
        family = descendants_of(self.pid)
        self.kill()
        for pid in family:
            send(pid, signal.SIGKILL)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with suppress(BrokenPipeError):
                pipe and pipe.close()

    def errors(self) -> str:
        """Return what it has written to stderr, up to now."""
        assert self.process.stderr is not None
        readable, _, _ = select.select([self.process.stderr], [], [], 0)
        return os.read(self.process.stderr.fileno(), 1 << 16).decode() if readable else ""


@contextmanager
def actor(code: str, *arguments: object) -> Iterator[Actor]:
    """Start a process; at the end it is killed."""
    made = Actor(code, *arguments)
    try:
        yield made
    finally:
        made.end()


def wait_until(holds: Callable[[], object], what: str) -> None:
    """Ask until it holds."""
    give_up = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up, f"waited {PATIENCE} s for {what}"
        time.sleep(0.002)


def is_running(pid: int) -> bool:
    """True if there is such a process and it is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
