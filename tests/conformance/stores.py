"""The kinds of store that the conformance suite runs against, and how any process opens one.

A Store is one fresh, empty store. `open` gives independent connections to it, so that a test plays
producers, consumers and schedulers; `address` is what another process needs to do the same (actor.py).
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import uuid
from pathlib import Path
from typing import Protocol

import redis

from procqueue.drivers.contract import LAYOUT, Driver
from procqueue.drivers.sqlite.driver import SqliteDriver
from tests import servers

QUEUE = "emails"


def open_address(address: str) -> Driver:
    """Open a driver by the address of a Store; for other processes."""
    kind, _, rest = address.partition(" ")
    if kind == "sqlite":
        return SqliteDriver(rest)
    from procqueue.drivers.redis.driver import RedisDriver

    url, _, prefix = rest.partition(" ")
    return RedisDriver(url, prefix=prefix)


class Store(Protocol):
    """One store of one test."""

    address: str

    def open(self) -> Driver:
        """Return a new connection; closed with the store."""

    def drop(self, body: bytes, queue: str = QUEUE) -> None:
        """Lay a document into the inbox as a foreign producer does, without procqueue."""

    def make_newer(self, queue: str = QUEUE) -> None:
        """Change the stored layout's version to the next one."""

    def age(self, ms: int, queue: str = QUEUE) -> None:
        """Let sessions, remembered ids, timed keys, and what failed or is parked be so much older."""

    def close(self) -> None:
        """Close all connections and remove what is stored."""


class _Opened:
    def __init__(self, address: str) -> None:
        self.address = address
        self._drivers: list[Driver] = []

    def open(self) -> Driver:
        driver = open_address(self.address)
        self._drivers.append(driver)
        return driver

    def close(self) -> None:
        for driver in self._drivers:
            driver.close()


class SqliteStore(_Opened):
    """A file in a directory of its own."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="pq-"))
        self.path = str(self.directory / "db" / "queue.db")
        super().__init__(f"sqlite {self.path}")

    def drop(self, body: bytes, queue: str = QUEUE) -> None:
        self._run("INSERT INTO inbox (queue, body) VALUES (?, ?)", queue, body)

    def make_newer(self, queue: str = QUEUE) -> None:  # noqa: ARG002  # one layout for all queues
        self._run("UPDATE layout SET version = ?", LAYOUT + 1)

    def age(self, ms: int, queue: str = QUEUE) -> None:
        self._run("UPDATE sessions SET used_ms = used_ms - ? WHERE queue = ?", ms, queue)
        self._run("UPDATE messages SET ended_ms = ended_ms - ? WHERE queue = ?", ms, queue)
        self._run("UPDATE remembered SET until_ms = until_ms - ? WHERE queue = ?", ms, queue)
        self._run("UPDATE locks SET until_ms = until_ms - ? WHERE queue = ?", ms, queue)

    def close(self) -> None:
        super().close()
        shutil.rmtree(self.directory)

    def _run(self, statement: str, *values: object) -> None:
        with contextlib.closing(sqlite3.connect(self.path)) as db, db:
            db.execute(statement, values)


class RedisStore(_Opened):
    """Keys under a prefix of its own at a shared server of `kind`: "redis" or "valkey"."""

    def __init__(self, kind: str) -> None:
        self._prefix = f"t{uuid.uuid4().hex[:12]}"
        url = servers.redis_url(kind)
        self._client = redis.Redis.from_url(url)
        super().__init__(f"redis {url} {self._prefix}")

    def drop(self, body: bytes, queue: str = QUEUE) -> None:
        self._client.rpush(f"{self._prefix}:{{{queue}}}:inbox", body)

    def make_newer(self, queue: str = QUEUE) -> None:
        self._client.hset(f"{self._prefix}:{{{queue}}}:state", "v", str(LAYOUT + 1))

    def age(self, ms: int, queue: str = QUEUE) -> None:
        sessions, uses, remembered, failed, parked = (
            f"{self._prefix}:{{{queue}}}:{name}"
            for name in ("sessions", "uses", "remembered", "failed", "timeout")
        )
        for ended in (failed, parked):
            for id in self._client.zrange(ended, 0, -1):
                self._client.zincrby(ended, -ms, id)
        for session, value in self._client.hgetall(sessions).items():
            number, used, *doubles = value.split()
            self._client.hset(sessions, session, b" ".join([number, b"%d" % (int(used) - ms), *doubles]))
            self._client.zincrby(uses, -ms, session)
        for id in self._client.zrangebyscore(remembered, 0, "+inf"):
            self._client.zincrby(remembered, -ms, id)

    def close(self) -> None:
        super().close()
        for key in self._client.scan_iter(f"{self._prefix}:*", count=1000):
            self._client.unlink(key)
        self._client.close()


def new_store(kind: str) -> Store:
    """Return a fresh store of `kind`: "sqlite", "redis" or "valkey"."""
    return SqliteStore() if kind == "sqlite" else RedisStore(kind)
