"""What signals ask of the master. They come through a pipe, in the loop; nothing is done in a handler.

A hang-up says two things: "read the configuration again", from people and service managers; and "your
terminal is gone", from the kernel. The second is known by a terminal that was there at the start and answers
no more: then the master stops softly, unless it was started with hang-ups ignored (nohup).
"""

from __future__ import annotations

import os
import selectors
import signal
from typing import Protocol

from procqueue.process.intent import Intent
from procqueue.process.log import Log
from procqueue.process.news import News
from procqueue.process.nursery import Nursery
from procqueue.process.output import Output
from procqueue.process.reloads import Reloads
from procqueue.process.stacks import Stacks

_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_SCALES = {signal.SIGTTIN: 1, signal.SIGTTOU: -1}
_OTHERS = (signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2)


class Master(Protocol):
    """What signals need of their master."""

    intent: Intent
    news: News
    nursery: Nursery
    output: Output
    log: Log
    reloads: Reloads
    stacks: Stacks
    selector: selectors.BaseSelector

    def ask_to_stop(self, *, hard: bool) -> None:
        """Stop soft; the second time, or if `hard`, at once."""


class Signals:
    """The signals of one master. `scales`: TTIN and TTOU mean one consumer more or less."""

    def __init__(self, master: Master, *, scales: bool) -> None:
        self._master = master
        self._scales = scales
        self._terminals = [fd for fd in (0, 1, 2) if os.isatty(fd)]
        self._ignores_hang_up = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

    def catch(self) -> None:
        """Hear them from now on."""
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for signum in (*_STOPS, *_OTHERS, *(_SCALES if self._scales else ())):
            signal.signal(signum, lambda _signum, _frame: None)
        for ignored in (signal.SIGPIPE, *(() if self._scales else _SCALES)):
            signal.signal(ignored, signal.SIG_IGN)
        self._master.selector.register(
            read, selectors.EVENT_READ, lambda: self._hear(os.read(read, 4096))
        )  # fmt: skip

    def stop_scaling(self) -> None:
        """The master stops: from now on its own lines may go to a terminal.

        One that it may not write to answers each write with TTOU, again and again, unless that is ignored.
        """
        for signum in _SCALES:
            signal.signal(signum, signal.SIG_IGN)

    def end(self) -> None:
        """Hear none that would end it: it ends already, and the exit code shall say so."""
        for late in _STOPS:
            signal.signal(late, signal.SIG_IGN)

    def _hear(self, numbers: bytes) -> None:
        master = self._master
        for number in numbers:
            match number:
                case signal.SIGTERM | signal.SIGINT:
                    master.ask_to_stop(hard=False)
                case signal.SIGQUIT:
                    master.ask_to_stop(hard=True)
                case signal.SIGHUP:
                    self._hang_up()
                case signal.SIGCHLD:
                    master.nursery.sweep()
                case signal.SIGUSR1:
                    master.log.info("reopening", what="log files")
                    master.output.reopen()
                case signal.SIGUSR2:
                    master.stacks.log(list(master.nursery.kept.values()))
                case signal.SIGTTIN | signal.SIGTTOU:
                    self._scale(_SCALES[signal.Signals(number)])

    def _hang_up(self) -> None:
        if not any(not os.isatty(fd) for fd in self._terminals):
            self._master.reloads.from_file()
        elif not self._ignores_hang_up:
            self._master.log.warning("hung_up", text="the terminal is gone")
            self._master.ask_to_stop(hard=False)

    def _scale(self, step: int) -> None:
        """Want one consumer more or less of each queue, at least one: a signal stops no queue."""
        intent = self._master.intent
        for name in intent.queues:
            now = intent.count(name)
            if name not in intent.wishes.stopped and now and now + step:
                try:
                    intent.wishes.set("scaled", (name,), now + step)
                except OSError as error:
                    self._master.news.problem("wishes", f"cannot be kept in state_dir: {error.strerror}")
                self._master.log.info("scaled", name=name, wanted=now + step)
