"""The store that queue verbs work on: that of the file, or of PROCQUEUE_URL where there is no file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from procqueue.cli.failures import no_such_queue, usage
from procqueue.cli.options import Where
from procqueue.core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from procqueue.core.settings.model import DriverSettings, Settings
    from procqueue.drivers.contract import Driver
    from procqueue.stored.queue import Queue


@dataclass(frozen=True, slots=True)
class Store:
    """An open store. `queues`: those of the configuration, None where only a URL is known.

    `host_timeout`: after how many seconds of silence a host is dead, as the configuration says.
    """

    driver: Driver
    queues: tuple[str, ...] | None
    host_timeout: float = 30.0

    def checked(self, queue: str) -> str:
        """Return `queue` if it is one. Raises Refusal."""
        if self.queues is not None and queue not in self.queues:
            raise no_such_queue(queue, self.queues)
        return queue

    def queue(self, name: str) -> Queue:
        """Return one queue of the store. Raises Refusal."""
        from procqueue.stored.queue import Queue

        return Queue(self.checked(name), self.driver)


@contextmanager
def opened(where: Where) -> Iterator[Store]:
    """Open the store for one verb."""
    settings = settings_or_none(where)
    if settings is None:
        store = Store(open_store(_driver_of_url(os.environ["PROCQUEUE_URL"])), None)
    elif not settings.needs_driver:
        raise usage(f"{settings.file} has no queue, so nothing is stored", "add one: [queues.NAME]")
    else:
        host_timeout = settings.master.host_timeout
        store = Store(open_store(settings.driver), tuple(settings.queues), host_timeout)
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
