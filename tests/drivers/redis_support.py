"""What the tests of the Redis driver share: a plain client, a dump to compare, a proxy that fails."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis

from procqueue.core.verdict import ACK, Settlement, Verdict
from procqueue.drivers.contract import Entry, Turn
from procqueue.drivers.redis import RedisDriver

DEADLINE = 20.0

_numbers = itertools.count()


def queue_name() -> str:
    """Return the name of a queue that no other test uses."""
    return f"t{os.getpid()}-{next(_numbers)}-{time.time_ns()}"


@contextlib.contextmanager
def raw(url: str) -> Iterator[Any]:
    """A plain client, for what people and administrators do."""
    with redis.Redis.from_url(url, decode_responses=False) as client:
        yield client


@contextlib.contextmanager
def opened(url: str, **options: Any) -> Iterator[RedisDriver]:
    """A driver that is closed at the end."""
    driver = RedisDriver(url, **options)
    try:
        yield driver
    finally:
        driver.close()


def key(queue: str, name: str) -> str:
    """Return the name of one of the queue's keys."""
    return f"pq:{{{queue}}}:{name}"


def dump(client: Any, queue: str) -> dict[bytes, Any]:
    """Return all that is stored of a queue, comparable."""
    found = {}
    for name in client.keys(f"pq:{{{queue}}}:*"):
        match client.type(name):
            case b"hash":
                found[name] = client.hgetall(name)
            case b"list":
                found[name] = client.lrange(name, 0, -1)
            case b"zset":
                found[name] = client.zrange(name, 0, -1, withscores=True)
            case b"string":
                found[name] = client.get(name)
    return found


def sweep(client: Any, queue: str) -> None:
    """Remove all that is stored of a queue."""
    for name in client.keys(f"pq:{{{queue}}}:*"):
        client.delete(name)


def push(driver: RedisDriver, queue: str, *ids: str, body: bytes = b"{}") -> None:
    """Push one message for each id."""
    driver.push(queue, [Entry(id, body) for id in ids])


def settled(turn: Turn, verdict: Verdict = ACK) -> list[Settlement]:
    """Return one settlement for each message that the turn brought."""
    return [Settlement(one.id, one.ticket, verdict) for one in turn.taken]


def until(happened: Callable[[], object], what: str) -> None:
    """Look until it is true; fail after DEADLINE."""
    deadline = time.monotonic() + DEADLINE
    pause = threading.Event()
    while not happened():
        assert time.monotonic() < deadline, f"never: {what}"
        pause.wait(0.002)


class Proxy:
    """Stands between the driver and its server on a unix socket of its own, and fails as it is told.

    `on_request` is called with each request before it goes on; what it returns goes on. `on_reply` likewise;
    None closes the connection.
    """

    def __init__(self, directory: Path, target: str) -> None:
        self.path = directory / "p"
        self.url = f"unix://{self.path}"
        self.on_request: Callable[[bytes], bytes | None] = lambda data: data
        self.on_reply: Callable[[bytes], bytes | None] = lambda data: data
        self._target = target.removeprefix("unix://")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(DEADLINE)
        for one in self._sockets:
            _shut(one)
        for thread in self._threads[1:]:
            thread.join(DEADLINE)
        for one in (self._listener, *self._sockets):
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                self._sockets += [client, server]
                for source, target, hook in ((client, server, "on_request"), (server, client, "on_reply")):
                    thread = threading.Thread(target=self._pump, args=(source, target, hook), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pump(self, source: socket.socket, target: socket.socket, hook: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                passed = getattr(self, hook)(data)
                if passed is None:
                    break
                target.sendall(passed)
        _shut(source)
        _shut(target)


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
