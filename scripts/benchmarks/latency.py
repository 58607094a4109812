"""How long a message takes from push to handler, with SQLite and Redis: idle, and at half of what is drained.

Idle: one push at a time, between them as many entries for a process that waits in a bare BLPOP, turn about.
Half load: batches every 10 ms, at half the rate at which the same consumer drained a backlog. The handler
writes down the moment of the push, which is its argument, and its own, both of the monotonic clock.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from procqueue.config import load
from procqueue.core import wire
from procqueue.drivers.contract import Entry
from procqueue.pushing import Producer
from procqueue.tasks.ids import new_id
from tests.live.harness import Project, each_store
from tests.servers import start_server

CONFIG = """
[queues.q]
"""
APP = """
import functools, struct

@functools.cache
def moments():
    return os.open(os.environ["TRAIL"], os.O_WRONLY | os.O_APPEND)

@task(queue="q")
def note(pushed):
    os.write(moments(), struct.pack("dd", pushed, time.monotonic()))
"""
PAIR = struct.Struct("dd")
BATCH_SECONDS = 0.01

#: Of Redis. Median: times that of BLPOP · p99 when idle: times its own median · p99 at half load: ms
BARS = (1.5, 5.0, 20.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=200, help="pushes to an idle consumer")
    parser.add_argument(
        "--backlog", type=int, default=5_000, help="messages to measure the rate of draining by"
    )
    parser.add_argument("-s", "--seconds", type=float, default=3.0, help="at half load")
    options = parser.parse_args()
    print(f"scripts/bench latency · {os.cpu_count()} CPUs, Python {platform.python_version()}\n")
    print("| from push to handler, ms | median | p99 | largest | |\n|---|---|---|---|---|")
    for kind, made in each_store(CONFIG, APP):
        made.start()
        with bare() as (client, moments):
            idle, popped = measure_idle(made, client, moments, options.n)
        rate = drained(made, options.backlog)
        loaded = at_half_load(made, rate / 2, options.seconds)
        made.stop()
        report(kind, idle, popped, loaded, rate)


def measure_idle(
    made: Project, client: redis.Redis, moments: Path, number: int
) -> tuple[list[float], list[float]]:
    """Return how long pushes, and entries for BLPOP, took to the other process, in ms."""
    producer = pusher(made)
    for count in range(1, number + 11):
        push(producer, [time.monotonic()])
        wait_for(made.trail, count)
        time.sleep(0.01)
        client.rpush("list", PAIR.pack(time.monotonic(), 0))
        wait_for(moments, count)
        time.sleep(0.01)
    return waits(made.trail)[10:], waits(moments)[10:]


def drained(made: Project, number: int) -> float:
    """Return how many messages a second are handled while many wait."""
    made.trail.write_bytes(b"")
    made.run("pause", "q")
    producer = pusher(made)
    for _ in range(0, number, 100):
        push(producer, [0.0] * 100)
    made.run("resume", "q")
    wait_for(made.trail, number)
    ends = sorted(handled for _, handled in pairs(made.trail))
    first, last = number // 10, number * 9 // 10
    return (last - first) / (ends[last] - ends[first])


def at_half_load(made: Project, rate: float, seconds: float) -> list[float]:
    """Return how long pushes took at `rate`, in ms."""
    made.trail.write_bytes(b"")
    producer = pusher(made)
    pushed, began = 0, time.monotonic()
    while (now := time.monotonic()) < began + seconds:
        due = int((now - began) * rate) - pushed
        for some in range(0, due, 100):
            push(producer, [time.monotonic()] * min(100, due - some))
        pushed += max(0, due)
        time.sleep(max(0.0, now + BATCH_SECONDS - time.monotonic()))
    wait_for(made.trail, pushed)
    return waits(made.trail)


def pusher(made: Project) -> Producer:
    return Producer(load(str(made.config), dict(os.environ)).driver, None, 30.0)


def push(producer: Producer, moments: list[float]) -> None:
    entries = [Entry(new_id(), wire.encode("app.note", [moment], {})) for moment in moments]
    for _ in producer.push("q", [entries]):
        pass


@contextmanager
def bare() -> Iterator[tuple[redis.Redis, Path]]:
    """Yield a client, and the file in which a process that waits in BLPOP notes what it pops, and when."""
    with tempfile.TemporaryDirectory(prefix="pq-") as folder:
        server = start_server(Path(folder))
        moments = Path(folder) / "moments"
        moments.touch()
        child = os.fork()
        if not child:
            pop(server.url, moments)
        try:
            yield redis.Redis.from_url(server.url), moments
        finally:
            server.kill()  # its end is that of the child too
            os.waitpid(child, 0)


def pop(url: str, moments: Path) -> None:
    try:
        client = redis.Redis.from_url(url)
        out = os.open(moments, os.O_WRONLY | os.O_APPEND)
        while True:
            _, value = client.blpop("list")
            os.write(out, PAIR.pack(PAIR.unpack(value)[0], time.monotonic()))
    except redis.RedisError:
        os._exit(0)


def wait_for(file: Path, number: int) -> None:
    deadline = time.monotonic() + 60
    while file.stat().st_size < number * PAIR.size:
        if time.monotonic() > deadline:
            raise SystemExit(f"only {file.stat().st_size // PAIR.size} of {number} came within a minute")
        time.sleep(0.001)


def pairs(file: Path) -> list[tuple[float, float]]:
    return list(PAIR.iter_unpack(file.read_bytes()))


def waits(file: Path) -> list[float]:
    return [(handled - pushed) * 1000 for pushed, handled in pairs(file)]


def p99(some: list[float]) -> float:
    return sorted(some)[int(len(some) * 0.99)]


def report(kind: str, idle: list[float], popped: list[float], loaded: list[float], rate: float) -> None:
    for name, some in (
        (f"{kind}, idle", idle),
        ("bare BLPOP beside it", popped),
        (f"{kind}, {rate / 2:,.0f}/s", loaded),
    ):
        median, most = statistics.median(some), max(some)
        print(f"| {name} | {median:.2f} | {p99(some):.2f} | {most:.2f} | {len(some):,} |")
    if kind != "redis":
        return  # its neighbour is another
    ratios = statistics.median(idle) / statistics.median(popped), p99(idle) / statistics.median(idle)
    for what, value, bar in zip(
        ("median / BLPOP's", "idle p99 / median", "p99 ms at half load"),
        (*ratios, p99(loaded)),
        BARS,
        strict=True,
    ):
        print(f"| {what} | {value:.2f} | bar {bar:g} | {'held' if value <= bar else 'MISSED'} | |")


if __name__ == "__main__":
    main()
