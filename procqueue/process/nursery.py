"""The nursery: the operating system's side of every child. It carries out what the plan decided.

core/book.py knows how the children stand; here are their pids, pidfds, lifelines and boards. The order at a
death is fixed: kill the group, then reap, so that the group's number cannot have become somebody else's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Protocol

from procqueue.core.events import UNCAUSED, Child, Reason
from procqueue.core.exits import Exit
from procqueue.core.fate import Cause
from procqueue.process import ending, kernel
from procqueue.process.lifeline import Lifeline
from procqueue.process.reclaim import board_path
from procqueue.process.spawn import fork_child, own_group
from procqueue.process.view import NoBoard, View


@dataclass(slots=True)
class Kept:
    """One child, as the operating system knows it."""

    id: str
    pool: str
    index: int
    pid: int
    pidfd: int
    lifeline: Lifeline
    queues: tuple[str, ...] = ()
    driver: str = ""  # where a consumer takes its messages from, or a scheduler keeps house
    is_program: bool = False
    start_time: int | None = None
    awaits: str = ""  # the template that is still to fork it: until then there is no process
    theirs: tuple[int, ...] = ()  # what the template hands on to it, first its lifeline; not yet sent
    handed: bool = False  # it has its board and its stacks file from us (handed.py)
    board: View | None = None
    overdue: int | None = None  # the ticket whose deadline was enforced
    detail: dict[str, Any] = field(default_factory=dict)  # why it died, for people
    error: str = ""  # what it said of its own failure

    def hand_on(self) -> None:
        """Close what belongs to the child only, which has it now, or never will."""
        for fd in self.theirs:
            os.close(fd)
        self.theirs = ()

    @property
    def is_consumer(self) -> bool:
        """True for those that handle messages."""
        return not self.is_program and not self.pool.startswith("@")

    @property
    def name(self) -> str:
        """What people call it."""
        if self.pool.startswith("@"):
            return self.pool[1:]
        return self.pool if self.is_program else f"{self.pool}:{self.index}"


@dataclass(frozen=True, slots=True)
class Exited:
    """How a process ended: exactly one of the two is set."""

    code: int | None
    signal: str | None

    def facts(self) -> dict[str, Any]:
        """Return the one that is set, for records and lines."""
        return {"signal": self.signal} if self.signal else {"exit_code": self.code}

    def words(self) -> str:
        """Return the one that is set, for a sentence."""
        return f"signal {self.signal}" if self.signal else f"exit code {self.code}"


class Programs(Protocol):
    """Who knows how programs are ended (copies.py)."""

    def stop(self, kept: Kept) -> None:
        """Ask a copy to leave."""

    def end(self, kept: Kept) -> None:
        """SIGKILL all that belongs to a copy."""

    def owns(self, pid: int) -> bool:
        """True if a process belongs to a copy that lives."""


class Nursery:
    """All children of the master."""

    programs: Programs

    def __init__(self, boards: str, descriptors: tuple[int, int]) -> None:
        self._boards = boards
        self._descriptors = descriptors  # the limits that user code gets
        self.kept: dict[str, Kept] = {}
        # Whoever was there before us (a shell's `job & exec procqueue start`) is not ours to kill.
        self._strangers = set(kernel.children_of(os.getpid()))
        self._spared: set[int] = set()  # children of the master that are reaped elsewhere

    def fork(
        self,
        id: str,
        pool: str,
        index: int,
        queues: tuple[str, ...],
        body: Callable[[Lifeline], int],
        *,
        parent_death: int | None,
        keep: tuple[int, ...],
        driver: str = "",
        output: tuple[int, int] = (1, 2),
        runs_user_code: bool = True,
    ) -> Kept:
        """Make a child. Raises OSError where none can be made."""
        limits = self._descriptors if runs_user_code else None
        born = fork_child(body, parent_death=parent_death, keep=keep, descriptors=limits, output=output)
        kept = Kept(id, pool, index, born.pid, born.pidfd, born.lifeline, queues, driver)
        self.adopt(kept)
        return kept

    def adopt(self, kept: Kept) -> None:
        """Look after a child that was made elsewhere."""
        kept.start_time = kernel.start_time_of(kept.pid)
        self.kept[kept.id] = kept

    def descriptors_to_come(self) -> int:
        """Return how many more those will take that are made: a pidfd, and the board of each consumer."""
        kept = self.kept.values()
        return sum(bool(k.awaits) for k in kept) + sum(k.is_consumer and k.board is None for k in kept)

    def born(self, kept: Kept, pid: int, pidfd: int) -> None:
        """Note that the template has forked what was ordered of it."""
        kept.pid, kept.pidfd, kept.start_time, kept.awaits = pid, pidfd, kernel.start_time_of(pid), ""
        own_group(pid)
        self.sweep()  # it may have waited for this

    def unborn(self, kept: Kept) -> None:
        """Forget a child that was ordered and will never be. One on its way sees the end of its lifeline."""
        del self.kept[kept.id]
        kept.lifeline.close()
        kept.hand_on()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(board_path(self._boards, kept.id))  # made beforehand if it was handed
        self.sweep()  # it may have waited for this

    def board(self, kept: Kept) -> View | None:
        """Return the board of a consumer or the scheduler, None as long as it has none."""
        if kept.board is None:
            try:
                kept.board = View.open(board_path(self._boards, kept.id))
            except (NoBoard, OSError):
                return None  # not there yet; or no descriptor is free, and the next look may have one
        return kept.board

    def stop(self, kept: Kept) -> None:
        """Ask it to finish and leave, in two ways: the signal is quick, but may be eaten by user code.

        CONT, because a stopped process hears nothing.
        """
        if kept.is_program:
            self.programs.stop(kept)
            return
        kept.lifeline.say("stop")
        if not kept.awaits:
            kernel.send(kept.pid, signal.SIGTERM)
            kernel.send(kept.pid, signal.SIGCONT)

    def kill(self, kept: Kept) -> None:
        """End it with everything that descends from it."""
        if kept.is_program:
            self.programs.end(kept)
        elif not kept.awaits:
            kernel.kill_tree(kept.pid)

    def end(self, kept: Kept) -> None:
        """The same with one that had its time to leave: its board says so to whoever reclaims it."""
        if kept.is_program:
            self.programs.end(kept)
        elif not kept.awaits:
            ending.end(kept.pid, self.board(kept) if kept.is_consumer else None)

    def kill_if_overdue(self, kept: Kept) -> bool:
        """Stop, look, kill: end it only if the message is still running once the process stands still."""
        kept.overdue = ending.stop_and_look(kept.pid, self.board(kept))
        if kept.overdue is None:
            ending.let_go(kept.pid)
            return False
        ending.end(kept.pid, self.board(kept), kept.overdue)
        return True

    def bury(self, kept: Kept) -> Exited:
        """Reap a dead child, and kill and reap what it left behind."""
        self.kill(kept)
        result = os.waitid(os.P_PIDFD, kept.pidfd, os.WEXITED)
        if kept.overdue is None and kept.is_consumer and _was_killed(result):
            # Perhaps by its own kernel timer, while this process stood still (consumer/lastresort.py).
            board = self.board(kept)
            now_ms = time.monotonic_ns() // 1_000_000
            kept.overdue = board.overdue(now_ms, as_written=True) if board is not None else None
        self.kept.pop(kept.id, None)
        os.close(kept.pidfd)
        kept.lifeline.close()
        if kept.board is not None:
            kept.board.close()
            kept.board = None
        if not kept.queues:  # a consumer's board is read, and removed, by who reclaims it
            with contextlib.suppress(FileNotFoundError):
                os.unlink(board_path(self._boards, kept.id))
        self.sweep()
        if result is None or result.si_code == os.CLD_EXITED:
            return Exited(result.si_status if result else 0, None)
        return Exited(None, _name_of(result.si_status))

    def spare(self, pid: int, *, yes: bool = True) -> None:
        """Take a child for no orphan: somebody else looks after it, until `yes` is false."""
        if yes:
            self._spared.add(pid)
        else:
            self._spared.discard(pid)

    def sweep(self) -> None:
        """Kill the orphans that dead children left to us, and reap all of them (we are their subreaper).

        Not while a template carries out an order: a child that nobody knows may be the one that was ordered.
        """
        self._strangers = {pid for pid in self._strangers if not _reap(pid)}
        if any(kept.awaits for kept in self.kept.values()):
            return
        ours = {kept.pid for kept in self.kept.values()} | self._strangers | self._spared
        for pid in self._orphans(ours):
            kernel.kill_tree(pid)
        while True:
            orphans = self._orphans(ours)
            if not any(_reap(pid) for pid in orphans):
                return

    def _orphans(self, ours: set[int]) -> list[int]:
        """Return who was left to us; what a living program has let go still belongs to it."""
        strangers = [pid for pid in kernel.children_of(os.getpid()) if pid not in ours]
        return [pid for pid in strangers if not self.programs.owns(pid)]

    def resident_bytes(self, kept: Kept) -> int | None:
        """Return the resident memory of a child."""
        return kernel.resident_bytes_of(kept.pid)


def reason_of(exited: Exited, child: Child, overdue: int | None, ok_codes: Collection[int] = ()) -> Reason:
    """Return why a child left: what we asked for, what it said, or what its exit tells.

    `overdue`: the ticket whose deadline was enforced. `ok_codes`: with which a program has done its work.
    """
    asked = child.leaving
    if child.killed and asked is not None:
        return asked
    if overdue is not None:
        return Reason.TIMEOUT  # by its own kernel timer: we did not look
    if ok_codes and asked is None and exited.code in ok_codes:
        return Reason.EXIT
    if ok_codes and asked is not None:
        return asked  # whatever its code: it was told to go
    if exited.code == Exit.CANNOT_IMPORT:
        return Reason.IMPORT_ERROR
    if exited.code == Exit.DISOWNED:
        return Reason.DISOWNED
    if exited.code == 0 and asked is not None:
        return asked
    return Reason.CRASH


def cause_of(reason: Reason, killed: bool) -> Cause:
    """Return what a death means for the messages that the dead one owned."""
    if reason is Reason.TIMEOUT and killed:
        return Cause.TIMEOUT
    if reason is Reason.MEMORY_HARD:
        return Cause.MEMORY
    return Cause.CRASH if reason in UNCAUSED else Cause.STOPPED


def _was_killed(result: os.waitid_result | None) -> bool:
    return result is not None and (result.si_code, result.si_status) == (os.CLD_KILLED, signal.SIGKILL)


def _name_of(signum: int) -> str:
    try:
        return signal.Signals(signum).name.removeprefix("SIG")
    except ValueError:  # one of the thirty real-time signals, of which Python names two
        return str(signum)


def _reap(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False
