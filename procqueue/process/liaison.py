"""What master and scheduler tell each other about the living and the dead; what a former master left.

Nothing told here has to arrive: a death is told again until the scheduler says that it is reclaimed, and the
scheduler compares what the driver knows with who lives (law S6). The event makes it quick, the comparison
makes it certain.
"""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Iterable
from typing import Any

from procqueue.core.fate import Cause
from procqueue.process import kernel
from procqueue.process.log import Log
from procqueue.process.nursery import Kept, Nursery
from procqueue.process.reclaim import Death
from procqueue.process.statedir import Survivor
from procqueue.process.wishes import SCHEDULER


class Liaison:
    """The master's side of the talk with the scheduler."""

    def __init__(self, nursery: Nursery, log: Log) -> None:
        self._nursery = nursery
        self._log = log
        self._deaths: dict[str, Death] = {}  # told, not yet reclaimed
        self.adopted: dict[str, Survivor] = {}

    def born(self, kept: Kept) -> None:
        """Tell of a new consumer."""
        self._tell(
            "born", consumer=kept.id, pid=kept.pid, start_time=kept.start_time, pool=kept.pool,
            queues=kept.queues,
        )  # fmt: skip

    def died(self, death: Death) -> None:
        """Tell of a death, until it is reclaimed."""
        self._deaths[death.consumer] = death
        self._tell(
            "dead", consumer=death.consumer, queues=death.queues, cause=death.cause, overdue=death.overdue,
            detail=death.detail,
        )  # fmt: skip

    def reclaimed(self, consumer: str) -> None:
        """Note that everything a dead consumer owned is settled."""
        self._deaths.pop(consumer, None)

    def brief(self) -> None:
        """Tell a fresh scheduler everything."""
        for kept in self._consumers():
            if not kept.awaits:
                self.born(kept)
        for death in list(self._deaths.values()):
            self.died(death)

    def answer_who_lives(self, known: dict[str, Any]) -> None:
        """Answer the scheduler's comparison: who is not in the list is dead."""
        living = [kept.id for kept in self._consumers()] + list(self.adopted)
        self._tell("living", known=known, consumers=living)  # first: a lifeline holds a few hundred messages
        self.brief()

    def _consumers(self) -> list[Kept]:
        return [kept for kept in self._nursery.kept.values() if kept.is_consumer]

    def _tell(self, what: str, **facts: Any) -> None:
        for kept in self._nursery.kept.values():
            if kept.pool == SCHEDULER:
                kept.lifeline.say(what, **facts)


class Adoption:
    """Consumers of a killed master: the living are watched to their end, the dead reclaimed (law S8)."""

    def __init__(self, selector: selectors.BaseSelector, liaison: Liaison, log: Log) -> None:
        self._selector = selector
        self._liaison = liaison
        self._log = log
        self._killed: set[str] = set()
        self.until = float("inf")  # when the last patience with them ends (monotonic)

    def adopt(self, found: Iterable[Survivor], grace: float) -> None:
        """Take over what the boards tell of."""
        for one in found:
            if one.pidfd is None:
                self._liaison.died(Death(one.consumer, one.queues, Cause.UNWATCHED))
                continue
            self._liaison.adopted[one.consumer] = one
            self._selector.register(one.pidfd, selectors.EVENT_READ, lambda one=one: self._bury(one))
            self._log.warning("adopted", consumer=one.consumer, pid=one.pid)
            self.until = time.monotonic() + grace

    def kill_late(self) -> None:
        """End those that have not left in time."""
        self.until = float("inf")
        for one in self._liaison.adopted.values():
            self._killed.add(one.consumer)
            kernel.kill_tree(one.pid)

    def _bury(self, one: Survivor) -> None:
        assert one.pidfd is not None
        self._selector.unregister(one.pidfd)
        os.close(one.pidfd)
        del self._liaison.adopted[one.consumer]
        cause = Cause.STOPPED if one.consumer in self._killed else Cause.UNWATCHED
        detail = {"unwatched": "its master had died before it"}
        self._liaison.died(Death(one.consumer, one.queues, cause, None, detail))
