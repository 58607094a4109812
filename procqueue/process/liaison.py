"""What master and scheduler tell each other about the living and the dead; what a former master left.

Nothing told here has to arrive: a death is told again until the scheduler says that it is reclaimed, and the
scheduler compares what the driver knows with who lives (law S6). The event makes it quick, the comparison
makes it certain.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Iterable
from typing import Any

from procqueue.core.fate import Cause
from procqueue.core.settings.model import Settings
from procqueue.process.log import Log
from procqueue.process.nursery import Kept, Nursery
from procqueue.process.orphans import LOOK_EVERY, Orphan, grace_of
from procqueue.process.pools import SCHEDULER
from procqueue.process.reclaim import Death
from procqueue.process.statedir import Survivor


class Liaison:
    """The master's side of the talk with the scheduler."""

    def __init__(self, nursery: Nursery, log: Log) -> None:
        self._nursery = nursery
        self._log = log
        self._deaths: dict[str, Death] = {}  # told, not yet reclaimed
        self.adopted: dict[str, Orphan] = {}

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
            if one.pidfd is None:
                self._liaison.died(Death(one.consumer, one.queues, Cause.UNWATCHED))
                continue
            orphan = Orphan(
                one.consumer, one.queues, one.pid, one.pidfd, self._boards, now + grace_of(settings, one.pool)
            )
            self._liaison.adopted[one.consumer] = orphan
            self._selector.register(one.pidfd, selectors.EVENT_READ, lambda orphan=orphan: self._bury(orphan))
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

    def _bury(self, orphan: Orphan) -> None:
        self._selector.unregister(orphan.pidfd)
        del self._liaison.adopted[orphan.consumer]
        self._liaison.died(orphan.bury())
