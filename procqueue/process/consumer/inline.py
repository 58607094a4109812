"""The main thread as a place for runs: one at a time, before anything else is done.

The soft timeout is raised by the signal handler. What user code may have changed of the whole process is put
right when it comes back, also when it ran elsewhere: tidy.py.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType

from procqueue.process.consumer.clock import Clock, Run
from procqueue.process.consumer.tidy import Tidy
from procqueue.process.consumer.wake import Interrupts
from procqueue.tasks.context import deliver_timeout


class Maimed(RuntimeError):
    """The process cannot go on. How its message ended stands on the board; the scheduler settles it."""


class Inline:
    """The main thread. `carry_out` runs a message to its settlement."""

    def __init__(self, clock: Clock, interrupts: Interrupts, carry_out: Callable[[Run], None]) -> None:
        self._carry_out = carry_out
        self._tidy = Tidy(interrupts, clock.calm, clock.ring, clock.hear_cancels)
        self.come_back = self._tidy.after

    def start(self, run: Run) -> None:
        """Carry a run out, to its end. Raises Maimed."""
        run.is_here = True
        self._carry_out(run)
        self._check()

    def put_right(self) -> None:
        """Put right what user code has left here since the last look. Raises Maimed."""
        self._tidy.look()
        self._check()

    def put_all_right(self) -> None:
        """Put right what user code may have left in this process from elsewhere. Raises Maimed."""
        self._tidy.after(0.0, "")
        self._check()

    def tell(self, run: Run, frame: FrameType | None, /, *, cancelled: bool) -> None:
        """Raise the soft timeout here, if the handler of this thread runs."""
        try:
            deliver_timeout(frame, cancelled=cancelled)
        except BaseException:
            run.is_shaken = True
            raise

    def close(self) -> None:
        """Nothing is left behind."""

    def _check(self) -> None:
        if self._tidy.maimed:
            raise Maimed("the handler closed the descriptors of its consumer")
