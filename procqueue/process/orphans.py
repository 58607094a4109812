"""Orphans: consumers whose master was killed (law S8).

They finish what they run and leave by themselves. Who has not left at its grace, or runs a message past its
deadline, is ended. Both the undertaker (undertaker.py) and the next master (liaison.Adoption) see them off,
perhaps at the same time: they come to the same verdicts, for the board says who was killed and why.
Neither is their parent, so the numbers are used only while the pidfd says that they are theirs.
"""

from __future__ import annotations

import os
import signal
import time

from procqueue.core.fate import Cause
from procqueue.core.settings.model import Settings
from procqueue.process import kernel
from procqueue.process.ending import end, let_go, stop_and_look
from procqueue.process.reclaim import Death, board_path
from procqueue.process.view import NoBoard, View

#: Their boards are read so often.
LOOK_EVERY = 1.0
#: For consumers of a queue that the file does not know any more.
_GRACE = 25.0


def grace_of(settings: Settings, pool: str) -> float:
    """Return the seconds that the consumers of a queue have to leave, once their master is dead."""
    queue = settings.queues.get(pool)
    return queue.effective_grace(settings.master.grace) if queue else _GRACE


class Orphan:
    """One of them. `pidfd` belongs to it from now on; `kill_at` is monotonic."""

    def __init__(
        self, consumer: str, queues: tuple[str, ...], pid: int, pidfd: int, boards: str, kill_at: float
    ) -> None:
        self.consumer = consumer
        self.pid = pid
        self.pidfd = pidfd
        self.kill_at = kill_at
        self._queues = queues
        self._path = board_path(boards, consumer)
        self._view: View | None = None
        self._killed = False

    def end_if_due(self, now: float) -> bool:
        """End it if it has had its time; True if that was done."""
        if self._killed or not self._is_due(now):
            return False
        # What stands still does not end: the number stays its own while we look for its descendants.
        kernel.send_by(self.pidfd, signal.SIGSTOP)
        if kernel.has_ended(self.pidfd):
            return False
        overdue = stop_and_look(self.pid, self._look())
        if overdue is None and now < self.kill_at:
            let_go(self.pid)
            return False
        end(self.pid, self._look(), overdue)
        self._killed = True
        self.kill_at = float("inf")
        return True

    def put_off(self, seconds: float) -> None:
        """Let it have so much longer: nobody could look."""
        self.kill_at += seconds
        if (view := self._look()) is not None:
            view.put_off(int(seconds * 1000))

    def bury(self) -> Death:
        """Return what its death means, now that the pidfd says that it is dead, and give all back."""
        now_ms = time.monotonic_ns() // 1_000_000
        cause, overdue = Cause.CRASH, None
        if (view := self._look()) is not None:
            # By its own kernel timer, perhaps. Who was killed by somebody has it on the board: reclaim.py.
            overdue = view.overdue(now_ms, as_written=True)
            if overdue is not None:
                cause = Cause.TIMEOUT
            elif 0 < view.ends <= now_ms:
                cause = Cause.STOPPED
            view.close()
        os.close(self.pidfd)
        detail = {"signal": "KILL"} if self._killed else {"unwatched": "its master had died before it"}
        return Death(self.consumer, self._queues, cause, overdue, detail)

    def _is_due(self, now: float) -> bool:
        view = self._look()
        return now >= self.kill_at or (view is not None and view.overdue(int(now * 1000)) is not None)

    def _look(self) -> View | None:
        if self._view is None:
            try:
                self._view = View.open(self._path)
            except (NoBoard, OSError):
                return None
        return self._view
