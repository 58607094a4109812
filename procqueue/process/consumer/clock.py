"""When what runs in a consumer is to be told that its time is over, and when the kernel ends it all.

One alarm (SIGALRM) serves all runs, wherever they run: it rings in the main thread at the soonest soft
limit. Each deadline stands on the board first, for the master; the kernel's timer (lastresort.py) is set to
the soonest of them.
"""

from __future__ import annotations

import math
import time
from _thread import RLock
from collections.abc import Iterable
from types import FrameType
from typing import Any, Protocol

import msgspec

from procqueue.core.outcome import Outcome
from procqueue.core.policy import Policy
from procqueue.core.verdict import Settlement
from procqueue.process.board import Board
from procqueue.process.consumer.alarm import Alarm
from procqueue.process.consumer.intake import Held
from procqueue.process.consumer.lastresort import LastResort
from procqueue.tasks.context import Message
from procqueue.tasks.execute import Prepared

NEVER = math.inf


class Place(Protocol):
    """Where runs are carried out: the main thread, a pool of threads, an event loop."""

    def start(self, run: Run) -> None:
        """Carry a run out, now or soon."""

    def tell(self, run: Run, frame: FrameType | None, /, *, cancelled: bool) -> None:
        """Tell the user code of a run that its time is over; from a signal handler of the main thread."""

    def come_back(self, began: float, task: str, /) -> None:
        """Come back from user code of a run that began then, of this task; "": a hook, or a listener."""

    def close(self) -> None:
        """Leave nothing behind."""


class Run(msgspec.Struct, eq=False):
    """One message, or notice, from its claim to its settlement. Moments are monotonic."""

    held: Held
    policy: Policy
    prepared: Prepared | Outcome | None  # None: a notice
    place: Place
    began: float
    ended_at: float = 0.0
    hard_at: float = NEVER
    soft_at: float = NEVER  # when its user code is to be told
    is_late: bool = False  # that moment has passed
    is_handling: bool = False  # its handler runs, not a hook or a listener
    is_shaken: bool = False  # an exception out of nowhere was raised in it (law D14)
    message: Message | None = None
    is_here: bool = False  # in the main thread
    mark: Any = None  # the place's own: its gate, its task
    settlement: Settlement | None = None
    error: BaseException | None = None  # the consumer cannot go on


class Clock:
    """The timers of all runs of one consumer."""

    def __init__(self, board: Board, last_resort: LastResort) -> None:
        self._board = board
        self._last_resort = last_resort
        self._runs: set[Run] = set()
        self._alarm = Alarm()
        self._expected = NEVER  # the deadline of what the main thread is about to begin
        # Signal handlers come in the middle of what the main thread does, and wait for other threads.
        self._lock = RLock()

    def expect(self, policy: Policy) -> int:
        """Return the deadline (monotonic ms, 0: none) of what begins now; the kernel is told."""
        seconds = policy.handle_timeout
        self._expected = time.monotonic() + seconds + policy.kill_after if seconds else NEVER
        self._tell_kernel()
        return int(self._expected * 1000) if seconds else 0

    def rest(self) -> None:
        """Call off what `expect` has set up."""
        self._expected = NEVER
        self._tell_kernel()

    def enter(self, run: Run) -> None:
        """Mind a run, with the deadline that was expected."""
        run.hard_at, self._expected = self._expected, NEVER
        self._runs.add(run)

    def leave(self, run: Run) -> None:
        """Forget a run that has ended."""
        self._runs.discard(run)
        if not run.is_here:  # else `rest` says it, before the driver is called
            self._tell_kernel()

    def give(self, run: Run, seconds: float) -> None:
        """Let its user code have so much from now: the deadline first, so that it can only be late."""
        run.hard_at = time.monotonic() + seconds + run.policy.kill_after if seconds else NEVER
        deadline = int(run.hard_at * 1000) if seconds else 0
        self._board.set_deadline(run.held.queue, run.held.slot, deadline)
        self._tell_kernel()
        self.wake(run, seconds)

    def wake(self, run: Run, seconds: float) -> None:
        """Have its user code told in so many seconds, if it has not ended; 0: never."""
        run.is_late = False
        run.soft_at = time.monotonic() + seconds if seconds else NEVER
        if run.is_here and len(self._runs) == 1:  # alone, and nobody can come
            self._alarm.until(run.soft_at)
        else:
            self._set_alarm()

    def end(self, run: Run) -> None:
        """Its user code has ended."""
        run.soft_at = NEVER
        run.is_late = False
        if run.is_here and len(self._runs) == 1:
            self._alarm.rest()
        else:
            self._set_alarm()

    def calm(self) -> bool:
        """Stop the alarm, but for what runs elsewhere; False if somebody else had set it meanwhile."""
        with self._lock:
            as_it_was = self._alarm.off()
            if self._runs:
                self._set_alarm()
        return as_it_was

    @property
    def is_late(self) -> bool:
        """True while something runs on past its soft limit."""
        return any(run.is_late for run in list(self._runs))

    def ring(self, _signum: int, frame: FrameType | None) -> None:
        """Tell all whose time is over; the signal handler of SIGALRM. In the main thread it raises."""
        with self._lock:
            if not self._alarm.is_due():
                return
            now = time.monotonic()
            due = [run for run in list(self._runs) if run.soft_at <= now]
            for run in due:
                run.soft_at = NEVER
                run.is_late = True
            self._set_alarm()
        _tell(due, frame, cancelled=False)

    def hear_cancels(self, _signum: int, frame: FrameType | None) -> None:
        """Tell all that the scheduler wants to end; the signal handler of SIGURG."""
        _tell([r for r in list(self._runs) if r.is_handling and self.is_cancelled(r)], frame, cancelled=True)

    def is_cancelled(self, run: Run) -> bool:
        """Return whether the scheduler wants a run to end."""
        return self._board.is_cancelled(run.held.queue, run.held.slot, run.held.reservation.ticket)

    def _set_alarm(self) -> None:
        with self._lock:
            self._alarm.until(min((run.soft_at for run in list(self._runs)), default=NEVER))

    def _tell_kernel(self) -> None:
        if not self._runs:  # and nobody can come: we are in the main thread
            self._last_resort.after(self._expected)
            return
        with self._lock:
            soonest = min((run.hard_at for run in list(self._runs)), default=NEVER)
            self._last_resort.after(min(soonest, self._expected))


def _tell(runs: Iterable[Run], frame: FrameType | None, *, cancelled: bool) -> None:
    """Tell them; the one of the main thread last, for there it is an exception."""
    for run in sorted(runs, key=lambda run: run.is_here):
        run.place.tell(run, frame, cancelled=cancelled)
