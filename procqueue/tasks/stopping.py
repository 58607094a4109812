"""Whether this process was asked to stop: `procqueue.stopping()`, for programs with a `target`.

The signal handler holds one statement. An eventfd that nobody reads wakes every thread that waits, however
many there are; a threading.Event could deadlock, for a handler may come while its own lock is held.
"""

from __future__ import annotations

import os
import select
import signal
import time

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopping:
    """Asks whether a soft stop was asked for. `procqueue.stopping` is the one of this process."""

    def __init__(self) -> None:
        self._fd = -1  # the eventfd; -1 in a process that nobody listens in

    def __call__(self) -> Stopping:
        """Return this: true as soon as a soft stop is asked for; then finish what is begun, and return."""
        return self

    def __bool__(self) -> bool:
        return self._fd != -1 and self._asked(0)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until a soft stop is asked for, at most `seconds` (None: for ever); return whether it was.

        From any thread; in place of time.sleep in a loop. Where nobody listens it only waits.
        """
        give_up = None if seconds is None else time.monotonic() + seconds
        while True:
            left = None if give_up is None else max(0.0, give_up - time.monotonic())
            # In pieces of a day: poll counts milliseconds in 32 bits.
            if self._asked(min(86_400.0, left) if left is not None else 86_400.0):
                return True
            if give_up is not None and time.monotonic() >= give_up:
                return False

    def listen(self) -> None:
        """Take TERM and INT for "finish and leave" from now on (law S11); from the main thread, once."""
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        for signum in _SIGNALS:
            signal.signal(signum, self._heard)
        # A child that is forked without exec is not the program: TERM ends it as it ends any process.
        os.register_at_fork(after_in_child=self._forget)

    def _heard(self, _signum: int, _frame: object) -> None:
        os.eventfd_write(self._fd, 1)

    def _asked(self, seconds: float) -> bool:
        poll = select.poll()
        if self._fd != -1:
            poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def _forget(self) -> None:
        if self._fd == -1:
            return  # the child of a child
        for signum in _SIGNALS:
            if signal.getsignal(signum) == self._heard:
                signal.signal(signum, signal.SIG_DFL)
        os.close(self._fd)
        self._fd = -1


stopping = Stopping()
