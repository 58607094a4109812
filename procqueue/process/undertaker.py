"""The undertaker: what the scheduler becomes when the master is dead (law S8).

It ends the orphans that do not leave by themselves (orphans.py), and reclaims whoever dies at once. It leaves
last. Of the consumers of a next master, which has a scheduler of its own, it knows nothing.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Mapping

from procqueue.core.errors import DriverError
from procqueue.core.fate import Cause
from procqueue.core.settings.model import Settings
from procqueue.core.vigil import Absence
from procqueue.process import kernel
from procqueue.process.log import Log
from procqueue.process.orphans import LOOK_EVERY, Orphan, grace_of
from procqueue.process.presence import Presence
from procqueue.process.reclaim import Death, Living


class Undertaker:
    """Sees the last consumers of a dead master off."""

    def __init__(
        self,
        settings: Settings,
        living: Mapping[str, Living],
        deaths: Mapping[str, Death],
        boards: str,
        log: Log,
    ) -> None:
        self._log = log
        now = time.monotonic()
        self._orphans: dict[int, Orphan] = {}  # by pidfd
        self._dead = list(deaths.values())  # the master has told of them, and why
        for one in (one for one in living.values() if one.consumer not in deaths):
            pidfd = kernel.open_pidfd(one.pid, one.start_time)
            if pidfd is None:
                self._dead.append(Death(one.consumer, one.queues, Cause.UNWATCHED))
            else:
                kill_at = now + grace_of(settings, one.pool)
                self._orphans[pidfd] = Orphan(one.consumer, one.queues, one.pid, pidfd, boards, kill_at)
        log.warning("master_died", orphans=len(self._orphans))

    def run(self, housekeeping: Callable[[], float], reclaim: Callable[[Death], None]) -> None:
        """Stay until the last orphan is gone and reclaimed."""
        poll = select.poll()
        presence = Presence()
        for pidfd in self._orphans:
            poll.register(pidfd, select.POLLIN)
        while self._orphans or self._dead:
            pause = self._settle(housekeeping, reclaim)
            self._kill_late()
            now, _ = presence.look()  # a store that is slow is no absence
            ended = poll.poll(round(pause * 1000))
            self._forgive(presence.look(now + pause)[1])
            for pidfd, _ in ended:
                poll.unregister(pidfd)
                self._bury(self._orphans.pop(pidfd))
        self._log.info("last_orphan_left")

    def _settle(self, housekeeping: Callable[[], float], reclaim: Callable[[Death], None]) -> float:
        try:
            while self._dead:
                reclaim(self._dead[0])
                self._dead.pop(0)
            pause = housekeeping()
        except (DriverError, OSError) as error:
            self._log.warning("driver_away", text=str(error))
            pause = 1.0
        kill_at = min((orphan.kill_at for orphan in self._orphans.values()), default=float("inf"))
        return max(0.0, min(pause, LOOK_EVERY, kill_at - time.monotonic()))

    def _forgive(self, absence: Absence | None) -> None:
        """Let all have longer if this process was away, and so perhaps they."""
        if absence is None:
            return
        self._log.warning("slept", seconds=absence.seconds)
        for orphan in self._orphans.values():
            orphan.put_off(absence.blind)

    def _kill_late(self) -> None:
        for orphan in self._orphans.values():
            if orphan.end_if_due(time.monotonic()):
                self._log.warning("orphan_killed", consumer=orphan.consumer, pid=orphan.pid)

    def _bury(self, orphan: Orphan) -> None:
        self._dead.append(orphan.bury())
