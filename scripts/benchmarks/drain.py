"""How quickly Redis is drained of messages that do nothing, against a bare loop, and what each part costs.

Bare is one process that settles 50 messages and reserves the next 50 in one script, with owner and ticket,
through redis-py's Connection, decodes each body and calls its function; no board, no timeout, no policy.
Against it stands `procqueue start` with one consumer, and with two. All are taken in turns, the figures are
medians; rates are those between 10 % and 90 % of the messages, as the consumers' boards count them.
`--backlog 1000000`: memory for each waiting message, and the rate of the last tenth against the first.
`--slow`: one message of 2 s among 1,000 that do nothing, four consumers.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import math
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import redis
from redis.connection import Connection, UnixDomainSocketConnection, parse_url

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from procqueue.core import wire
from procqueue.drivers.contract import Entry
from procqueue.process.view import NoBoard, View
from procqueue.pushing import Producer
from procqueue.tasks.ids import new_id
from tests.live.harness import Project, project
from tests.servers import Server, start_server

APP = """
@task(queue="q")
def nothing(text):
    pass

@task(queue="q")
def timed(number, seconds):
    began = time.monotonic()
    if seconds:
        time.sleep(seconds)
    say(f"{number} {began} {time.monotonic()}")
"""
BODY_BYTES = 100
BATCH = 50

#: What has to be kept; the middle one where there are two cores at least.
MIN_OF_BARE, MIN_OF_ONE, MAX_BYTES, MIN_LAST, MAX_LATE = 0.60, 1.4, 240, 0.90, 0.200

#: What it does of turn.lua: settle what is owned under this ticket, then reserve from the head.
BARE = """
local consumer, bodies, waiting, owned, state = ARGV[1], KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local ids, done = {}, {}
for i = 3, #ARGV, 2 do ids[#ids + 1] = ARGV[i] end
if #ids > 0 then
  for i, ticket in ipairs(redis.call('HMGET', owned, unpack(ids))) do
    if ticket == ARGV[2 + 2 * i] then done[#done + 1] = ids[i] end
  end
end
if #done > 0 then
  redis.call('HDEL', owned, unpack(done))
  redis.call('HDEL', bodies, unpack(done))
end
local taken = redis.call('LRANGE', waiting, 0, ARGV[2] - 1)
if #taken == 0 then return { 0, taken, taken } end
redis.call('LPOP', waiting, #taken)
local values = redis.call('HMGET', bodies, unpack(taken))
local clock = redis.call('TIME')
local ticket = math.max(redis.call('HGET', state, 'ticket') or 0, clock[1] * 1000000 + clock[2])
local pairs = {}
for i, id in ipairs(taken) do
  pairs[2 * i - 1], pairs[2 * i] = id, string.format('%.0f', ticket + i)
end
redis.call('HSET', owned, unpack(pairs))
redis.call('HSET', state, 'ticket', string.format('%.0f', ticket + #taken))
return { ticket, taken, values }
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One drain: messages per second, and microseconds of CPU per message of each part."""

    rate: float
    consumers: float
    others: float  # master, scheduler, template, logger
    redis: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=20_000, help="messages per drain")
    parser.add_argument("-r", type=int, default=3, help="rounds")
    parser.add_argument("--appendonly", action="store_true", help="Redis writes what it does to its disk")
    parser.add_argument("--backlog", type=int, metavar="N", help="drain so many, once")
    parser.add_argument("--slow", action="store_true", help="one slow message among quick ones")
    asked = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(f"{' '.join(['drain', *sys.argv[1:]])}: {cores} cores, Python {platform.python_version()}")
    # The reverse order of what is taken away: the server has to outlive what talks to it.
    with tempfile.TemporaryDirectory(prefix="pq-") as folder, server_of(folder, asked.appendonly) as server:
        if asked.backlog:
            kept = backlog(server, asked.backlog)
        elif asked.slow:
            kept = slow(server, asked.r)
        else:
            kept = drains(server, asked.n, asked.r, cores)
    sys.exit(0 if kept else 1)


@contextlib.contextmanager
def server_of(folder: str, appendonly: bool) -> Iterator[Server]:
    server = start_server(Path(folder), *(("--appendonly", "yes") if appendonly else ()))
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def made(server: Server, consumers: int) -> Iterator[Project]:
    """Make a project; its consumers leave no line for each message, and Python may cache its code."""
    config = f"[queues.q]\nprocesses = {consumers}\n"
    with tempfile.TemporaryDirectory() as folder, project(Path(folder), config, APP, server.url) as one:
        one.variables["PYTHONDONTWRITEBYTECODE"] = ""
        yield one
    with redis.Redis.from_url(server.url) as client:
        client.flushall()


# the drains


def drains(server: Server, number: int, rounds: int, cores: int) -> bool:
    rows: dict[str, list[Row]] = {"bare loop": [], "1 consumer": [], "2 consumers": []}
    for _ in range(rounds):
        with made(server, 1) as one:
            fill(one, number)
            rows["bare loop"].append(drain_bare(one, server, number))
        for consumers in (1, 2):
            with made(server, consumers) as one:
                fill(one, number)
                one.start(ready=False)
                rows[f"{consumers} consumer{'s'[: consumers - 1]}"].append(watch(one, server, number)[0])
    print(f"\n{number:,} messages of {BODY_BYTES} bytes, {rounds} rounds\n")
    print("| | messages/s | consumer µs | master … µs | Redis µs |\n|---|---|---|---|---|")
    for name, found in rows.items():
        print(
            f"| {name} | "
            + " | ".join(f"{middle:,.1f}" for middle in map(statistics.median, columns(found)))
            + " |"
        )
    bare, single, double = ([row.rate for row in found] for found in rows.values())
    of_bare = statistics.median(one / other for one, other in zip(single, bare, strict=True))
    of_one = statistics.median(two / one for two, one in zip(double, single, strict=True))
    costs = [median_cost(rows[name]) for name in ("bare loop", "1 consumer")]
    print(f"\nCPU of consumer and Redis: bare / 1 consumer = {costs[0] / costs[1]:.2f}")
    kept = bar("1 consumer / bare loop", of_bare, ">=", MIN_OF_BARE)
    return bar("2 consumers / 1 consumer", of_one, ">=", MIN_OF_ONE) & kept or cores < 2


def columns(rows: list[Row]) -> list[tuple[float, ...]]:
    return list(zip(*((row.rate, row.consumers, row.others, row.redis) for row in rows), strict=True))


def median_cost(rows: list[Row]) -> float:
    return statistics.median(row.consumers + row.redis for row in rows)


def bar(what: str, found: float, how: str, wanted: float) -> bool:
    kept = found >= wanted if how == ">=" else found <= wanted
    print(f"{what}: {found:.3g}, bar {how} {wanted:g}: {'kept' if kept else 'NOT KEPT'}")
    return kept


def fill(one: Project, number: int) -> None:
    producer = Producer(one.driver_settings(), None, 60.0)

    def chunks() -> Iterator[list[Entry]]:
        for first in range(0, number, 100):
            yield [entry() for _ in range(min(100, number - first))]

    for _ in producer.push("q", chunks()):
        pass
    producer.close()


def entry() -> Entry:
    id = new_id()
    short = wire.encode("app.nothing", [""], {}, id=id)
    return Entry(id, wire.encode("app.nothing", ["x" * (BODY_BYTES - len(short))], {}, id=id))


def watch(one: Project, server: Server, number: int) -> tuple[Row, list[tuple[float, int]]]:
    """Watch until all is handled; return what it cost, and (moment, handled) as it went."""
    seen: list[tuple[float, int]] = []
    marks: list[tuple[float, int, dict[str, float]]] = []
    views: dict[str, View] = {}
    look = 0.0
    while not seen or seen[-1][1] < number:
        time.sleep(0.004)
        if time.monotonic() > look:  # who is measured shares these cores
            open_boards(one, views)
            look = time.monotonic() + 0.05
        handled = sum(view.handled for view in views.values())
        seen.append((time.monotonic(), handled))
        if len(marks) < 2 and handled >= number * (0.1, 0.9)[len(marks)]:
            marks.append((*seen[-1], cpu(one, server, views)))
        if one.master is not None and one.master.poll() is not None:
            raise SystemExit(one.report())
    for view in views.values():
        view.close()
    (began, first, before), (ended, last, after) = marks
    spent = {part: (after[part] - before[part]) / (last - first) for part in after}
    return Row((last - first) / (ended - began), **spent), seen


def open_boards(one: Project, views: dict[str, View]) -> None:
    for path in (one.folder / "run/boards").glob("*"):
        if path.suffix != ".draft" and str(path) not in views:
            with contextlib.suppress(NoBoard):
                views[str(path)] = View.open(str(path))


def cpu(one: Project, server: Server, views: dict[str, View]) -> dict[str, float]:
    """Return the microseconds that each part has used."""
    consumers = {view.identity["pid"] for view in views.values() if view.queues}
    others = [pid for pid in one.processes() if pid not in consumers]
    parts = {"consumers": consumers, "others": others, "redis": [server.pid]}
    return {part: sum(map(cpu_of, pids)) for part, pids in parts.items()}


def cpu_of(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1000
    except OSError:
        return 0.0  # gone: it has done nothing meanwhile


# the bare loop


class Document(msgspec.Struct):
    """As much of a message as its run needs."""

    task: str
    args: list[Any] = []


def drain_bare(one: Project, server: Server, number: int) -> Row:
    read, write = os.pipe()
    if pid := os.fork():
        os.close(write)
        with os.fdopen(read, "rb") as said:
            row = msgspec.json.decode(said.read(), type=dict[str, float])
        os.waitpid(pid, 0)
        return Row(**row)
    try:
        os.write(write, msgspec.json.encode(bare_loop(one, server, number)))
    finally:
        os._exit(0)


def bare_loop(one: Project, server: Server, number: int) -> dict[str, float]:
    options = parse_url(server.url)
    kind = options.pop("connection_class", Connection)
    connection = (kind if kind is UnixDomainSocketConnection else Connection)(**options)
    connection.connect()
    prefix = f"{one.driver_settings().prefix}:{{q}}:"
    keys = [f"{prefix}{name}" for name in ("bodies", "waiting", "owned:bare", "state")]

    def call(*args: Any) -> Any:
        connection.send_packed_command(connection.pack_command(*args), check_health=False)
        return connection.read_response()

    sha = call("SCRIPT", "LOAD", BARE)
    decode = msgspec.json.Decoder(Document).decode
    tasks = {"app.nothing": nothing}
    done: list[Any] = []
    handled = 0
    marks: list[tuple[float, int, float, float]] = []
    while handled < number:
        ticket, ids, values = call("EVALSHA", sha, len(keys), *keys, "bare", BATCH, *done)
        done = []
        for place, (id, value) in enumerate(zip(ids, values, strict=True), 1):
            document = decode(value[14:])
            tasks[document.task](*document.args)
            done += (id, ticket + place)
        handled += len(ids)
        if len(marks) < 2 and handled >= number * (0.1, 0.9)[len(marks)]:
            marks.append((time.monotonic(), handled, cpu_of(os.getpid()), cpu_of(server.pid)))
    (began, first, own, theirs), (ended, last, own_after, theirs_after) = marks
    count = last - first
    return {
        "rate": count / (ended - began), "consumers": (own_after - own) / count, "others": 0.0,
        "redis": (theirs_after - theirs) / count,
    }  # fmt: skip


def nothing(_text: str) -> None:
    pass


# a long backlog


def backlog(server: Server, number: int) -> bool:
    with made(server, 1) as one, redis.Redis.from_url(server.url) as client:
        fill(one, 1)
        client.delete(*client.keys("*bodies*"), *client.keys("*waiting*"))
        before = client.info("memory")["used_memory"]
        fill(one, number)
        each = (client.info("memory")["used_memory"] - before) / number
        one.start(ready=False)
        row, seen = watch(one, server, number)
        one.wait_empty()
        left = client.hlen(next(iter(client.keys("*bodies*")), "none"))
    first, last = (rate_between(seen, number * low, number * high) for low, high in ((0.02, 0.12), (0.9, 1)))
    print(f"\n{number:,} messages of {BODY_BYTES} bytes: {row.rate:,.0f}/s, {left} left")
    print(f"the first tenth {first:,.0f}/s, the last {last:,.0f}/s")
    print(f"CPU per message: consumer {row.consumers:.1f} µs, Redis {row.redis:.1f} µs")
    kept = bar("last tenth / first", last / first, ">=", MIN_LAST)
    return bar("bytes for each that waits", each, "<=", MAX_BYTES) & kept and left == 0


def rate_between(seen: list[tuple[float, int]], low: float, high: float) -> float:
    inside = [one for one in seen if low <= one[1] <= high]
    (began, first), (ended, last) = inside[0], next(one for one in inside if one[1] == inside[-1][1])
    return (last - first) / (ended - began)


# one slow message


def slow(server: Server, rounds: int) -> bool:
    quick, consumers, seconds = 1_000, 4, 2.0
    worst, passed = [], []
    for _ in range(rounds):
        with made(server, consumers) as one:
            one.start()
            place = random.randrange(quick // 4, quick)
            entries = [
                Entry(id, wire.encode("app.timed", [at, seconds if at == place else 0], {}, id=id))
                for at, id in ((at, new_id()) for at in range(quick))
            ]
            for first in range(0, quick, 100):
                one.driver.push("q", entries[first : first + 100])
            one.wait_until(lambda one=one: len(one.said()) >= quick, "all to have run")
            runs = sorted(
                (int(n), float(began), float(ended)) for n, began, ended in map(str.split, one.said())
            )
            worst.append(late(runs, consumers, place))
            passed.append(overtaken(runs, place))
    print(f"\n{quick - 1:,} quick messages and one of {seconds:g} s, {consumers} consumers, {rounds} rounds")
    print("the latest of each round, in seconds: " + ", ".join(f"{one:.3f}" for one in worst))
    print(
        "the longest that one was held after a later one had begun: "
        + ", ".join(f"{one:.3f}" for one in passed)
    )
    return bar("seconds behind the ideal, median", statistics.median(worst), "<=", MAX_LATE)


def overtaken(runs: list[tuple[int, float, float]], slow_one: int) -> float:
    """Return how long at most a quick one began after one that was pushed later."""
    worst, soonest = 0.0, math.inf
    for number, began, _ in reversed(runs):
        if number != slow_one:
            worst = max(worst, began - soonest)
            soonest = min(soonest, began)
    return worst


def late(runs: list[tuple[int, float, float]], consumers: int, slow_one: int) -> float:
    """Return how late the latest quick one began, against consumers that take one after the other at once."""
    free = [min(began for _, began, _ in runs)] * consumers
    worst = 0.0
    for number, began, ended in runs:
        ideal = heapq.heappop(free)
        heapq.heappush(free, ideal + ended - began)
        if number != slow_one:
            worst = max(worst, began - ideal)
    return worst


if __name__ == "__main__":
    main()
