"""How each kind of child is made: what it runs, and what it keeps of the master's."""

from __future__ import annotations

import os
import signal

from procqueue.core.plan import Fork
from procqueue.core.settings.model import QueueSettings, Settings
from procqueue.process.application import modules_of
from procqueue.process.consumer.burst import Burst
from procqueue.process.lifeline import pair
from procqueue.process.nursery import Kept, Nursery
from procqueue.process.statedir import StateDir
from procqueue.process.wishes import SCHEDULER, TEMPLATE, queues_by_template


class Births:
    """Makes the children of one master: forks them, or prepares the order to a template."""

    def __init__(
        self,
        settings: Settings,
        queues: dict[str, QueueSettings],
        state: StateDir,
        nursery: Nursery,
        burst: Burst | None,
    ) -> None:
        self._settings = settings
        self._queues = queues
        self._state = state
        self._nursery = nursery
        self._burst = burst
        self._poke = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)  # consumers wake the scheduler

    def make(self, id: str, fork: Fork) -> Kept:
        """Make the child, or what is known of it before its template forks it. Raises OSError."""
        # Somebody may have removed the state directory: without a place for its board nobody could work.
        os.makedirs(self._state.boards, mode=0o700, exist_ok=True)
        if fork.pool == SCHEDULER:
            return self._scheduler(id)
        if fork.pool.startswith(TEMPLATE):
            return self._template(id, fork.pool)
        if fork.template:
            ours, theirs = pair()
            serves = self._queues[fork.pool].serves
            kept = Kept(
                id, fork.pool, fork.index, 0, -1, ours, serves, awaits=fork.template, their_end=theirs
            )  # fmt: skip
            self._nursery.kept[id] = kept
            return kept
        return self._consumer(id, fork)

    def _consumer(self, id: str, fork: Fork) -> Kept:
        from procqueue.process.consumer.main import Consumer, Identity

        queue = self._queues[fork.pool]
        identity = Identity(id, self._state.host, fork.pool, fork.index, fork.generation)
        return self._nursery.fork(
            id, fork.pool, fork.index, queue.serves,
            lambda lifeline: Consumer(
                self._settings, queue, identity, self._state.boards, lifeline, self._poke, self._burst
            ).run(),
            parent_death=signal.SIGTERM, keep=(self._poke,),
        )  # fmt: skip

    def _template(self, id: str, pool: str) -> Kept:
        from procqueue.process.template import Template

        queues = [self._queues[name] for name in queues_by_template(self._settings, self._queues)[pool]]
        return self._nursery.fork(
            id, pool, 0, (),
            lambda lifeline: Template(
                self._settings, modules_of(self._settings, queues[0]), self._state.boards, lifeline,
                self._poke, self._burst, insists=any(q.preload == "always" for q in queues),
            ).run(),
            parent_death=signal.SIGKILL, keep=(self._poke,),
        )  # fmt: skip

    def _scheduler(self, id: str) -> Kept:
        from procqueue.process.scheduler import Scheduler

        return self._nursery.fork(
            id, SCHEDULER, 0, (),
            lambda lifeline: Scheduler(
                self._settings, id, self._state.host, self._state.boards, lifeline, self._poke
            ).run(),
            parent_death=None, keep=(self._poke,), runs_user_code=False,
        )  # fmt: skip
