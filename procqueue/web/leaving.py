"""When the dashboard has to leave: the master says so, or is gone, or sends TERM."""

from __future__ import annotations

import os
import select
import signal

from procqueue.process.lifeline import Lifeline
from procqueue.process.spawn import let_signals_in


def hear_signals(lifeline: Lifeline) -> None:
    """Leave at once at TERM: nothing is half done here that a driver would not finish or take back."""

    def leave(_signum: int, _frame: object) -> None:
        lifeline.say("leaving", reason="stop")
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(ignored, signal.SIG_IGN)
    let_signals_in()


def is_over(lifeline: Lifeline) -> bool:
    """Return whether it is time to leave, by what the master has said."""
    return any(message["say"] == "stop" for message in lifeline.hear()) or lifeline.ended


def wait_for_end(lifeline: Lifeline) -> int:
    """Wait until it is time; return the exit code."""
    hear_signals(lifeline)
    poll = select.poll()
    poll.register(lifeline.fileno(), select.POLLIN)
    while not is_over(lifeline):
        poll.poll()
    lifeline.say("leaving", reason="stop")
    return 0
