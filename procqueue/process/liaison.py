"""What master and schedulers tell each other about the living and the dead; what a former master left.

Each scheduler hears of those who take from its own driver: so each death is reclaimed where its messages are,
and after the master's death nobody is seen off by two. Nothing told here has to arrive: a death is told again
until the scheduler says that it is reclaimed, and the scheduler compares what the driver knows with who lives
(law S6). The event makes it quick, the comparison makes it certain.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Iterable
from functools import partial
from typing import Any

from procqueue.core.fate import Cause
from procqueue.core.settings.model import Settings
from procqueue.process.log import Log
from procqueue.process.nursery import Kept, Nursery
from procqueue.process.orphans import LOOK_EVERY, Orphan, grace_of
from procqueue.process.pools import is_scheduler
from procqueue.process.reclaim import Death
from procqueue.process.statedir import Survivor


class Liaison:
    """The master's side of the talk with its schedulers."""

    def __init__(self, nursery: Nursery, log: Log) -> None:
        self._nursery = nursery
        self._log = log
        self._deaths: dict[str, tuple[str, Death]] = {}  # told, not yet reclaimed; with the driver
        self._reloads: dict[str, tuple[str, int]] = {}  # told, not yet left to listeners: driver, generation
        self.adopted: dict[str, Orphan] = {}

    def born(self, kept: Kept) -> None:
        """Tell of a new consumer."""
        self._tell(
            kept.driver, "born", consumer=kept.id, pid=kept.pid, start_time=kept.start_time, pool=kept.pool,
            queues=kept.queues,
        )  # fmt: skip

    def died(self, driver: str, death: Death) -> None:
        """Tell of a death, until it is reclaimed."""
        self._deaths[death.consumer] = driver, death
        self._tell(
            driver, "dead", consumer=death.consumer, queues=death.queues, cause=death.cause,
            overdue=death.overdue, detail=death.detail,
        )  # fmt: skip

    def reclaimed(self, consumer: str) -> None:
        """Note that everything a dead consumer owned is settled."""
        self._deaths.pop(consumer, None)

    def reloaded(self, driver: str, queue: str, generation: int) -> None:
        """Tell that a queue is served by what is new, until listeners are sure to hear of it."""
        self._reloads[queue] = driver, generation
        self._tell(driver, "reloaded", queue=queue, generation=generation)

    def reload_left(self, queue: str, generation: int) -> None:
        """Note that listeners will hear of it."""
        if self._reloads.get(queue, ("", 0))[1] == generation:
            del self._reloads[queue]

    def brief(self, scheduler: Kept) -> None:
        """Tell a fresh scheduler everything that concerns its driver."""
        for kept in self._consumers():
            if kept.driver == scheduler.driver and not kept.awaits:
                self.born(kept)
        for driver, death in list(self._deaths.values()):
            if driver == scheduler.driver:
                self.died(driver, death)
        for queue, (driver, generation) in list(self._reloads.items()):
            if driver == scheduler.driver:
                self.reloaded(driver, queue, generation)

    def answer_who_lives(self, scheduler: Kept, known: dict[str, Any]) -> None:
        """Answer the comparison of a scheduler: who is not in the list is dead."""
        living = [kept.id for kept in self._consumers()] + list(self.adopted)
        # First: a lifeline holds a few hundred messages.
        self._tell(scheduler.driver, "living", known=known, consumers=living)
        self.brief(scheduler)

    def held_at(self, driver: str) -> set[str]:
        """Return the queues of which consumers of a driver live, or are still to be reclaimed."""
        living = [kept.queues for kept in self._consumers() if kept.driver == driver]
        dead = [death.queues for of, death in self._deaths.values() if of == driver]
        return {queue for queues in (*living, *dead) for queue in queues}

    def _consumers(self) -> list[Kept]:
        return [kept for kept in self._nursery.kept.values() if kept.is_consumer]

    def _tell(self, driver: str, what: str, **facts: Any) -> None:
        for kept in self._nursery.kept.values():
            if is_scheduler(kept.pool) and kept.driver == driver:
                kept.lifeline.say(what, **facts)


class Adoption:
    """Consumers of a killed master: the living are watched to their end, the dead reclaimed (law S8).

    `at` is the moment of the next look at them (monotonic).
    """

    def __init__(self, boards: str, selector: selectors.BaseSelector, liaison: Liaison, log: Log) -> None:
        self._boards = boards
        self._selector = selector
        self._liaison = liaison
        self._log = log
        self.at = float("inf")

    def adopt(self, found: Iterable[Survivor], settings: Settings) -> None:
        """Take over what the boards tell of."""
        now = time.monotonic()
        for one in found:
            driver = _driver_of(one, settings)
            if one.pidfd is None:
                self._liaison.died(driver, Death(one.consumer, one.queues, Cause.UNWATCHED))
                continue
            orphan = Orphan(
                one.consumer, one.queues, one.pid, one.pidfd, self._boards, now + grace_of(settings, one.pool)
            )
            self._liaison.adopted[one.consumer] = orphan
            bury = partial(self._bury, driver, orphan)
            self._selector.register(one.pidfd, selectors.EVENT_READ, bury)
            self._log.warning("adopted", consumer=one.consumer, pid=one.pid)
            self.at = now

    def look(self, now: float) -> None:
        """End those that had their time."""
        for orphan in self._liaison.adopted.values():
            if orphan.end_if_due(now):
                self._log.warning("orphan_killed", consumer=orphan.consumer, pid=orphan.pid)
        kill_at = min((orphan.kill_at for orphan in self._liaison.adopted.values()), default=float("inf"))
        self.at = min(now + LOOK_EVERY, kill_at) if self._liaison.adopted else float("inf")

    def put_off(self, seconds: float) -> None:
        """Let them have so much longer: nobody could look."""
        for orphan in self._liaison.adopted.values():
            orphan.put_off(seconds)

    def _bury(self, driver: str, orphan: Orphan) -> None:
        self._selector.unregister(orphan.pidfd)
        del self._liaison.adopted[orphan.consumer]
        self._liaison.died(driver, orphan.bury())


def _driver_of(one: Survivor, settings: Settings) -> str:
    """Return where it took its messages from. A driver that was given another name is its queue's by now."""
    queue = settings.queues.get(one.pool)
    return queue.driver if queue and one.driver not in settings.used_drivers else one.driver
