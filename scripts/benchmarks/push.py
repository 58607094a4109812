"""How quick a push is at Redis, beside the same stored by redis-py with nothing around it.

Five ways in turn, round after round, at one server on a unix socket: `task.push` beside scripts called by
redis-py's client, the least one that stores as much (id, body, session line, marker) and procqueue's own;
`push_many` beside a pipeline of an HSET and an RPUSH for each message. The bare ways get a body that is
encoded already. CPU is that of the process that pushes and of the server, for each message.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import redis

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

import procqueue
from procqueue.core import wire
from procqueue.drivers.redis.scripts import KEYS, script
from tests.servers import start_server

CHUNK = 100
BODY = wire.encode("shop.welcome", [42], {"lang": "fr"})

#: What a push amounts to, in one step: the least that keeps ids, bodies and waking, and stores a repeat once.
SCRIPT = """
local last = tonumber(redis.call('HGET', KEYS[3], ARGV[3]) or 0)
if tonumber(ARGV[4]) ~= last + 1 then
  return -1
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('RPUSH', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[3], ARGV[3], ARGV[4])
if redis.call('ZCARD', KEYS[4]) == 0 then
  redis.call('ZADD', KEYS[4], 0, '1')
end
return 1
"""

#: The rate of ours over that of the bare way, at least; None: for comparison.
BARS = (
    ("one by one, least script", "push", "bare script", 1.0),
    ("one by one, own script", "push", "own script", None),
    ("many", "push_many", "bare pipeline", 0.4),
)


@procqueue.task(name="shop.welcome", queue="q")
def welcome(user: int, lang: str = "en") -> None:
    pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-s", "--seconds", type=float, default=20.0, help="for all rounds together")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="pq-") as folder:
        server = start_server(Path(folder))
        procqueue.connect(server.url)
        try:
            rows = measure(redis.Redis.from_url(server.url), seconds)
        finally:
            procqueue.close()
            server.kill()
    report(rows)


def measure(client: redis.Redis, seconds: float) -> dict[str, list[tuple[float, float, float]]]:
    """Return for each way its rounds: µs of time, of the pusher's CPU and of the server's, a message."""
    ways: dict[str, Callable[[int], object]] = {
        "push": push,
        "bare script": bare_script(client),
        "own script": own_script(client),
        "push_many": lambda number: welcome.push_many(welcome.call(42, lang="fr") for _ in range(number)),
        "bare pipeline": bare_pipeline(client),
    }
    numbers = {name: 10_000 if name in ("push_many", "bare pipeline") else 1_000 for name in ways}
    rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for name, way in ways.items():
            client.flushall()
            way(CHUNK)  # connections, scripts and sessions are there
            rows[name].append(timed(client, lambda n=name, w=way: w(numbers[n]), numbers[name]))
    return rows


def timed(client: redis.Redis, run: Callable[[], object], number: int) -> tuple[float, float, float]:
    at, ours, servers = time.perf_counter(), own_cpu(), server_cpu(client)
    run()
    passed = time.perf_counter() - at, own_cpu() - ours, server_cpu(client) - servers
    time_, cpu, server = (one * 1e6 / number for one in passed)
    return time_, cpu, server


def push(number: int) -> None:
    for _ in range(number):
        welcome.push(42, lang="fr")


def bare_script(client: redis.Redis) -> Callable[[int], None]:
    stored = client.register_script(SCRIPT)
    keys = [f"bare:{{q}}:{name}" for name in ("bodies", "waiting", "sessions", "wake")]
    ids = counted()

    def run(number: int) -> None:
        session = os.urandom(12).hex()
        for place in range(1, number + 1):
            assert stored(keys, (next(ids), BODY, session, place)) == 1

    return run


def own_script(client: redis.Redis) -> Callable[[int], None]:
    stored = client.register_script(script("push").text)
    keys = [f"bare:{{q}}:{name}" for name in KEYS]
    ids = counted()

    def run(number: int) -> None:
        session = os.urandom(12).hex()
        for place in range(1, number + 1):
            assert stored(keys, (session, place, 0, next(ids), BODY, 0, "", "")) == [1]

    return run


def bare_pipeline(client: redis.Redis) -> Callable[[int], None]:
    ids = counted()

    def run(number: int) -> None:
        for _ in range(0, number, CHUNK):
            pipe = client.pipeline(transaction=False)
            for id in (next(ids) for _ in range(CHUNK)):
                pipe.hset("bare:{q}:bodies", id, BODY)
                pipe.rpush("bare:{q}:waiting", id)
            pipe.execute()

    return run


def counted() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"{number:026}"


def own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def server_cpu(client: redis.Redis) -> float:
    used = client.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])


def time_of(measured: tuple[float, float, float]) -> float:
    return measured[0]


def cpu_of(measured: tuple[float, float, float]) -> float:
    return measured[1] + measured[2]


def report(rows: dict[str, list[tuple[float, float, float]]]) -> None:
    rounds = len(rows["push"])
    print(
        f"scripts/bench push · {os.cpu_count()} CPUs, Python {platform.python_version()}, "
        f"redis-py {redis.__version__}, {rounds} rounds, medians\n"
    )
    print("| way | messages/s | µs | CPU µs of the pusher | CPU µs of the server |\n|---|---|---|---|---|")
    for name, some in rows.items():
        time_, cpu, server = (statistics.median(column) for column in zip(*some, strict=True))
        print(f"| {name} | {1e6 / time_:,.0f} | {time_:.1f} | {cpu:.1f} | {server:.1f} |")
    print()
    for what, ours, bare, bar in BARS:
        pairs = list(zip(rows[bare], rows[ours], strict=True))
        ratio, cpu = (statistics.median(of(b) / of(o) for b, o in pairs) for of in (time_of, cpu_of))
        held = "" if bar is None else f"; the bar is {bar:.2f}: {'held' if ratio >= bar else 'MISSED'}"
        print(f"{what}: {ratio:.2f} of the bare rate (CPU of both sides: {cpu:.2f}){held}")


if __name__ == "__main__":
    main()
