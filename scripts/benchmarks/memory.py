"""What a store keeps of a million pushes once all are handled: a line for each producer.

Ten producers push in chunks, one consumer takes and acknowledges. The store is measured when each producer
has pushed a thousand messages, and again when all is pushed; both times empty.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import redis

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from procqueue.core import wire
from procqueue.core.settings.model import DriverSettings
from procqueue.core.verdict import ACK, Settlement
from procqueue.drivers.contract import Driver, Entry
from procqueue.drivers.opening import open_driver
from procqueue.pushing import Producer
from tests.servers import start_server

QUEUE = "q"
PRODUCERS = 10
FIRST = 1_000
BODY = wire.encode("shop.welcome", [42], {})

#: Bytes in use, and lines about producers.
Measure = Callable[[], tuple[int, int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=1_000_000, help="pushes per driver")
    each = parser.parse_args().n // PRODUCERS
    print(
        f"{each * PRODUCERS:,} pushes by {PRODUCERS} producers, all handled: bytes and sessions before, after"
    )
    for kind, measured in (("sqlite", sqlite_store), ("redis", redis_store)):
        with tempfile.TemporaryDirectory(prefix="pq-") as folder:
            measured(Path(folder), kind, each)


def sqlite_store(folder: Path, kind: str, each: int) -> None:
    file = folder / "queue.db"

    def measure() -> tuple[int, int]:
        base = sqlite3.connect(file)
        pages, free, size = (
            base.execute(f"PRAGMA {of}").fetchone()[0] for of in ("page_count", "freelist_count", "page_size")
        )
        sessions: int = base.execute("SELECT count(*) FROM sessions").fetchone()[0]
        base.close()
        return (pages - free) * size, sessions

    report(kind, DriverSettings(f"sqlite:///{file}", durability="normal"), measure, each)


def redis_store(folder: Path, kind: str, each: int) -> None:
    server = start_server(folder)
    client = redis.Redis.from_url(server.url)

    def measure() -> tuple[int, int]:
        client.memory_purge()
        used: int = client.info("memory")["used_memory"]
        return used, client.hlen(f"pq:{{{QUEUE}}}:sessions")

    report(kind, DriverSettings(server.url), measure, each)
    client.close()
    server.kill()


def report(kind: str, settings: DriverSettings, measure: Measure, each: int) -> None:
    driver = open_driver(settings)
    driver.register(QUEUE, "c", "h")
    producers = [Producer(settings, None, 60.0) for _ in range(PRODUCERS)]
    lots = [threading.Barrier(PRODUCERS + 1) for _ in range(3)]
    threads = [threading.Thread(target=produce, args=(one, each, lots)) for one in producers]
    for thread in threads:
        thread.start()
    drain(driver, FIRST * PRODUCERS)
    lots[0].wait()
    before = measure()
    lots[1].wait()
    drain(driver, (each - FIRST) * PRODUCERS)
    lots[2].wait()
    after = measure()
    for thread in threads:
        thread.join()
    driver.close()
    (bytes_before, lines_before), (bytes_after, lines_after) = before, after
    print(f"  {kind:7} {bytes_before:>10,} {lines_before:>3}   {bytes_after:>10,} {lines_after:>3}")


def produce(producer: Producer, each: int, lots: list[threading.Barrier]) -> None:
    """Push; wait while the store is measured, on the same connection and session."""
    push(producer, FIRST)
    lots[0].wait()
    lots[1].wait()
    push(producer, each - FIRST)
    lots[2].wait()
    producer.close()


def push(producer: Producer, count: int) -> None:
    def chunks():
        for _ in range(0, count, 100):
            yield [Entry(os.urandom(12).hex(), BODY) for _ in range(100)]

    for _ in producer.push(QUEUE, chunks()):
        pass


def drain(driver: Driver, count: int) -> None:
    done: list[Settlement] = []
    while count:
        turn = driver.turn(QUEUE, "c", done, 100)
        done = [Settlement(one.id, one.ticket, ACK) for one in turn.taken]
        count -= len(done)
        if not done:
            driver.wait([QUEUE], 0.01, [])
    driver.turn(QUEUE, "c", done, 0)


if __name__ == "__main__":
    main()
