"""The demonstration itself: starts a real master, pushes, watches, kills a consumer at work, stops, accounts.

Everything is seen from outside, as a user sees it: the master's lines, its status, the store, and the ledger
that the tasks write.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

from procqueue import config as configuration
from procqueue import producer
from procqueue.core.message import State
from procqueue.core.settings.model import Settings
from procqueue.demo import tasks
from procqueue.demo.account import Account, Line, account, read_ledger
from procqueue.drivers.contract import Driver
from procqueue.drivers.opening import open_driver
from procqueue.process.ask import NoMaster, ask

APPLICATION = "procqueue.demo.tasks"
#: What is pushed, over and over; the slow ones, which take consumers away from the others, only twice.
MIXTURE = ("hello", "hello", "flaky", "hello", "broken", "hello", "flaky", "hello", "hello")
_SLOW_ONES = (0, 9)

_READY_WITHIN = 20.0
_DONE_WITHIN = 40.0
_LOOK_EVERY = 0.05
_ON_THE_WAY = (State.WAITING, State.DELAYED, State.RESERVED)


class CannotShow(Exception):
    """The demonstration cannot begin, or did not come to its end; the text says why."""


class Show:
    """One demonstration of the configuration in `file`; `ledger` is a path to be written."""

    def __init__(self, file: str, ledger: str, say: Callable[[str], None]) -> None:
        self._file = file
        self._ledger = Path(ledger)
        self._output = Path(f"{ledger}.output")
        self._say = say
        self._settings = _settings(file)
        self._queues = [
            name for name, queue in self._settings.queues.items() if queue.enabled and queue.processes
        ]
        self._began = time.monotonic()
        self._turns = cycle(self._queues)
        self._pushed: dict[str, str] = {}
        self._states: dict[str, State | None] = {}  # of the messages that have come to their end
        self._killed: list[str] = []
        self._told = 0  # lines of the ledger
        self._read = 0  # bytes of the master's output

    def run(self, messages: int = 20) -> Account:
        """Show it with so many messages. Raises CannotShow."""
        master = self._start()
        try:
            driver = open_driver(self._settings.driver)
            self._wait_ready(master)
            self._push(messages)
            self._watch(master, driver)
            driver.close()
            self._stop(master)
        finally:
            producer.close()
            _end(master)
        return account(self._pushed, self._lines(), self._states, self._killed)

    def _start(self) -> subprocess.Popen[bytes]:
        self._ledger.touch(0o600)
        environ = {**os.environ, tasks.LEDGER: str(self._ledger)}
        environ.pop("PROCQUEUE_STATE_DIR", None)
        with self._output.open("wb") as output:
            command = [sys.executable, "-m", "procqueue", "start", "-c", self._file]
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environ
            )

    def _wait_ready(self, master: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + _READY_WITHIN
        while time.monotonic() < give_up:
            status = self._status()
            if status and status["master"]["pid"] == master.pid and _is_ready(status):
                consumers = ", ".join(f"{name} × {status['queues'][name]['ready']}" for name in self._queues)
                self._tell("ready", f"master {status['master']['pid']}; consumers: {consumers}")
                return
            self._check_alive(master)
            time.sleep(_LOOK_EVERY)
        raise CannotShow(f"not ready within {_READY_WITHIN:g} s; the master says:\n{self._last_output()}")

    def _push(self, number: int) -> None:
        producer.adopt(self._settings)
        for index in range(number):
            kind = "slow" if index in _SLOW_ONES else MIXTURE[index % len(MIXTURE)]
            self._push_one(kind, f"message {index + 1}")
        sums = Counter(_short(task) for task in self._pushed.values())
        self._tell("pushed", f"{number} messages: " + ", ".join(f"{n} {kind}" for kind, n in sums.items()))

    def _push_one(self, kind: str, name: str) -> None:
        task = f"{APPLICATION}.{kind}"
        arguments = [name] if kind == "hello" else []
        receipt = producer.using(queue=next(self._turns)).push(task, *arguments)
        self._pushed[receipt.id] = task

    def _watch(self, master: subprocess.Popen[bytes], driver: Driver) -> None:
        """Show what happens until all messages are at their end; kill one consumer that runs a slow one."""
        give_up = time.monotonic() + _DONE_WITHIN
        while time.monotonic() < give_up:
            self._show_news()
            self._check_alive(master)
            if not self._killed:
                self._kill_one()
            if not self._on_the_way(driver):
                self._show_news()
                if self._killed:
                    return
                self._push_one("slow", "")  # it was over before we saw it
            time.sleep(_LOOK_EVERY)
        raise CannotShow(f"not done within {_DONE_WITHIN:g} s; the master says:\n{self._last_output()}")

    def _kill_one(self) -> None:
        status = self._status()
        if status is None:
            return
        for queue in status["queues"].values():
            for one in queue["consumers"]:
                for run in one["running"]:
                    if run["id"] in self._pushed and _is_worth_killing(one, run):
                        os.kill(one["pid"], signal.SIGKILL)
                        self._killed.append(run["id"])
                        self._tell(
                            "kill -9", f"{one['name']} (pid {one['pid']}) in the middle of slow {run['id']}"
                        )
                        return

    def _stop(self, master: subprocess.Popen[bytes]) -> None:
        answer = ask(self._settings.master.state_dir, "stop", patience=_READY_WITHIN)
        code = master.wait(_READY_WITHIN)
        self._show_news()
        killed = ", ".join(answer["killed"]) or "nobody"
        self._tell("stopped", f"soft: {killed} had to be killed; exit code {code}")
        if code or answer["killed"]:
            raise CannotShow("the soft stop was not clean")

    # what can be seen

    def _status(self) -> dict[str, Any] | None:
        try:
            return ask(self._settings.master.state_dir, "status")
        except (NoMaster, TimeoutError):
            return None

    def _on_the_way(self, driver: Driver) -> bool:
        """True while any message has not come to its end; what has is not asked for again."""
        for id in [id for id in self._pushed if id not in self._states]:
            found = (driver.message(queue, id) for queue in self._queues)
            state = next((one.state for one in found if one is not None), None)
            if state in _ON_THE_WAY:
                return True
            self._states[id] = state
        return False

    def _lines(self) -> list[Line]:
        return read_ledger(self._ledger.read_text())

    def _show_news(self) -> None:
        for text in self._new_output():
            self._tell("log", text)
        lines = self._lines()
        before = {line.id for line in lines[: self._told] if line.word == "started"}
        for line in lines[self._told :]:
            if line.word == "ended":
                self._tell("done", f"{_short(line.task)} {line.id}")
            elif line.id in before:
                again = "after its process was killed" if line.id in self._killed else "another attempt"
                self._tell("again", f"{_short(line.task)} {line.id}: {again}")
            before.add(line.id)
        self._told = len(lines)

    def _new_output(self) -> list[str]:
        with self._output.open("rb") as output:
            output.seek(self._read)
            new = output.read()
        new = new[: new.rfind(b"\n") + 1]
        self._read += len(new)
        return new.decode(errors="replace").splitlines()

    def _last_output(self) -> str:
        return "\n".join(self._output.read_text(errors="replace").splitlines()[-15:])

    def _check_alive(self, master: subprocess.Popen[bytes]) -> None:
        if (code := master.poll()) is not None:
            raise CannotShow(f"the master left with exit code {code}:\n{self._last_output()}")

    def _tell(self, what: str, text: str) -> None:
        self._say(f"{time.monotonic() - self._began:5.1f} s  {what:8} {text}")


def _settings(file: str) -> Settings:
    settings = configuration.load(file)
    if problem := settings.nothing_to_run():
        raise CannotShow(str(problem))
    modules = {*settings.app, *(module for queue in settings.queues.values() for module in queue.app)}
    if APPLICATION not in modules:
        raise CannotShow(f'{file} does not run the tasks of the demonstration: app needs "{APPLICATION}"')
    return settings


def _is_ready(status: dict[str, Any]) -> bool:
    return all(queue["ready"] >= queue["wanted"] for queue in status["queues"].values())


def _is_worth_killing(consumer: dict[str, Any], run: dict[str, Any]) -> bool:
    """True while it surely runs slow, and has shown that it works: else its successor is held back."""
    has_stood = consumer["handled"] > 0 or consumer["uptime"] > 1.3
    return bool(has_stood and run["task"] == f"{APPLICATION}.slow" and run["seconds"] < 1.6)


def _short(task: str) -> str:
    return task.rpartition(".")[2]


def _end(master: subprocess.Popen[bytes]) -> None:
    """Leave no master behind, whatever went wrong."""
    if master.poll() is not None:
        return
    master.send_signal(signal.SIGQUIT)
    try:
        master.wait(10)
    except subprocess.TimeoutExpired:
        master.kill()
        master.wait()
