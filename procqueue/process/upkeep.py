"""What the scheduler does for a queue in each round beside promoting: crons, and what has had its time."""

from __future__ import annotations

from collections.abc import Callable

from procqueue.core.message import Counts, State
from procqueue.core.settings.model import Keep, Settings
from procqueue.drivers.contract import MAX_ENTRIES, Driver
from procqueue.process.cancels import Cancels
from procqueue.process.crontab import Crontab
from procqueue.process.log import Log


class Upkeep:
    """The upkeep of all queues. `hurried`: says that something else is due, so that long work is put off."""

    def __init__(self, settings: Settings, cancels: Cancels, hurried: Callable[[], bool], log: Log) -> None:
        self._settings = settings
        self._cancels = cancels
        self._hurried = hurried
        self._log = log
        self.crontab = Crontab(settings.crons, log)

    def look_after(self, driver: Driver, queue: str, counts: Counts) -> None:
        """Do what is due for one queue, of which so many messages stand where."""
        settings = self._settings.queues[queue]
        self.crontab.push_due(driver, queue)
        if counts.reserved:
            self._cancels.look(driver, queue)
        if counts.failed:
            self._trim(driver, queue, State.FAILED, settings.keep_failed)
        if counts.timeout:
            self._trim(driver, queue, State.TIMEOUT, settings.keep_timeout)

    def _trim(self, driver: Driver, queue: str, state: State, keep: Keep) -> None:
        dropped = 0
        while some := driver.trim(queue, state, keep.count, int(keep.age * 1000)):
            dropped += some
            if some < MAX_ENTRIES or self._hurried():
                break
        if dropped:
            self._log.warning(
                "dropped",
                queue=queue,
                state=state,
                number=dropped,
                kept=keep.count or None,
                age=keep.age or None,
            )
