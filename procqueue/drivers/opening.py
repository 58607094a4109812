"""Opens the storing driver that a configuration names; its client library is imported only then.

sync:// stores nothing and needs to run tasks, so it is opened by the producer.
"""

from __future__ import annotations

from procqueue.core.settings.model import DriverSettings
from procqueue.core.settings.urls import sqlite_path
from procqueue.drivers.contract import Driver


def open_driver(settings: DriverSettings, *, keeper: bool = False) -> Driver:
    """Return a new connection to the store, for this thread of this process.

    `keeper`: for the scheduler, which keeps an SQLite store open from the first consumer to the last.
    Raises DriverUnavailable, Newer, DriverError; ValueError for sync://, which is no store.
    """
    match settings.scheme:
        case "redis" | "rediss" | "unix" | "redis+sentinel":
            from procqueue.drivers.redis.driver import RedisDriver

            return RedisDriver(
                settings.url,
                prefix=settings.prefix,
                timeout=settings.timeout,
                connect_timeout=settings.connect_timeout,
            )
        case "sqlite":
            from procqueue.drivers.sqlite.driver import SqliteDriver

            return SqliteDriver(
                sqlite_path(settings.url),
                synchronous="normal" if settings.durability == "normal" else "full",
                mode=settings.mode,
                group=settings.group,
                timeout=settings.timeout,
                keeper=keeper,
            )
        case "sync":
            raise ValueError("sync:// runs each task inside push: there is no store to open")
        case other:
            raise ValueError(f"there is no driver {other!r}")
