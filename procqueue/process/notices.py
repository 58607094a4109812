"""Events that belong to no message, left in the store for the listeners in a consumer (law D15)."""

from __future__ import annotations

from procqueue.core.errors import DriverError, DriverUnavailable
from procqueue.core.record import EventNotice
from procqueue.drivers.contract import Driver
from procqueue.process.lifeline import Lifeline
from procqueue.process.log import Log


def leave_event(driver: Driver, event: EventNotice, log: Log) -> None:
    """Leave it; that the store refuses is logged, and no more. Raises DriverUnavailable: try again."""
    try:
        driver.notify(event.queue, event.id, event.encode())
    except DriverUnavailable:
        raise
    except DriverError as error:
        log.warning("event_lost", about=event.event, queue=event.queue, text=str(error))


class Reloads:
    """Reloads of this host that the master told of, until listeners are sure to hear of them."""

    def __init__(self, host: str, lifeline: Lifeline, log: Log) -> None:
        self._host = host
        self._lifeline = lifeline
        self._log = log
        self._told: dict[str, int] = {}  # queue → its generation

    def told(self, queue: str, generation: int) -> None:
        """Note that a queue is served by a new generation."""
        self._told[queue] = generation

    def leave(self, driver: Driver) -> None:
        """Leave an event for each, and let the master know. Raises DriverUnavailable: try again."""
        for queue, generation in list(self._told.items()):
            leave_event(driver, EventNotice("reloaded", f"{self._host}.{generation}", queue), self._log)
            del self._told[queue]
            self._lifeline.say("reload_left", queue=queue, generation=generation)
