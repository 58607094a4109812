"""Real consumers for one test: a master of its own, on an SQLite file in the test's directory."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from procqueue.core.errors import ProcqueueError
from procqueue.core.message import Counts, State, Stored
from procqueue.core.settings.model import Settings
from procqueue.core.units import seconds
from procqueue.drivers.contract import Driver
from procqueue.drivers.opening import open_driver
from procqueue.process.ask import NoMaster, ask
from procqueue.pushing import Producer
from procqueue.testing.settings import for_live

_ASK_AGAIN = 0.02
_PUSH_TIMEOUT = 5.0


class LiveError(ProcqueueError, AssertionError):
    """The consumers of a test did not start, or did not come to an end in time; with what they printed."""


class Live:
    """The running consumers. `folder`: the test's own; `settings`: those of the application."""

    def __init__(self, settings: Settings | None, folder: str) -> None:
        self.settings = for_live(settings, folder)
        self.producer = Producer(self.settings.driver, self.settings.queues, _PUSH_TIMEOUT)
        self._output = Path(folder, "output")
        self._driver: Driver | None = None
        self._master: subprocess.Popen[bytes] | None = None

    def start(self, timeout: float | str = "30s") -> None:
        """Start the master; return when all consumers are ready. Raises LiveError."""
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with self._output.open("ab") as output:
            self._master = subprocess.Popen(
                [sys.executable, "-m", "procqueue.testing.serve"],
                stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=environ,
            )  # fmt: skip
        assert self._master.stdin is not None
        with self._master.stdin as pipe:
            pickle.dump(self.settings, pipe)
        deadline = time.monotonic() + seconds(timeout)
        while not self._is_ready():
            self._go_on(deadline, "the consumers are not ready")
            if problems := self._problems():
                raise LiveError(f"the consumers are not ready: {problems}; they printed:\n{self._printed()}")

    def drain(self, timeout: float | str = "30s", *, delayed: bool = False) -> None:
        """Return when nothing waits or runs in any queue (with `delayed`: nothing is to come either).

        Messages that failed stand in `failed()`. Raises LiveError when the time is over.
        """
        deadline = time.monotonic() + seconds(timeout)
        while left := self._left(delayed):
            self._go_on(deadline, f"there is work left: {left}")

    def counts(self, queue: str) -> Counts:
        """Return how many messages stand where."""
        return self._store().counts(queue)

    def failed(self, queue: str | None = None) -> list[Stored]:
        """Return up to 1,000 messages that failed or were parked, of one queue or of all."""
        names = [queue] if queue is not None else list(self.settings.queues)
        states = (State.FAILED, State.TIMEOUT)
        return [one for name in names for state in states for one in self._stored(name, state)]

    def status(self) -> dict[str, Any]:
        """Return what `procqueue status --json` would."""
        return ask(self.settings.master.state_dir, "status")

    def output(self) -> str:
        """Return what the master and its consumers printed so far."""
        return self._output.read_text(errors="replace")

    def stop(self) -> None:
        """Stop: what runs is finished for 5 s, then killed."""
        self.producer.close()
        if self._driver is not None:
            self._driver.close()
            self._driver = None
        if self._master is None:
            return
        self._master.send_signal(signal.SIGTERM)
        try:
            self._master.wait(5)
        except subprocess.TimeoutExpired:
            self._master.send_signal(signal.SIGQUIT)
            self._master.wait()
        self._master = None

    def _stored(self, queue: str, state: State) -> list[Stored]:
        return self._store().messages(queue, state, 0, 1000)

    def _store(self) -> Driver:
        if self._driver is None:
            self._driver = open_driver(self.settings.driver)
        return self._driver

    def _is_ready(self) -> bool:
        try:
            return bool(ask(self.settings.master.state_dir, "health")["ready"])
        except (NoMaster, TimeoutError):
            return False

    def _problems(self) -> str:
        try:
            return "; ".join(f"{one['about']}: {one['text']}" for one in self.status()["problems"])
        except (NoMaster, TimeoutError):
            return ""

    def _printed(self) -> str:
        return self.output()[-4000:]

    def _left(self, delayed: bool) -> str:
        found = []
        for name in self.settings.queues:
            counts = self.counts(name)
            number = counts.inbox + counts.waiting + counts.reserved + (counts.delayed if delayed else 0)
            if number:
                found.append(f"{name} {number}")
        return ", ".join(found)

    def _go_on(self, deadline: float, what: str) -> None:
        """Wait a moment; raise LiveError if the time is over, or the master has left."""
        assert self._master is not None
        left = self._master.poll() is not None
        if left or time.monotonic() > deadline:
            how = f"the master left with code {self._master.returncode}" if left else "the time is over"
            raise LiveError(f"{what}, and {how}; they printed:\n{self._printed()}")
        time.sleep(_ASK_AGAIN)
