"""The main thread as a place for runs: one at a time, before anything else is done.

The soft timeout is raised by the signal handler. User code may change signals, the directory and descriptors
of the whole process: all is put right again when it comes back, also when it ran elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import FrameType

from procqueue.process.consumer.clock import Clock, Run
from procqueue.process.consumer.wake import Interrupts
from procqueue.tasks.context import deliver_timeout


class Maimed(RuntimeError):
    """The process cannot go on. How its message ended stands on the board; the scheduler settles it."""


class Inline:
    """The main thread. `carry_out` runs a message to its settlement; `ended` hears of it."""

    def __init__(
        self, clock: Clock, interrupts: Interrupts, carry_out: Callable[[Run], None],
        ended: Callable[[Run], None],
    ) -> None:  # fmt: skip
        self._clock = clock
        self._interrupts = interrupts
        self._carry_out = carry_out
        self._ended = ended
        self._pid = os.getpid()
        self._home = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._lifeline = os.fstat(interrupts.lifeline.fileno()).st_ino
        self._maimed = False
        self._catch()

    def start(self, run: Run) -> None:
        """Carry a run out, to its end. Raises Maimed."""
        run.is_here = True
        self._carry_out(run)
        self._ended(run)
        self.check()

    def check(self) -> None:
        """Raise Maimed if user code has left a process that cannot go on."""
        if self._maimed:
            raise Maimed("the handler closed the descriptors of its consumer")

    def tell(self, run: Run, frame: FrameType | None, /, *, cancelled: bool) -> None:
        """Raise the soft timeout here, if the handler of this thread runs."""
        try:
            deliver_timeout(frame, cancelled=cancelled)
        except BaseException:
            run.is_shaken = True
            raise

    def come_back(self) -> None:
        """Take back our own process, signals, directory and descriptors; `check` says if that failed."""
        if os.getpid() != self._pid:
            os._exit(0)  # the handler forked, and its child has come back here: it owns nothing
        try:
            self._catch()
            os.fchdir(self._home)
            self._maimed = os.fstat(self._interrupts.lifeline.fileno()).st_ino != self._lifeline
        except (OSError, ValueError):  # closed; or the number is now that of something else
            self._maimed = True
        if not self._maimed:
            self._interrupts.hear()
        for fd in (0, 1, 2):
            _keep_open(fd)

    def close(self) -> None:
        """Nothing is left behind."""

    def _catch(self) -> None:
        self._interrupts.catch(self._clock.ring, self._clock.hear_cancels)


def _keep_open(fd: int) -> None:
    """Put /dev/null where user code closed a standard stream: the next socket would take its number."""
    try:
        os.fstat(fd)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != fd:
            os.dup2(null, fd)
            os.close(null)
