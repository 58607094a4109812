"""The foothold: what a running master must have in its state directory, and puts back when it was removed.

Cleaners of temporary files, and hands, remove the lock, the control socket or all of the directory. Then
nobody could ask the master or stop it, and a second one could start beside it. Nothing wakes the master for
this: it looks when it is awake, and a command that finds no socket wakes the holder of the lock (ask.py).
"""

from __future__ import annotations

import os
from typing import Protocol

from procqueue.process import lock, statedir
from procqueue.process.control import Control
from procqueue.process.log import Log
from procqueue.process.news import News
from procqueue.process.statedir import StateDir

#: Seconds until what is missing is put back: whoever removes a directory shall be done by then.
_PATIENCE = 0.5


class Master(Protocol):
    """What the foothold needs of its master."""

    state: StateDir
    control: Control
    log: Log
    news: News

    def ask_to_stop(self, *, hard: bool) -> None:
        """Stop soft; the second time, or if `hard`, at once."""


class Foothold:
    """The foothold of one master."""

    def __init__(self, master: Master) -> None:
        self._master = master
        self._put_back_at = float("inf")

    def next_moment(self) -> float:
        """Return when something is to be put back (monotonic; inf if nothing is missing)."""
        return self._put_back_at

    def tick(self, now: float) -> None:
        """Look whether something is missing, and put it back."""
        if self._master.state.lost or (self._has_lock() and self._has_socket()):
            self._put_back_at = float("inf")
            return
        self._put_back_at = min(self._put_back_at, now + _PATIENCE)
        if now < self._put_back_at:
            return
        self._put_back_at = float("inf")
        try:
            self._put_back()
            self._master.news.solved("state_dir")
        except lock.Occupied as other:
            # Both would replace, and end, each other's consumers. Who was started by a hand last goes on.
            self._master.state.lost = True
            text = f"it was removed, and another master has it now (pid {other.pid}): stopping this one"
            self._master.log.error("state_dir", text=text)
            self._master.ask_to_stop(hard=False)
        except OSError as error:
            self._master.news.problem("state_dir", f"cannot be put back: {error.strerror}")

    def _put_back(self) -> None:
        state, what = self._master.state, "control socket"
        if not self._has_lock():
            statedir.take_again(state)
            what = f"lock, {what}"
        self._master.control.listen_again()
        self._master.log.warning("put_back", what=what, where=state.path)

    def _has_lock(self) -> bool:
        state = self._master.state
        return lock.is_at(f"{state.path}/master.lock", state.lock_fd)

    def _has_socket(self) -> bool:
        return os.path.exists(self._master.state.socket)
