"""The undertaker: what the scheduler becomes when the master is dead (law S8).

The orphans finish what they run and leave by themselves; whoever has not left at its grace is killed with all
its descendants; whoever dies is reclaimed at once. The undertaker leaves last.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from procqueue.core.errors import DriverError
from procqueue.core.fate import Cause
from procqueue.core.settings.model import Settings
from procqueue.process import kernel
from procqueue.process.board import Board, NoBoard
from procqueue.process.log import Log
from procqueue.process.reclaim import Death, Living, board_path


@dataclass(slots=True)
class _Orphan:
    one: Living
    pidfd: int
    kill_at: float
    killed: Cause | None = None
    overdue: int | None = None


class Undertaker:
    """Sees the last consumers of a dead master off."""

    def __init__(
        self,
        settings: Settings,
        living: Mapping[str, Living],
        deaths: Mapping[str, Death],
        boards: str,
        log: Log,
    ) -> None:
        self._boards = boards
        self._log = log
        now = time.monotonic()
        self._orphans: dict[int, _Orphan] = {}
        self._dead = list(deaths.values())  # the master has told of them, and why
        for one in (one for one in living.values() if one.consumer not in deaths):
            queue = settings.queues.get(one.pool)
            grace = queue.effective_grace(settings.master.grace) if queue else 25.0
            pidfd = kernel.open_pidfd(one.pid, one.start_time)
            if pidfd is None:
                self._dead.append(Death(one.consumer, one.queues, Cause.UNWATCHED))
            else:
                self._orphans[pidfd] = _Orphan(one, pidfd, now + grace)
        log.warning("master_died", orphans=len(self._orphans))

    def run(self, housekeeping: Callable[[], float], reclaim: Callable[[Death], None]) -> None:
        """Stay until the last orphan is gone and reclaimed."""
        poll = select.poll()
        for pidfd in self._orphans:
            poll.register(pidfd, select.POLLIN)
        while self._orphans or self._dead:
            pause = self._settle(housekeeping, reclaim)
            self._kill_late()
            for pidfd, _ in poll.poll(round(pause * 1000)):
                poll.unregister(pidfd)
                self._bury(self._orphans.pop(pidfd))
        self._log.info("last_orphan_left")

    def _settle(self, housekeeping: Callable[[], float], reclaim: Callable[[Death], None]) -> float:
        try:
            while self._dead:
                reclaim(self._dead[0])
                self._dead.pop(0)
            pause = housekeeping()
        except (DriverError, OSError) as error:
            self._log.warning("driver_away", text=str(error))
            pause = 1.0
        return min([pause, *(max(0.0, o.kill_at - time.monotonic()) for o in self._orphans.values())])

    def _kill_late(self) -> None:
        now = time.monotonic()
        for orphan in self._orphans.values():
            if orphan.killed:
                continue
            overdue = self._overdue(orphan.one)
            if overdue is None and now < orphan.kill_at:
                continue
            orphan.killed = Cause.STOPPED if overdue is None else Cause.TIMEOUT
            orphan.overdue = overdue
            orphan.kill_at = float("inf")
            self._log.warning("orphan_killed", consumer=orphan.one.consumer, pid=orphan.one.pid)
            kernel.kill_tree(orphan.one.pid)

    def _overdue(self, one: Living) -> int | None:
        try:
            board = Board.open(board_path(self._boards, one.consumer))
        except (NoBoard, OSError):
            return None
        overdue = board.overdue(time.monotonic_ns() // 1_000_000)
        board.close()
        return overdue

    def _bury(self, orphan: _Orphan) -> None:
        os.close(orphan.pidfd)
        one = orphan.one
        cause = orphan.killed or Cause.CRASH
        detail = {"signal": "KILL"} if orphan.killed else {"unwatched": "its master had died before it"}
        self._dead.append(Death(one.consumer, one.queues, cause, orphan.overdue, detail))
