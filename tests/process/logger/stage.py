"""A small master for the tests of the logger: pipes, children that write, a logger that can be killed.

It runs in an actor, a process of its own (tests/process/actors.py): what forks must have one thread.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from procqueue.process import kernel
from procqueue.process.logger.journal import new_journal
from procqueue.process.logger.main import Logger, Place
from procqueue.process.spawn import Born, fork_child

PATIENCE = 60.0

#: What tests begin with in their actors.
HEAD = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from tests.process.logger.stage import *
folder = sys.argv[1]
"""


def say(*words: object) -> None:
    """Tell the test a line; the terminal of the logger is elsewhere."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Stage:
    """Holds the read ends of all pipes, as the master does. `terminal` stands for its stdout."""

    def __init__(
        self, folder: str, terminal: int | None = None, errors: int | None = None, **place: Any
    ) -> None:
        self.folder = folder
        if terminal is None:
            terminal = os.open(f"{folder}/terminal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        errors = terminal if errors is None else errors
        self.place = Place(f"{folder}/logs", new_journal(), stdout=terminal, stderr=errors, **place)
        self.heard: list[dict[str, Any]] = []
        self.followed: dict[str, tuple[dict[str, Any], int]] = {}
        self.children: dict[str, Born] = {}
        self.start()

    def start(self) -> None:
        """Fork a logger, and let it follow all that is not yet at its end."""
        self.born = fork_child(
            lambda lifeline: Logger(self.place, lifeline).run(),
            parent_death=None, keep=(self.place.journal, self.place.stdout, self.place.stderr),
        )  # fmt: skip
        for facts, fd in self.followed.values():
            assert self.born.lifeline.say("follow", fds=(fd,), **facts)

    def pipe(self, name: str, key: str | None = None, own: bool = False, **out: Any) -> int:
        """Let the logger follow a new pipe; return its write end."""
        read, write = os.pipe2(os.O_CLOEXEC)
        key = key or name
        facts = {"key": key, "name": name, "own": own, "out": {"to": "none", **out}}
        self.followed[key] = (facts, read)
        assert self.born.lifeline.say("follow", fds=(read,), **facts)
        return write

    def child(self, name: str, body: Callable[[int], object], **out: Any) -> Born:
        """Fork a child that writes to a pipe of its own."""
        write = self.pipe(name, **out)

        def run(_: object) -> int:
            body(write)
            return 0

        born = fork_child(run, parent_death=signal.SIGKILL, keep=(write,))
        os.close(write)
        self.children[name] = born
        return born

    def kill(self) -> None:
        """kill -9 the logger, and begin with another."""
        self.hear()
        os.kill(self.born.pid, signal.SIGKILL)
        os.waitpid(self.born.pid, 0)
        self.hear()
        self.start()

    def hear(self) -> None:
        """Take what the logger says."""
        for message in self.born.lifeline.hear():
            self.heard.append(message)
            if message["say"] == "ended":
                os.close(self.followed.pop(message["key"])[1])

    def wait(self, holds: Callable[[], object], what: str = "") -> None:
        """Ask until it holds, and listen meanwhile."""
        give_up = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > give_up:
                sys.exit(
                    f"waited {PATIENCE} s for {what or holds}; heard {self.heard}; logs {self.all_text()}"
                )
            select.select([self.born.lifeline], [], [], 0.005)
            self.hear()
            if self.born.lifeline.ended:
                sys.exit(f"the logger left: {self.heard}")

    def wait_ended(self, *keys: str) -> None:
        """Wait until the pipes of these have ended, of all if none is named."""
        self.wait(
            lambda: not any(key in self.followed for key in keys or self.followed), f"the end of {keys}"
        )

    def wait_for(self, name: str, text: bytes) -> bytes:
        """Wait until a file has this text; return all of it."""
        self.wait(lambda: text in self.read(name), f"{text!r} in {name}")
        return self.read(name)

    def wait_heard(self, what: str) -> dict[str, Any]:
        """Wait until the logger says this; return it."""
        self.wait(lambda: any(m["say"] == what for m in self.heard), what)
        return next(m for m in self.heard if m["say"] == what)

    def stop(self) -> int:
        """Stop the logger; return its exit code."""
        self.born.lifeline.say("stop")
        return os.waitstatus_to_exitcode(os.waitpid(self.born.pid, 0)[1])

    def read(self, name: str) -> bytes:
        """Return what is in a file of the folder."""
        path = Path(self.folder, name)
        return path.read_bytes() if path.exists() else b""

    def lines(self, name: str) -> list[bytes]:
        """Return the texts in a file and its rotated ones, the oldest first, without their heads."""
        while True:
            with suppress(FileNotFoundError):
                files = self._files(name)
                raw = b"".join(path.read_bytes() for path, _ in files)
                if self._files(name) == files:  # else they were rotated meanwhile
                    return [line.split(b" | ", 1)[-1] for line in raw.splitlines()]

    def _files(self, name: str) -> list[tuple[Path, int]]:
        """Return a file and its rotated ones, the oldest first, each with its inode."""
        path = Path(self.folder, name)
        ages = [(int(old.suffix[1:]), old) for old in path.parent.glob(f"{path.name}.[0-9]*")]
        files = [old for _, old in sorted(ages, reverse=True)] + [path]
        return [(file, file.stat().st_ino) for file in files if file.exists()]

    def all_text(self) -> str:
        """Return the ends of all files, for a failure."""
        files = [path for path in Path(self.folder).rglob("*") if path.is_file()]
        return "\n".join(f"{path}: {path.read_bytes()[-300:]!r}" for path in files)


def write_all(fd: int, data: bytes) -> None:
    """Write all of it, waiting for room."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def is_alive(pid: int) -> bool:
    """True if there is such a process and it is no zombie."""
    pidfd = kernel.open_pidfd(pid)
    return pidfd is not None and kernel.runs(pidfd)
