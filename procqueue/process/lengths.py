"""Lengths of queues, as the scheduler samples them: listeners hear when a level changes (D15).

Of several hosts the one with the lowest identity tells. A new scheduler tells again of what is over a level.
"""

from __future__ import annotations

from collections.abc import Mapping

from procqueue.core.lengths import level_of
from procqueue.core.record import EventNotice
from procqueue.core.settings.model import QueueSettings
from procqueue.drivers.contract import Driver
from procqueue.process.log import Log
from procqueue.process.notices import leave_event


class Lengths:
    """The level of each queue."""

    def __init__(self, queues: Mapping[str, QueueSettings], log: Log) -> None:
        self._levels = {name: queue.length_levels for name, queue in queues.items() if queue.length_levels}
        self._present: dict[str, str] = {}
        self._log = log

    def saw(self, driver: Driver, queue: str, length: int, *, tells: bool) -> None:
        """Note a sample; tell of it if the level is another than before, and it is ours to tell."""
        before = self._present.get(queue, "")
        level = level_of(length, self._levels.get(queue, ()), before)
        if level == before:
            return
        if tells:
            event = EventNotice("queue_length", level or "none", queue, length=length, level=level)
            leave_event(driver, event, self._log)  # what it raises, the next round tries again
        self._present[queue] = level
