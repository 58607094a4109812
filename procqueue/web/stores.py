"""The stores as the dashboard reaches them: each has two threads with a connection each.

One thread looks, the other changes, so that a change of many messages keeps nobody from looking. Calls of a
driver have their own deadline; who asks here waits no longer than PATIENCE for a look, and a store that was
just found to be away is not asked again at once. So a page answers, whatever the store does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from procqueue.core.errors import DriverUnavailable, Stale
from procqueue.core.settings.model import DriverSettings, Settings
from procqueue.drivers.contract import Driver
from procqueue.drivers.opening import open_driver

T = TypeVar("T")
Work = Callable[[Driver], T]

#: Seconds that a page waits for a look, and a person for a change.
PATIENCE, PATIENCE_OF_CHANGES = 2.0, 60.0
#: Seconds for which a store that is away is not asked again.
_REST = 1.0
#: As many may stand in line; more are told to come again.
_LINE = 64


class TooBusy(Exception):
    """Too many stand in line."""


class _Desk:
    """One thread with one connection."""

    def __init__(self, settings: DriverSettings, patience: float, stale: Callable[[], None]) -> None:
        self._settings = settings
        self._patience = patience
        self._stale = stale
        self._thread = ThreadPoolExecutor(1)
        self._driver: Driver | None = None
        self._line = 0
        self._away: tuple[float, DriverUnavailable] | None = None

    async def ask(self, work: Work[T]) -> T:
        """Return what `work` finds. Raises DriverError, TooBusy."""
        if self._line >= _LINE:
            raise TooBusy
        self._line += 1
        future = asyncio.get_running_loop().run_in_executor(self._thread, self._do, work)
        future.add_done_callback(self._done)
        try:
            return await asyncio.wait_for(asyncio.shield(future), self._patience)
        except TimeoutError:
            raise DriverUnavailable(f"the store has not answered for {self._patience:g} s") from None

    def _done(self, future: asyncio.Future[T]) -> None:
        self._line -= 1
        if not future.cancelled():
            future.exception()  # whoever asked may be gone: then nobody else looks at it

    def _do(self, work: Work[T]) -> T:
        if self._away and time.monotonic() - self._away[0] < _REST:
            raise self._away[1]
        try:
            if self._driver is None:
                self._driver = open_driver(self._settings)
            return work(self._driver)
        except DriverUnavailable as error:
            self._away = time.monotonic(), error
            raise
        except Stale:
            self._stale()  # only a new process can go on (SQLite)
            raise


class Stores:
    """All stores of the configuration. `stale`: called from a thread when this process has to be replaced."""

    def __init__(self, settings: Settings, stale: Callable[[], None]) -> None:
        self._driver_of = {queue.name: queue.driver for queue in settings.queues.values()}
        used = {name: one for name, one in settings.used_drivers.items() if one.scheme != "sync"}
        self._looks = {name: _Desk(one, PATIENCE, stale) for name, one in used.items()}
        self._changes = {name: _Desk(one, PATIENCE_OF_CHANGES, stale) for name, one in used.items()}

    @property
    def queues(self) -> tuple[str, ...]:
        """The names of all queues."""
        return tuple(self._driver_of)

    async def look(self, queue: str, work: Work[T]) -> T:
        """Look at the store of a queue."""
        return await self._looks[self._driver_of[queue]].ask(work)

    async def change(self, queue: str, work: Work[T]) -> T:
        """Change something there."""
        return await self._changes[self._driver_of[queue]].ask(work)
