"""How a consumer is ended on purpose: why is written on its board, then it goes with all its descendants.

Written first, because who kills may not live to tell, and because two schedulers of one host may both see
the death (law S8): whoever reclaims it reads the same.
"""

from __future__ import annotations

import signal
import time

from procqueue.core.fate import Cause
from procqueue.process import kernel
from procqueue.process.view import View

#: How long a process may take to stand still before we take it to be stuck in the kernel.
_STOP_SECONDS = 0.1


def stop_and_look(pid: int, view: View | None) -> int | None:
    """Let a consumer stand still; return the ticket of a message that is past its deadline, None if none is.

    Looking without stopping would be a race: measured, the message had ended meanwhile in 26 of 100 kills.
    What does not stand still within 100 ms is in the kernel and cannot move its word.
    """
    kernel.send(pid, signal.SIGSTOP)
    kernel.wait_stopped(pid, _STOP_SECONDS)
    return view.overdue(time.monotonic_ns() // 1_000_000) if view is not None else None


def let_go(pid: int) -> None:
    """Let a stopped one go on."""
    kernel.send(pid, signal.SIGCONT)


def end(pid: int, view: View | None, overdue: int | None = None) -> None:
    """End a consumer that had its time, or whose message `overdue` had. The number must still be its own."""
    if view is not None:
        view.mark(Cause.STOPPED if overdue is None else Cause.TIMEOUT, overdue or 0)
    kernel.kill_tree(pid)
