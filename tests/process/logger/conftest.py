"""Plays: pieces of Python that run in a process of their own, with a stage to stand on."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from procqueue.process.kernel import send
from tests.process.actors import Actor
from tests.process.logger.stage import HEAD


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Callable[..., Actor]]:
    """Begin a play; `folder` is what its stage writes to."""
    started = []

    def begin(code: str, *parts: str) -> Actor:
        actor = Actor(HEAD + "".join(map(dedent, (*parts, code))), tmp_path)
        started.append(actor)
        return actor

    yield begin
    for actor in started:
        actor.end()
    for pid in _left_in(tmp_path):  # a failed test must not leave orphans behind
        send(pid, signal.SIGKILL)


def _left_in(folder: Path) -> list[int]:
    """Return who was forked by a play of this folder: its command line names it."""
    left = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.fsencode(folder) in (entry / "cmdline").read_bytes().split(b"\0"):
                left.append(int(entry.name))
        except OSError:
            pass
    return left
