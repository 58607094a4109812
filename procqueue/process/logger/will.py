"""The last will of the master for programs, which have no lifeline: when it is dead, they stop (law S8).

Each gets its stop signal, then its grace, then SIGKILL with all that descends from it. Whom nobody has to
kill any more is known from the pidfds; a number is signalled only while its pidfd, or its start time, says
whose it is.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from procqueue.process import kernel

#: Seconds between two looks at what descends from a program that was told to stop.
_LOOK = 0.1


@dataclass(slots=True)
class _Program:
    key: str
    pid: int
    pidfd: int
    stop_signal: int
    grace: float
    stop_group: bool
    kill_at: float = float("inf")
    family: dict[int, int] = field(default_factory=dict)  # pid → start time


class Wills:
    """The programs that end when the master does. `tell` hears (event, name, pid)."""

    def __init__(self, tell: Callable[[str, str, int], None]) -> None:
        self._tell = tell
        self._programs: dict[str, _Program] = {}
        self._executing = False

    def __bool__(self) -> bool:
        return bool(self._programs)

    def add(self, message: dict[str, Any]) -> None:
        """Take over one program; its pidfd is ours from now on."""
        self.drop(message["key"])
        self._programs[message["key"]] = _Program(
            message["key"], message["pid"], message["fds"][0], message["stop_signal"], message["grace"],
            message["stop_group"],
        )  # fmt: skip

    def drop(self, key: str) -> None:
        """Forget one: the master has seen it dead."""
        if (program := self._programs.pop(key, None)) is not None:
            os.close(program.pidfd)

    def execute(self) -> None:
        """Tell all to stop: the master is dead."""
        self._executing = True
        now = time.monotonic()
        for program in self._programs.values():
            if _is_dead(program):
                continue
            program.kill_at = now + program.grace
            _note_family(program)
            self._tell("program_stopped", program.key, program.pid)
            if program.stop_group:
                kernel.send_group(program.pid, program.stop_signal)
                kernel.send_group(program.pid, signal.SIGCONT)
            else:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    signal.pidfd_send_signal(program.pidfd, program.stop_signal)
                    signal.pidfd_send_signal(program.pidfd, signal.SIGCONT)

    def step(self) -> float:
        """Kill who is late and who was left behind; return the seconds until the next step."""
        if not self._executing or not self._programs:
            return float("inf")
        now = time.monotonic()
        for program in list(self._programs.values()):
            if _is_dead(program):
                _kill_family(program)
                self.drop(program.key)
                continue
            _note_family(program)
            if program.kill_at <= now:
                program.kill_at = float("inf")
                self._tell("program_killed", program.key, program.pid)
                kernel.kill_tree(program.pid)
        return _LOOK


def _is_dead(program: _Program) -> bool:
    poll = select.poll()
    poll.register(program.pidfd, select.POLLIN)
    return bool(poll.poll(0))


def _note_family(program: _Program) -> None:
    for pid in kernel.descendants_of(program.pid):
        if pid not in program.family and (started := kernel.start_time_of(pid)) is not None:
            program.family[pid] = started


def _kill_family(program: _Program) -> None:
    for pid, started in program.family.items():
        if (pidfd := kernel.open_pidfd(pid, started)) is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
