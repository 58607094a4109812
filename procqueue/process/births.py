"""How each kind of child is made: what it runs, and what it keeps of the master's."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from procqueue.core.settings.model import QueueSettings
from procqueue.core.wanted import Fork
from procqueue.process import kernel
from procqueue.process.code import Code
from procqueue.process.consumer.burst import Burst
from procqueue.process.copies import Copies
from procqueue.process.handed import Handed, forget
from procqueue.process.intent import Intent
from procqueue.process.lifeline import pair
from procqueue.process.nursery import Kept, Nursery
from procqueue.process.output import OURS, Output, targets_of_queue
from procqueue.process.pools import INSPECTOR, LOGGER, TEMPLATE, WATCHER, WEB, driver_of, is_scheduler
from procqueue.process.statedir import StateDir

#: Descriptors that no child is made with: whoever asks how things are shall be answered when they run out.
_SPARE = 8


class Births:
    """Makes the children of one master: forks them, or prepares the order to a template."""

    def __init__(
        self,
        intent: Intent,
        state: StateDir,
        nursery: Nursery,
        code: Code,
        copies: Copies,
        output: Output,
        burst: Burst | None,
    ) -> None:
        self._intent = intent
        self._state = state
        self._nursery = nursery
        self._code = code
        self._copies = copies
        self._output = output
        self._burst = burst
        self._pokes: dict[str, int] = {}  # by driver: what its consumers wake its scheduler with

    def make(self, id: str, fork: Fork) -> Kept:
        """Make the child, or what is known of it before its template forks it. Raises OSError."""
        kernel.require_free_descriptors(_SPARE + self._nursery.descriptors_to_come())
        # Somebody may have removed the state directory: without a place for its board nobody could work.
        os.makedirs(self._state.boards, mode=0o700, exist_ok=True)
        if is_scheduler(fork.pool):
            return self._scheduler(id, fork.pool)
        if fork.pool == LOGGER:
            return self._logger(id)
        if fork.pool == INSPECTOR:
            return self._inspector(id)
        if fork.pool == WATCHER:
            return self._watcher(id)
        if fork.pool == WEB:
            return self._web(id)
        if fork.pool.startswith(TEMPLATE):
            return self._template(id, fork)
        if ":" in fork.pool:
            return self._copies.make(id, fork)
        if fork.template:
            return self._ordered(id, fork)
        return self._consumer(id, fork)

    def _ordered(self, id: str, fork: Fork) -> Kept:
        settings = self._intent.edition(fork.generation)
        queue = settings.queues[fork.pool]
        handed = Handed.made(self._state.path, id) if queue.environment.user else None
        try:
            lent = self._output.lend(id, f"{fork.pool}:{fork.index}", targets_of_queue(queue, settings))
            ours, end = pair()
        except OSError:
            if handed:
                handed.close()
                forget(self._state.path, id)
            raise
        theirs = (end.detach(), *((handed.board, handed.stacks) if handed else ()), *lent)
        kept = Kept(
            id, fork.pool, fork.index, 0, -1, ours, queue.serves, queue.driver, awaits=fork.template,
            theirs=theirs, handed=handed is not None,
        )  # fmt: skip
        self._nursery.kept[id] = kept
        return kept

    def _consumer(self, id: str, fork: Fork) -> Kept:
        from procqueue.process.consumer.main import Consumer, Identity

        settings = self._intent.edition(fork.generation)
        queue = settings.queues[fork.pool]
        host, poke = self._state.host_at(queue.driver), self._poke(queue.driver)
        identity = Identity(id, host, fork.pool, fork.index, fork.generation)
        with (
            self._handed(id, queue) as handed,
            self._output.opened(id, f"{fork.pool}:{fork.index}", targets_of_queue(queue, settings)) as output,
        ):
            keep = (poke, handed.board, handed.stacks) if handed else (poke,)
            kept = self._nursery.fork(
                id, fork.pool, fork.index, queue.serves,
                lambda lifeline: Consumer(
                    settings, queue, identity, self._state.boards, lifeline, poke, self._burst,
                    paused=tuple(self._intent.wishes.paused), handed=handed,
                ).run(),
                parent_death=signal.SIGTERM, keep=keep, output=output, driver=queue.driver,
            )  # fmt: skip
            kept.handed = handed is not None
            return kept

    def _poke(self, driver: str) -> int:
        if driver not in self._pokes:
            self._pokes[driver] = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        return self._pokes[driver]

    @contextmanager
    def _handed(self, id: str, queue: QueueSettings) -> Iterator[Handed | None]:
        """Give what the consumer is handed, while it is made; if that raises, nothing is kept."""
        handed = Handed.made(self._state.path, id) if queue.environment.user else None
        try:
            yield handed
        except BaseException:
            forget(self._state.path, id)
            raise
        finally:
            if handed:
                handed.close()

    def _template(self, id: str, fork: Fork) -> Kept:
        from procqueue.process.template import Template

        settings = self._intent.edition(fork.generation)
        names = self._intent.templates()[fork.pool]
        queues = [settings.queues[n] for n in names if self._intent.imports_since(n) <= fork.generation]
        pokes = {driver: self._poke(driver) for driver in settings.used_drivers}
        with self._output.opened(id, "template", OURS, own=True) as output:
            return self._nursery.fork(
                id, fork.pool, 0, (),
                lambda lifeline: Template(
                    settings, queues[0], self._state.boards, lifeline,
                    pokes, self._burst, insists=any(q.preload == "always" for q in queues),
                ).run(),
                parent_death=signal.SIGKILL, keep=tuple(pokes.values()), output=output,
            )  # fmt: skip

    def _inspector(self, id: str) -> Kept:
        from procqueue.process.code import inspect

        return self._nursery.fork(
            id, INSPECTOR, 0, (), lambda lifeline: inspect(lifeline, self._code.known()),
            parent_death=signal.SIGKILL, keep=(), runs_user_code=False,
        )  # fmt: skip

    def _watcher(self, id: str) -> Kept:
        from procqueue.process.watcher import Watcher

        settings = self._intent.settings
        with self._output.opened(id, "watcher", OURS, own=True) as output:
            return self._nursery.fork(
                id, WATCHER, 0, (), lambda lifeline: Watcher(settings, lifeline).run(),
                parent_death=signal.SIGKILL, keep=(), output=output, runs_user_code=False,
            )  # fmt: skip

    def _web(self, id: str) -> Kept:
        dashboard = self._intent.dashboard
        assert dashboard is not None, "without one its pool is not wanted"
        place = dashboard.place(self._intent.settings, self._state.path)
        with self._output.opened(id, "web", OURS, own=True) as output:
            return self._nursery.fork(
                id, WEB, 0, (), lambda lifeline: dashboard.body(place, lifeline),
                parent_death=signal.SIGKILL, keep=(), output=output, runs_user_code=False,
            )  # fmt: skip

    def _scheduler(self, id: str, pool: str) -> Kept:
        from procqueue.process.scheduler import Scheduler

        driver = driver_of(pool)
        settings, host, poke = self._intent.at(driver), self._state.host_at(driver), self._poke(driver)
        with self._output.opened(id, pool[1:], OURS, own=True) as output:
            return self._nursery.fork(
                id, pool, 0, (),
                lambda lifeline: Scheduler(
                    settings, pool, id, host, self._state.boards, lifeline, poke
                ).run(),
                parent_death=None, keep=(poke,), output=output, driver=driver, runs_user_code=False,
            )  # fmt: skip

    def _logger(self, id: str) -> Kept:
        from procqueue.process.logger.main import Logger

        place = self._output.place()
        return self._nursery.fork(
            id, LOGGER, 0, (), lambda lifeline: Logger(place, lifeline).run(),
            parent_death=None, keep=(place.journal,), runs_user_code=False,
        )  # fmt: skip
