"""What children print: each writes into pipes of its own, whose read ends the master keeps for the logger.

The master reads none of it (law S2). A logger that dies is replaced and gets the same pipes again, with what
is still in them: no line is lost. Next to read: logger/main.py.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from procqueue.core import events
from procqueue.core.events import Reason
from procqueue.core.settings.environment import LogTarget, To
from procqueue.core.settings.model import QueueSettings, Settings
from procqueue.core.settings.program import How, ProgramCopy, ProgramSettings
from procqueue.process.intent import Intent
from procqueue.process.lifeline import Lifeline
from procqueue.process.log import Log
from procqueue.process.logger.journal import new_journal
from procqueue.process.logger.main import Place
from procqueue.process.news import News
from procqueue.process.nursery import Kept, Nursery
from procqueue.process.pools import LOGGER
from procqueue.process.statedir import StateDir

#: Seconds until the logger is told again what it had no room for.
_TELL_AGAIN = 0.05
_MASTER = "master"


class Master(Protocol):
    """What the output needs of its master."""

    intent: Intent
    state: StateDir
    news: News
    nursery: Nursery
    log: Log

    def note(self, event: events.Event) -> None:
        """Let the book know what happened."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Where the lines of one child go, if the configuration says so. `tap`: a line that makes it ready."""

    stdout: LogTarget
    stderr: LogTarget
    most: int = 0
    backups: int = 0
    tap: str = ""


@dataclass(slots=True)
class _Pipes:
    key: str
    name: str
    own: bool
    targets: Targets
    ends: tuple[int, ...]  # read ends: stdout, and stderr if it goes elsewhere


def targets_of_queue(queue: QueueSettings, settings: Settings) -> Targets:
    """Return where the lines of a queue's consumers go."""
    logging = settings.logging
    return Targets(queue.stdout, queue.stderr, logging.max_bytes, logging.backups)


def targets_of_copy(copy: ProgramCopy, program: ProgramSettings) -> Targets:
    """Return where the lines of one copy of a program go."""
    tap = copy.ready.where if copy.ready.how is How.LINE else ""
    return Targets(copy.stdout, copy.stderr, program.log_max_bytes, program.log_backups, tap)


#: Our own processes print where the master does.
OURS = Targets(LogTarget(), LogTarget(To.STDOUT))


class Output:
    """The pipes of all children of one master. `captures`: there is a logger; else all is inherited."""

    def __init__(self, master: Master, *, captures: bool) -> None:
        self._master = master
        self._captures = captures
        self._pipes: dict[str, _Pipes] = {}
        self._wills: dict[str, dict[str, Any]] = {}
        self._untold: dict[str, None] = {}  # what the logger does not know of yet
        self._journal = new_journal() if captures else -1

    def place(self) -> Place:
        """Return where a logger works."""
        return Place(
            f"{self._master.state.path}/logs", self._journal,
            json=self._master.intent.settings.logging.format == "json",
        )  # fmt: skip

    @property
    def journal(self) -> int:
        """The descriptor that a logger keeps."""
        return self._journal

    def lend(self, key: str, name: str, targets: Targets, *, own: bool = False) -> tuple[int, ...]:
        """Return what a child is to have as stdout and stderr, () to inherit ours; the caller closes them.

        Raises OSError.
        """
        if not self._captures:
            return ()
        writes = self._open(key, name, targets, own=own)
        self._tell(key)
        return writes[0], writes[1] if len(writes) > 1 else os.dup(writes[0])

    @contextmanager
    def opened(
        self, key: str, name: str, targets: Targets, *, own: bool = False
    ) -> Iterator[tuple[int, int]]:
        """Give what a child is to have as stdout and stderr, while it is made. Raises OSError.

        If making it raises, there is no child, and nothing is kept.
        """
        lent = self.lend(key, name, targets, own=own)
        try:
            yield lent if len(lent) == 2 else (1, 2)
        except BaseException:
            self.forget(key)
            raise
        finally:
            for fd in lent:
                os.close(fd)

    def take_lines_of_master(self) -> None:
        """Let the master's own lines go the way of all lines."""
        if self._captures:
            (write,) = self._open(_MASTER, _MASTER, OURS, own=True)
            self._tell(_MASTER)
            self._master.log.to(write)

    def forget(self, key: str) -> None:
        """Give the read ends back: nobody writes there any more, and all is read."""
        if (pipes := self._pipes.pop(key, None)) is not None:
            for fd in pipes.ends:
                os.close(fd)

    def will(self, kept: Kept, *, stop_signal: int, grace: float, stop_group: bool) -> None:
        """Have a program ended if the master dies."""
        facts = {"pid": kept.pid, "stop_signal": stop_signal, "grace": grace, "stop_group": stop_group}
        self._wills[kept.id] = facts
        self._tell(kept.id)

    def unwill(self, kept: Kept) -> None:
        """It is dead."""
        if self._wills.pop(kept.id, None) is not None and (logger := self._logger()) is not None:
            logger.lifeline.say("unwill", key=kept.id)

    def brief(self) -> None:
        """Tell a fresh logger everything."""
        self._untold = dict.fromkeys([*self._pipes, *self._wills])
        self.tick()

    def next_moment(self) -> float:
        """Return when something is to be told again (monotonic; inf if nothing is)."""
        return time.monotonic() + _TELL_AGAIN if self._untold and self._logger() else float("inf")

    def tick(self) -> None:
        """Tell what the logger had no room for before."""
        logger = self._logger()
        if logger is None:
            return  # the next one is told of all
        for key in list(self._untold):
            if not self._say(logger.lifeline, key):
                return
            del self._untold[key]

    def reopen(self) -> None:
        """Have the files opened anew: somebody has moved them (SIGUSR1)."""
        if (logger := self._logger()) is not None:
            logger.lifeline.say("reopen")

    def renew(self) -> None:
        """Have a logger that knows the configuration as it is now: killed, it loses nothing."""
        if (logger := self._logger()) is not None:
            self._master.nursery.kill(logger)
            self._master.note(events.KillSent(logger.id, Reason.RELOAD))

    def hear(self, message: dict[str, Any]) -> None:
        """Take note of what the logger says. What it could not be told before is told now."""
        match message["say"]:
            case "ended":
                if message["key"] == _MASTER:
                    self._master.log.to(1)  # the logger leaves
                self.forget(message["key"])
            case "tapped":
                self._master.note(events.Ready(message["key"], time.monotonic()))
            case "problem":
                missing = f"; lines lost: {message['missing']}" if message["missing"] else ""
                self._master.news.problem(f"logs, {message['target']}", message["text"] + missing)
            case "solved":
                self._master.news.solved(f"logs, {message['target']}")

    def _open(self, key: str, name: str, targets: Targets, *, own: bool) -> list[int]:
        number = 1 if targets.stderr.to is To.STDOUT else 2
        reads: list[int] = []
        writes: list[int] = []
        try:
            for _ in range(number):
                read, write = os.pipe2(os.O_CLOEXEC)
                reads.append(read)
                writes.append(write)
        except OSError:
            for fd in (*reads, *writes):
                os.close(fd)
            raise
        self._pipes[key] = _Pipes(key, name, own, targets, tuple(reads))
        return writes

    def _logger(self) -> Kept | None:
        loggers = [kept for kept in self._master.nursery.kept.values() if kept.pool == LOGGER]
        return loggers[-1] if loggers else None  # one that was killed may not be buried yet

    def _tell(self, key: str) -> None:
        self._untold[key] = None
        self.tick()

    def _say(self, lifeline: Lifeline, key: str) -> bool:
        """Say everything about one child; False if there is no room."""
        told = True
        if (pipes := self._pipes.get(key)) is not None:
            targets = pipes.targets
            told = lifeline.say(
                "follow", key=key, name=pipes.name, own=pipes.own, fds=pipes.ends, tap=targets.tap,
                out=self._spec(targets.stdout, targets, ""),
                err=self._spec(targets.stderr, targets, "/dev/stderr"),
            )  # fmt: skip
        kept = self._master.nursery.kept.get(key)
        if told and kept is not None and (will := self._wills.get(key)) is not None:
            told = lifeline.say("will", key=key, fds=(kept.pidfd,), **will)
        return told

    def _spec(self, target: LogTarget, targets: Targets, otherwise: str) -> dict[str, Any]:
        logging = self._master.intent.settings.logging
        most, backups = targets.most, targets.backups
        if target.to in (To.MASTER, To.STDOUT):
            if logging.file.to is To.MASTER:
                return {"to": otherwise}
            target, most, backups = logging.file, logging.max_bytes, logging.backups
        to = target.path if target.to is To.FILE else str(target.to.value)
        return {"to": to, "most": most, "backups": backups}
