"""The template: a child that imports the application of one generation, and forks its consumers (law S3).

It runs no message and opens no driver. What its import leaves behind that a fork must not share, it counts
and tells (leftovers.py); the plan then decides whether it is used. It leaves when it is told to, or when the
master is dead; the consumers do not need it any more. The master's side: templates.py.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
from collections.abc import Mapping
from typing import Any

from procqueue.core.exits import Exit
from procqueue.core.settings.model import QueueSettings, Settings
from procqueue.process import kernel, leftovers, stacks
from procqueue.process.application import become_what_is_asked, import_application, modules_of
from procqueue.process.code import Beginning, told_of_code
from procqueue.process.consumer.burst import Burst
from procqueue.process.consumer.main import Consumer, Identity
from procqueue.process.handed import Handed
from procqueue.process.lifeline import Lifeline, from_descriptor
from procqueue.process.log import Log
from procqueue.process.spawn import fork_for, let_signals_in
from procqueue.tasks import registry


class Template:
    """One template process. `run` is its whole life.

    `queue`: one of those that it forks for; all of them import the same, in the same environment.
    `insists`: it is used whatever its import leaves behind (preload = true).
    """

    def __init__(
        self,
        settings: Settings,
        queue: QueueSettings,
        boards: str,
        lifeline: Lifeline,
        pokes: Mapping[str, int],
        burst: Burst | None = None,
        *,
        insists: bool = False,
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._boards = boards
        self._lifeline = lifeline
        self._pokes = pokes  # by driver
        self._burst = burst
        self._insists = insists
        self._log = Log("template", settings.logging.level)
        self._master = os.getppid()
        self._stacks = -1
        self._collects = True  # the application wants the garbage collector

    def run(self) -> int:
        """Import, count, and fork whom the master orders; return the exit code."""
        self._stacks = stacks.open_file(stacks.folder_of(os.path.dirname(self._boards)))
        before = leftovers.open_files()
        self._catch_signals()
        for ignored in (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGPIPE):
            signal.signal(ignored, signal.SIG_IGN)
        stacks.listen(self._stacks)
        # What the import lets go shall stay below us, where it is counted.
        kernel.become_subreaper()
        let_signals_in()
        pid, began = os.getpid(), Beginning.now()
        if not become_what_is_asked(self._queue, self._lifeline, signal.SIGKILL):
            return Exit.CANNOT_IMPORT
        modules = modules_of(self._settings, self._queue)
        if not import_application(self._settings.path, modules, self._lifeline, self._log):
            return Exit.CANNOT_IMPORT
        if os.getpid() != pid:
            os._exit(0)  # the import forked, and its child has come back here: it is no template
        self._lifeline.say("loaded")
        _look_at_tasks()
        self._settle_down()
        self._lifeline.say("ready", left=leftovers.left_behind(before))
        told_of_code(self._lifeline, self._settings.root, began)
        return self._serve()

    def _catch_signals(self) -> None:
        """TERM from anyone means "leave", at any moment: it holds nothing. INT is for those who work."""
        signal.signal(signal.SIGTERM, self._leave)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _leave(self, _signum: int, _frame: object) -> None:
        self._lifeline.say("leaving", reason="stop")
        os._exit(0)

    def _settle_down(self) -> None:
        """Become what can be forked: one thread where that is possible, nothing pending, memory at rest."""
        self._catch_signals()
        signal.setitimer(signal.ITIMER_REAL, 0)
        let_signals_in()
        kernel.become_subreaper(False)
        self._collects = gc.isenabled()
        gc.disable()
        gc.collect()
        gc.freeze()  # a collection in a child must not touch, and so copy, these pages
        trial = os.fork()
        if trial == 0:
            os._exit(0)
        os.waitpid(trial, 0)

    def _serve(self) -> int:
        poll = select.poll()
        poll.register(self._lifeline.fileno(), select.POLLIN)
        while not self._lifeline.ended:
            poll.poll()
            for message in self._lifeline.hear(most_fds=5):
                match message["say"]:
                    case "stop":
                        return Exit.OK
                    case "fork":
                        self._fork(message)
        return Exit.OK

    def _fork(self, order: dict[str, Any]) -> None:
        """Carry out one order, and say how it went."""
        consumer = order["consumer"]
        lifeline = from_descriptor(order["fds"][0])
        handed = Handed(*order["fds"][1:3]) if order["handed"] else None
        output = order["fds"][3 if handed else 1 :]  # its own stdout and stderr; none: it prints where we do
        try:
            if not self._insists and (found := leftovers.threads()):
                self._lifeline.say("unfit", consumer=consumer, left=found)
                return
            identity = Identity(
                consumer, order["host"], order["pool"], order["index"], order["generation"]
            )  # fmt: skip
            pid, pidfd = fork_for(
                self._master, lambda end: self._live(identity, end, handed), lifeline,
                close=(self._lifeline.fileno(), self._stacks, *output), output=(*output, 1, 2)[:2],
            )  # fmt: skip
            self._lifeline.say("born", consumer=consumer, pid=pid, fds=(pidfd,))
            os.close(pidfd)
        except OSError as error:
            self._lifeline.say("unborn", consumer=consumer, error=error.strerror or str(error))
        finally:
            lifeline.close()
            if handed:
                handed.close()
            for fd in output:
                os.close(fd)

    def _live(self, identity: Identity, lifeline: Lifeline, handed: Handed | None) -> int:
        """Be the consumer."""
        if not self._collects:
            gc.disable()
        queue = self._settings.queues[identity.pool]
        return Consumer(
            self._settings, queue, identity, self._boards, lifeline, self._pokes[queue.driver], self._burst,
            paused=lifeline.first["paused"], preloaded=True, handed=handed,
        ).run()  # fmt: skip


def _look_at_tasks() -> None:
    """Learn how each task takes its arguments once, for all consumers."""
    for task in registry.all_tasks():
        with contextlib.suppress(Exception):  # what is wrong with one shows when it is used
            _ = task.arguments
