"""What user code may have done to the process, and how the next message finds it as the first one did.

Directory and process are looked at after each run. The rest (signals and their mask, the timer, what wakes
us, the descriptors that must be ours, what the master says) costs 40 µs of system calls: it is put right
before the driver is called, after a run that did not simply return, and as soon as 3 ms have gone into runs
since the last look. A task that was never seen to leave all as it was, or once to leave anything else, has a
look after each of its runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from types import FrameType

from procqueue.process.consumer.wake import Interrupts

#: What trusted tasks may have left is looked at when so many seconds have gone into their runs.
_EVERY = 0.003

Hear = Callable[[int, FrameType | None], None]


class Tidy:
    """Puts this process right after user code. `maimed`: it cannot be, for descriptors are gone.

    `calm`: stops the timer, but for what runs elsewhere; False if somebody else had set it meanwhile.
    """

    def __init__(
        self, interrupts: Interrupts, calm: Callable[[], bool], on_alarm: Hear, on_cancel: Hear
    ) -> None:
        self._interrupts = interrupts
        self._calm = calm
        self._hearers = (on_alarm, on_cancel)
        self._pid = os.getpid()
        self._home = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._lifeline = os.fstat(interrupts.lifeline.fileno()).st_ino
        self._trusted: set[str] = set()
        self._messy: set[str] = set()
        self._unseen: set[str] = set()  # what has run since the last look
        self._since = 0.0  # when the first of these began
        self.maimed = False
        interrupts.catch(*self._hearers)

    def after(self, began: float, task: str) -> None:
        """Come back from a run of `task` that began at a monotonic moment; "": of what is never trusted."""
        if os.getpid() != self._pid:
            os._exit(0)  # the handler forked, and its child has come back here: it owns nothing
        try:
            os.fchdir(self._home)
        except OSError:
            self.maimed = True
        if not self._unseen:
            self._since = began
        self._unseen.add(task)
        if task not in self._trusted or time.monotonic() - self._since >= _EVERY:
            self.look()

    def look(self) -> None:
        """Put everything right."""
        if not self._unseen:
            return
        as_it_was = self._calm()
        try:
            as_it_was &= self._interrupts.catch(*self._hearers)
            self.maimed |= os.fstat(self._interrupts.lifeline.fileno()).st_ino != self._lifeline
        except (OSError, ValueError):  # closed; or the number is now that of something else
            self.maimed = True
        if not self.maimed:
            self._interrupts.hear()
        for fd in (0, 1, 2):
            as_it_was &= _keep_open(fd)
        self._judge(as_it_was)

    def _judge(self, as_it_was: bool) -> None:
        if as_it_was:
            self._trusted |= self._unseen - self._messy
        else:
            self._messy |= self._unseen
            self._trusted -= self._messy
        self._trusted.discard("")
        self._unseen.clear()


def _keep_open(fd: int) -> bool:
    """Put /dev/null where user code closed a standard stream: the next socket would take its number.

    False if it had been closed.
    """
    try:
        os.fstat(fd)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != fd:
            os.dup2(null, fd)
            os.close(null)
        return False
    return True
