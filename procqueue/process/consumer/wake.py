"""How a consumer is interrupted while it waits: signals through a pipe, the master's end by the lifeline."""

from __future__ import annotations

import math
import os
import select
import signal
from collections.abc import Callable, Collection, Iterable
from importlib import import_module
from types import FrameType

from procqueue.process.lifeline import Lifeline

_signal = import_module("_signal")  # what signal wraps; the type checkers do not know it
_TERM, _INT, _ALRM, _URG = map(int, (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGURG))
_SETMASK = int(signal.SIG_SETMASK)


class Interrupts:
    """What may end a wait. TERM or INT from anyone, and the master's end, set `stopping` (S8, S11).

    `paused`: the queues of which no message is to be taken here; what the master says later changes it.
    `orphaned` is called when the master's end is heard, perhaps more than once, perhaps in a signal handler.
    """

    def __init__(
        self, lifeline: Lifeline, orphaned: Callable[[], None], paused: Collection[str] = ()
    ) -> None:
        self.lifeline = lifeline
        self.stopping = False
        self.paused = frozenset(paused)
        self._master = os.getppid()
        self._orphaned = orphaned
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(lifeline.fileno(), select.POLLIN)

    def catch(
        self,
        on_alarm: Callable[[int, FrameType | None], None],
        on_cancel: Callable[[int, FrameType | None], None],
    ) -> bool:
        """Let signals in, and let them end a wait; after user code again, which changes all of it.

        False if it was otherwise.
        """
        stop = self._stop
        # SIGURG is ignored by default: it may come early, or to a child.
        wanted = ((_TERM, stop), (_INT, stop), (_ALRM, on_alarm), (_URG, on_cancel))
        # What signal.signal makes of its arguments and answers took a tenth of the CPU of a short message.
        before = [_signal.signal(number, hear) == hear for number, hear in wanted]
        woken = _signal.set_wakeup_fd(self._write, warn_on_full_buffer=False) == self._write
        return all(before) and woken and not _signal.pthread_sigmask(_SETMASK, ())

    def ignore_others(self) -> None:
        """Ignore what a terminal or an operator may send to everyone."""
        for ignored in (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGPIPE):
            signal.signal(ignored, signal.SIG_IGN)

    def descriptors(self) -> list[int]:
        """Return what to watch beside the driver."""
        return [self._read, self.lifeline.fileno()]

    def clear(self) -> None:
        """Read what came; called after each wait."""
        try:
            os.read(self._read, 4096)
        except BlockingIOError:
            pass
        self.hear()

    def hear(self) -> None:
        """Take in what the master says; called after each message too, for user code may eat a signal."""
        if self._poll.poll(0):
            for message in self.lifeline.hear():
                match message["say"]:
                    case "stop":
                        self.stopping = True
                    case "paused":
                        self.paused = frozenset(message["queues"])
            if self.lifeline.ended:
                self.stopping = True
            if self.lifeline.ended:
                self._orphaned()

    def wait(self, seconds: float, also: Iterable[int] = ()) -> bool:
        """Sleep for at most `seconds`, until something interrupts; True if one of `also` is readable."""
        poll = select.poll()
        for fd in (*self.descriptors(), *also):
            poll.register(fd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(max(0, math.ceil(seconds * 1000)))}
        self.clear()
        return not ready.isdisjoint(also)

    def _stop(self, _signum: int, _frame: FrameType | None) -> None:
        self.stopping = True
        # By the parent, not by the lifeline: its number may be somebody else's while user code runs.
        if os.getppid() != self._master:
            self._orphaned()
