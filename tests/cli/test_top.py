"""`procqueue top` on a real terminal: it draws, follows, and gives the terminal back."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

import pytest

from tests.cli.place import PATIENCE, Place


def seen(terminal: int, words: bytes) -> bytes:
    """Read until the words have come."""
    text = b""
    until = time.monotonic() + PATIENCE
    while words not in text:
        assert select.select([terminal], [], [], max(0.0, until - time.monotonic()))[0], text
        text += os.read(terminal, 65536)
    return text


@pytest.mark.parametrize("columns", [60, 100, 200])
def test_it_draws_until_q_and_gives_the_terminal_back(place: Place, columns: int) -> None:
    place.start()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    before = termios.tcgetattr(theirs)
    top = subprocess.Popen(
        [sys.executable, "-m", "procqueue", "top", "--every", "0.1"], cwd=place.folder,
        env={**place.environment(), "TERM": "xterm", "COLUMNS": str(columns)},
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip

    first = seen(ours, b"images:0")
    seen(ours, b"0/s")  # it has looked again
    os.write(ours, b"q")

    assert top.wait(PATIENCE) == 0
    assert b"emails" in first
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def test_what_is_handled_per_second_is_counted_over_the_time_between_two_looks(place: Place) -> None:
    place.start()
    assert place.run("push", "app.welcome", "1", "--queue", "emails", "--count", "30").code == 0
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 80, 0, 0))
    top = subprocess.Popen(
        [sys.executable, "-m", "procqueue", "top", "--every", "1"], cwd=place.folder,
        env={**place.environment(), "TERM": "xterm", "NO_COLOR": "1"}, stdin=theirs, stdout=theirs,
    )  # fmt: skip
    seen(ours, b"images:0")

    text = b""
    for number in range(3):
        assert place.run("push", "app.welcome", str(number), "--queue", "emails", "--count", "30").code == 0
        text += seen(ours, b"q ends") + seen(ours, b"images:0")
    os.write(ours, b"q")

    rates = [float(rate) for rate in re.findall(rb"emails  ok  1/1 ready  ([0-9.]+)/s", text)]
    # Two looks are a second apart or more, and at most all that was pushed came between them.
    assert rates and max(rates) <= 120, text
    assert top.wait(PATIENCE) == 0
    os.close(ours)
    os.close(theirs)


def test_without_a_terminal_it_shows_one_look(place: Place) -> None:
    place.start()

    ran = place.run("top")

    assert ran.code == 0
    assert "emails" in ran.out and "\x1b" not in ran.out


def test_without_a_master_it_says_so(place: Place) -> None:
    assert place.run("top").code == 3
