"""The tasks of the demonstration. Each run is written into the ledger, if PROCQUEUE_DEMO_LEDGER names one."""

from __future__ import annotations

import os
import time

from procqueue import current, task

LEDGER = "PROCQUEUE_DEMO_LEDGER"


@task
def hello(name: str) -> None:
    """Say hello."""
    _write("started")
    if LEDGER not in os.environ:  # pushed by hand; in the demonstration it would only stand in the way
        print(f"hello, {name}", flush=True)
    _write("ended")


@task(retry_seconds=[1])
def flaky() -> None:
    """Fail the first time."""
    _write("started")
    if current().attempt == 1:
        raise ConnectionError("the other side is tired; the next attempt will do")
    _write("ended")


@task(max_attempts=2, retry_seconds=[1])
def broken() -> None:
    """Fail every time: after its attempts the message stands in `failed`."""
    _write("started")
    raise ValueError("this cannot work, however often it is tried")


@task
def slow(seconds: float = 2.0) -> None:
    """Take a while."""
    _write("started")
    time.sleep(seconds)
    _write("ended")


def _write(word: str) -> None:
    """Append one line; O_APPEND keeps the lines of all consumers whole."""
    path = os.environ.get(LEDGER)
    if not path:
        return
    message = current()
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, f"{word} {message.id} {message.task}\n".encode())
    finally:
        os.close(fd)
