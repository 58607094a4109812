"""[driver] and [drivers.*]: which there are, and what is only wrong of several together.

A queue names its driver, or has the one without a name. All that a consumer serves is at one driver: it asks
one store for its next message. What one driver consists of: driver.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from procqueue.core.settings.documents import Document, dotted
from procqueue.core.settings.driver import PARTS, read_driver
from procqueue.core.settings.keys import DRIVER
from procqueue.core.settings.model import DriverSettings
from procqueue.core.settings.queues import Queue
from procqueue.core.settings.readers import NAME
from procqueue.core.settings.sections import Reading, Section
from procqueue.core.settings.urls import Address, read_url
from procqueue.core.settings.wrong import nearest
from procqueue.core.units import shown

#: By name, "" for [driver]: the settings, and where they stand.
Drivers = dict[str, tuple[DriverSettings, Section]]


def read_drivers(reading: Reading, main: Document, root: str, read_secret: Callable[[str], str]) -> Drivers:
    """All drivers of the main file, first the one without a name."""
    section = reading.section(main, ("driver",), DRIVER)
    drivers: Drivers = {"": (read_driver(reading, section, root, read_secret), section)}
    for name, written in reading.table(main, ("drivers",)).items():
        section = reading.section(main, ("drivers", name), DRIVER)
        drivers[name] = DriverSettings(""), section
        if not NAME.fullmatch(name):
            hint = "use 1 to 64 of a-z 0-9 . _ -, beginning with a letter or a digit"
            reading.wrong(main, section.path, f"{shown(name)} cannot be the name of a driver", hint)
        if section.written & {"url", *PARTS}:
            drivers[name] = read_driver(reading, section, root, read_secret), section
        elif isinstance(written, dict):
            reading.wrong(main, section.path, "says no url", 'write url = "redis://localhost:6379/0"')
    return drivers


def check_drivers(reading: Reading, drivers: Drivers, queues: Mapping[str, Queue]) -> None:
    """Whether each queue has a driver, each consumer one, and each store one that leads there."""
    for queue in queues.values():
        _check_queue(reading, queue, drivers, queues)
    used = {queue.settings.driver for queue in queues.values()}
    for name, (_, section) in drivers.items():
        if name and queues and name not in used:
            text = f'no queue says driver = "{name}", so nothing is stored there'
            reading.warn(section.document, section.path, text, "say it in a queue, or take this table out")
    # Of [driver] there is always one; where nobody means it, it is in nobody's way.
    meant = {name: one for name, one in drivers.items() if name in used or (name or one[1].written)}
    _check_sync(reading, meant)
    _check_stores(reading, meant)


def _check_queue(reading: Reading, queue: Queue, drivers: Drivers, queues: Mapping[str, Queue]) -> None:
    name = queue.settings.driver
    if name not in drivers:
        document, path = queue.place("driver")
        named = [one for one in drivers if one]
        hint = nearest(name, named) or f"add [drivers.{name}], or leave driver out: then [driver] is meant"
        reading.wrong(document, path, f"there is no driver {shown(name)}", hint)
        return
    for other in queue.settings.serves:
        if other in queues and queues[other].settings.driver not in (name, *_unknown(drivers, queues[other])):
            document, path = queue.place("serves")
            text = (
                f"{shown(other)} is stored at {_called(queues[other].settings.driver)}, and "
                f"{shown(queue.settings.name)} at {_called(name)}: a consumer takes from one store"
            )
            reading.wrong(document, path, text, f"take {shown(other)} out, or give both the same driver")


def _unknown(drivers: Drivers, queue: Queue) -> tuple[str, ...]:
    """What is wrong with the other queue's driver itself is told there."""
    name = queue.settings.driver
    return () if name in drivers else (name,)


def _check_sync(reading: Reading, drivers: Drivers) -> None:
    if len(drivers) == 1 and "" in drivers:
        return
    for settings, section in drivers.values():
        if settings.scheme == "sync":
            text = "sync:// runs the tasks of all queues inside push: it goes with no other driver"
            reading.wrong(section.document, (*section.path, "url"), text, "say it in [driver], alone")


def _check_stores(reading: Reading, drivers: Drivers) -> None:
    first: dict[object, str] = {}
    for name, (settings, section) in drivers.items():
        if settings.url and settings.scheme != "sync":
            other = first.setdefault(_store(settings), name)
            if other != name:
                text = f"this is the store of {_called(other)} once more"
                hint = "one of the two is enough; at Redis, another prefix or db makes it another store"
                reading.wrong(section.document, section.path, text, hint)


def _store(settings: DriverSettings) -> tuple[Address, str]:
    """What is the same for two drivers that lead to the same store, whoever asks there."""
    address = replace(read_url(settings.url), username="", password="", options=())
    return address, "" if settings.scheme == "sqlite" else settings.prefix


def _called(name: str) -> str:
    return f"[{dotted(('drivers', name))}]" if name else "[driver]"
