"""How a consumer is interrupted while it waits: signals through a pipe, the master's end by the lifeline."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from types import FrameType

from procqueue.process.lifeline import Lifeline


class Interrupts:
    """What may end a wait. TERM or INT from anyone, and the master's end, set `stopping` (S8, S11)."""

    def __init__(self, lifeline: Lifeline) -> None:
        self.lifeline = lifeline
        self.stopping = False
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def catch(self, on_alarm: Callable[[int, FrameType | None], None]) -> None:
        """Install the handlers; before each message again, because handlers change them (0.5 µs)."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGALRM, on_alarm)

    def listen(self) -> None:
        """Let signals end a wait."""
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for ignored in (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE):
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
        self.lifeline.hear()
        if self.lifeline.ended:
            self.stopping = True

    def wait(self, seconds: float) -> None:
        """Sleep for at most `seconds`, less if something interrupts."""
        poll = select.poll()
        for fd in self.descriptors():
            poll.register(fd, select.POLLIN)
        poll.poll(max(0, int(seconds * 1000)))
        self.clear()

    def _stop(self, _signum: int, _frame: FrameType | None) -> None:
        self.stopping = True
