"""What a killed master has left of its programs: it ends before ours start, for two would fight for a port.

A program is a stranger without a lifeline; it is found by the tag in its environment (programs/sweep.py). The
logger of the dead master stops it (logger/will.py). If that is dead too, we do: politely, then not.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable

from procqueue.process import kernel, lock
from procqueue.process.log import Log
from procqueue.process.logger.main import LOCK
from procqueue.process.programs import sweep

#: So long programs may take to end that nobody but us has told to.
_GRACE = 10.0


class Former:
    """The programs of a former master of `state_dir`. `over` is called when the last is gone."""

    def __init__(self, state_dir: str, selector: selectors.BaseSelector, log: Log) -> None:
        self._state_dir = state_dir
        self._selector = selector
        self._log = log
        self.left: dict[int, sweep.Member] = {}  # by pidfd
        self._over: Callable[[], None] = lambda: None
        self.at = float("inf")  # when patience ends (monotonic)

    def wait(self, patience: float, over: Callable[[], None]) -> bool:
        """Look for them; True if there are any. `patience`: the longest grace (s) of what is configured."""
        mark = f"{self._state_dir}!"
        found = [
            one for owner, members in sweep.owners().items() if owner.startswith(mark) for one in members
        ]
        for member in found:
            pidfd = kernel.open_pidfd(member.pid, member.start_time)
            if pidfd is not None:
                self.left[pidfd] = member
                self._selector.register(pidfd, selectors.EVENT_READ, lambda pidfd=pidfd: self._gone(pidfd))
        if not self.left:
            return False
        self._over = over
        attended = lock.holder(lock_of_logger(self._state_dir)) is not None
        self._log.warning(
            "former_programs", processes=len(self.left), stopped_by="their logger" if attended else "us"
        )
        if not attended:
            for pidfd in self.left:
                kernel.send_by(pidfd, signal.SIGTERM)
                kernel.send_by(pidfd, signal.SIGCONT)
        self.at = time.monotonic() + max(patience, _GRACE)
        return True

    def kill_late(self) -> None:
        """End those that have not left in time."""
        self.at = float("inf")
        for member in self.left.values():
            sweep.kill(member)

    def put_off(self, seconds: float) -> None:
        """Have so much more patience: nobody could look."""
        self.at += seconds

    def _gone(self, pidfd: int) -> None:
        self._selector.unregister(pidfd)
        os.close(pidfd)
        del self.left[pidfd]
        if not self.left:
            self.at = float("inf")
            self._over()


def lock_of_logger(state_dir: str) -> str:
    """Return the file that a living logger holds locked."""
    return f"{state_dir}/logs/{LOCK}"
