"""The stores that queue verbs work on: those of the file, or that of PROCQUEUE_URL where there is no file.

Each verb of the contract begins with a queue, so several stores are asked as if they were one: _Routed takes
it to that of the queue. What is asked of many queues is not hidden by one store that is away: Store.of_all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from procqueue.cli.failures import no_such_queue, usage
from procqueue.cli.options import Where
from procqueue.cli.output import say
from procqueue.core.errors import ConfigError, DriverUnavailable, Problem
from procqueue.core.exits import Exit

if TYPE_CHECKING:
    from procqueue.core.settings.model import DriverSettings, Settings
    from procqueue.drivers.contract import Driver
    from procqueue.stored.queue import Queue

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Store:
    """All that is stored. `queues`: those of the configuration, None where only a URL is known.

    `driver`: takes each verb to the store of its queue. `driver_of`: the name of the driver of each queue.
    `host_timeout`: after how many seconds of silence a host is dead, as the configuration says.
    """

    driver: Driver
    queues: tuple[str, ...] | None
    driver_of: Mapping[str, str]
    host_timeout: float = 30.0

    def checked(self, queue: str) -> str:
        """Return `queue` if it is one. Raises Refusal."""
        if self.queues is not None and queue not in self.queues:
            raise no_such_queue(queue, self.queues)
        return queue

    def queue(self, name: str) -> Queue:
        """Return one queue. Raises Refusal."""
        from procqueue.stored.queue import Queue

        return Queue(self.checked(name), self.driver)

    def of_all(self, queues: Iterable[str], ask: Callable[[str], T]) -> Answers[T]:
        """Ask for each queue; a store that is away is asked once. DriverUnavailable if nobody answers."""
        found: dict[str, T] = {}
        away: dict[str, DriverUnavailable] = {}
        missing = []
        for queue in queues:
            driver = self.driver_of.get(queue, "")
            if driver not in away:
                try:
                    found[queue] = ask(queue)
                    continue
                except DriverUnavailable as error:
                    away[driver] = error
            missing.append(queue)
        if away and not found:
            raise next(iter(away.values()))
        text = {name: str(error) for name, error in away.items()}
        return Answers(found, {queue: text[self.driver_of.get(queue, "")] for queue in missing})


@dataclass(frozen=True, slots=True)
class Answers(Generic[T]):
    """What was found of each queue, and why there is no answer for the others."""

    found: dict[str, T]
    away: dict[str, str] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        """Return what --json says of those without an answer, nothing if there are none."""
        return {"away": self.away} if self.away else {}

    def tell(self) -> Exit:
        """Say which queues are missing; return the exit code."""
        for queue, text in self.away.items():
            say(f"{queue}: {text}")
        return Exit.UNREACHABLE if self.away else Exit.OK


class _Routed:
    """Drivers as one: each verb goes to that of its queue, which is opened when it is asked first."""

    def __init__(self, drivers: Mapping[str, DriverSettings], driver_of: Mapping[str, str]) -> None:
        self._drivers = drivers
        self._driver_of = driver_of
        self._open: dict[str, Driver] = {}

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        return lambda queue, *args, **kwargs: getattr(self._at(queue), verb)(queue, *args, **kwargs)

    def close(self) -> None:
        """Close those that were opened."""
        for driver in self._open.values():
            driver.close()

    def _at(self, queue: str) -> Driver:
        name = self._driver_of[queue]
        if name not in self._open:
            self._open[name] = open_store(self._drivers[name])
        return self._open[name]


@contextmanager
def opened(where: Where) -> Iterator[Store]:
    """Open the store for one verb."""
    settings = settings_or_none(where)
    if settings is None:
        store = Store(open_store(_driver_of_url(os.environ["PROCQUEUE_URL"])), None, {})
    elif not settings.needs_driver:
        raise usage(f"{settings.file} has no queue, so nothing is stored", "add one: [queues.NAME]")
    else:
        driver_of = {queue.name: queue.driver for queue in settings.queues.values()}
        drivers = settings.used_drivers
        driver = (
            open_store(next(iter(drivers.values())))
            if len(drivers) == 1
            else cast("Driver", _Routed(drivers, driver_of))
        )
        store = Store(driver, tuple(settings.queues), driver_of, settings.master.host_timeout)
    try:
        yield store
    finally:
        store.driver.close()


def settings_or_none(where: Where) -> Settings | None:
    """Return the settings of the file; None where there is none, but PROCQUEUE_URL is set."""
    from procqueue.finding import find

    try:
        find(where.config)
    except ConfigError:
        if os.environ.get("PROCQUEUE_URL"):
            return None
        raise
    return where.settings()


def open_store(settings: DriverSettings) -> Driver:
    """Return the open driver. Raises Refusal, DriverUnavailable."""
    from procqueue.drivers.opening import open_driver

    if settings.scheme == "sync":
        raise usage("sync:// stores nothing: tasks run inside push", "use a redis:// or sqlite:/// url")
    return open_driver(settings)


def _driver_of_url(url: str) -> DriverSettings:
    from procqueue.core.settings.model import DriverSettings
    from procqueue.core.settings.urls import read_url, write_url
    from procqueue.core.settings.wrong import Wrong

    try:
        address = read_url(url)
    except Wrong as wrong:
        raise ConfigError([Problem("PROCQUEUE_URL", 0, "url", wrong.text, wrong.hint)]) from None
    if address.scheme == "sqlite":
        address = replace(address, path=os.path.abspath(address.path))
    return DriverSettings(write_url(address))
