"""Hooks: commands of the configuration that run when something is wrong; they never hold the master up.

One runs at a time, at most once a minute for each kind and name, and is killed after 30 s with all that it
started. What it prints goes the way of all lines.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from procqueue.core.settings.environment import Environment
from procqueue.core.wanted import Phase
from procqueue.process import kernel
from procqueue.process.intent import Intent
from procqueue.process.log import Log
from procqueue.process.nursery import Nursery
from procqueue.process.output import OURS, Output
from procqueue.process.programs.exec import Report, start
from procqueue.process.programs.order import Order

_EVERY = 60.0
_PATIENCE = 30.0
#: More do not wait: who is told of a hundred problems at once knows enough.
_MOST_WAITING = 20


class Master(Protocol):
    """What hooks need of their master."""

    intent: Intent
    nursery: Nursery
    output: Output
    log: Log
    selector: selectors.BaseSelector

    def forget(self, fd: int) -> None:
        """Attend to a descriptor no more."""


@dataclass(slots=True)
class _Call:
    """One command to run, with the facts that it finds in its environment."""

    kind: str
    command: Sequence[str]
    facts: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Running:
    kind: str
    pid: int
    pidfd: int
    report: Report
    kill_at: float


class Hooks:
    """The hooks of one master."""

    def __init__(self, master: Master, state_dir: str) -> None:
        self._master = master
        self._owner = f"{state_dir}!hook"
        self._number = 0
        self._said: dict[tuple[str, str], float] = {}  # kind and name → when (monotonic)
        self._waiting: deque[_Call] = deque()
        self._running: _Running | None = None
        self._stop_at = float("inf")  # when a stop waits no more

    @property
    def busy(self) -> bool:
        """True if a stop has to wait for one: none lasts longer for it than one hook may take."""
        return bool(self._running or self._waiting) and time.monotonic() < self._stop_at

    def happened(self, kind: str, about: str, text: str) -> None:
        """Run what the configuration has for "on_fatal", "on_crash_loop" or "on_problem"."""
        commands: Sequence[Sequence[str]] = getattr(self._master.intent.settings.hooks, kind)
        now = time.monotonic()
        if not commands or now - self._said.get((kind, about), float("-inf")) < _EVERY:
            return
        self._said = {key: at for key, at in self._said.items() if now - at < _EVERY} | {(kind, about): now}
        facts = {
            "HOOK": kind, "ABOUT": about, "TEXT": text,
            "CONFIG": self._master.intent.settings.file, "MASTER_PID": str(os.getpid()),
        }  # fmt: skip
        given = tuple((f"PROCQUEUE_{name}", value.replace("\0", "")) for name, value in facts.items())
        for command in commands:
            if len(self._waiting) < _MOST_WAITING:
                self._waiting.append(_Call(kind, command, given))

    def next_moment(self) -> float:
        """Return when something is to be done though nothing happens (monotonic; inf if nothing is)."""
        if self._running is None:
            return float("inf")
        kill_at = self._running.kill_at
        return min(kill_at, self._stop_at) if self._stop_at > time.monotonic() else kill_at

    def tick(self, now: float) -> None:
        """Begin what waits, and end what takes too long."""
        if self._stop_at == float("inf") and self._master.intent.phase is not Phase.RUN:
            self._stop_at = now + _PATIENCE
        if self._running is not None and now >= self._running.kill_at:
            self._master.log.warning("hook", kind=self._running.kind, text="killed: it took more than 30 s")
            self._running.kill_at = float("inf")
            kernel.kill_tree(self._running.pid)
        while self._running is None and self._waiting:
            self._begin(self._waiting.popleft(), now)

    def put_off(self, seconds: float) -> None:
        """Let what runs have so much longer: nobody could look."""
        self._stop_at += seconds
        if self._running is not None:
            self._running.kill_at += seconds

    def end(self) -> None:
        """End all at once."""
        self._waiting.clear()
        if self._running is not None:
            self._over(self._running)

    def _begin(self, call: _Call, now: float) -> None:
        self._number += 1
        root = self._master.intent.settings.root
        environment = Environment(env=call.facts, cwd=root)
        try:
            with self._master.output.opened(f"hook.{self._number}", "hook", OURS) as prints:
                order = Order(
                    "hook", 0, self._owner, tuple(call.command), environment=environment,
                    stdout=prints[0], stderr=prints[1],
                )  # fmt: skip
                started = start(order)
        except OSError as error:
            self._master.log.warning("hook", kind=call.kind, text=f"cannot fork: {error.strerror}")
            return
        running = _Running(call.kind, started.pid, started.pidfd, started.report, now + _PATIENCE)
        self._running = running
        self._master.nursery.spare(started.pid)
        self._master.selector.register(
            started.pidfd, selectors.EVENT_READ, lambda: self._over(running)
        )  # fmt: skip

    def _over(self, running: _Running) -> None:
        """It is dead, or has to be: what it left behind goes too, then it is reaped."""
        kernel.kill_tree(running.pid)
        result = os.waitid(os.P_PIDFD, running.pidfd, os.WEXITED)
        self._master.nursery.spare(running.pid, yes=False)
        self._master.forget(running.pidfd)
        os.close(running.pidfd)
        self._running = None
        running.report.hear()
        failure = running.report.failure
        running.report.close()
        if failure is not None:
            self._master.log.warning(
                "hook", kind=running.kind, text=failure.sentence(f"hooks.{running.kind}")
            )
        elif result is not None and result.si_status and result.si_status != signal.SIGKILL:
            self._master.log.warning("hook", kind=running.kind, exit_code=result.si_status)
