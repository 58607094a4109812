"""Events that belong to no message, left in the store for the listeners in a consumer (law D15)."""

from __future__ import annotations

from procqueue.core.errors import DriverError, DriverUnavailable
from procqueue.core.record import EventNotice
from procqueue.drivers.contract import Driver
from procqueue.process.log import Log


def leave_event(driver: Driver, event: EventNotice, log: Log) -> None:
    """Leave it; that the store refuses is logged, and no more. Raises DriverUnavailable: try again."""
    try:
        driver.notify(event.queue, event.id, event.encode())
    except DriverUnavailable:
        raise
    except DriverError as error:
        log.warning("event_lost", about=event.event, queue=event.queue, text=str(error))
