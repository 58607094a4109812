"""How close a consumer of ten at once comes to what handlers that only wait allow, and who waits longest.

Each handler sleeps 10 ms, so one consumer with `concurrency = 10` could do 1,000 a second: in threads and
on the event loop, with SQLite and Redis; without a store it is what Python itself makes of ten that sleep
(asyncio rounds each wait up to a millisecond). All messages wait before the consumer begins. Bar: 90 % of the
ideal, and nobody overtaken by more than 100.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from tests.live.harness import Project, project
from tests.servers import redis_url

SECONDS = 0.01
AT_ONCE = 10
APP = f"""
import asyncio

trail = os.open(os.environ["TRAIL"], os.O_WRONLY | os.O_APPEND)

def note(n):
    os.write(trail, f"{{n}} {{time.monotonic()}} {{time.process_time()}}\\n".encode())

@task(queue="q", name="app.threads")
def threads(n):
    note(n)
    time.sleep({SECONDS})

@task(queue="q", name="app.async")
async def on_the_loop(n):
    note(n)
    await asyncio.sleep({SECONDS})
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=3000, help="messages per run")
    number = parser.parse_args().n
    print(f"`scripts/bench sleep -n {number}` on {os.cpu_count()} CPUs: {number} × {SECONDS * 1000:g} ms\n")
    print("| handlers | store | per second | of the ideal | CPU ms each | overtaken by at most | bar |")
    print("|---|---|---|---|---|---|---|")
    bare(number)
    for kind in ("threads", "async"):
        for store in ("sqlite", "redis"):
            url = redis_url("redis") if store == "redis" else None
            config = f"[queues.q]\nconcurrency = {AT_ONCE}\n"
            with tempfile.TemporaryDirectory() as folder, project(Path(folder), config, APP, url) as made:
                report(kind, store, measure(made, kind, number))


def bare(number: int) -> None:
    """Show what this machine makes of ten that only sleep: with asyncio less than is ideal."""
    for kind, sleeps in (("threads", sleep_in_threads), ("async", lambda n: asyncio.run(sleep_on_a_loop(n)))):
        began, cpu = time.monotonic(), time.process_time()
        sleeps(number)
        rate = number / (time.monotonic() - began)
        cpu = (time.process_time() - cpu) / number * 1000
        print(f"| {kind} | none | {rate:.0f} | {rate * SECONDS / AT_ONCE:.1%} | {cpu:.2f} | | |")


def sleep_in_threads(number: int) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(lambda _: time.sleep(SECONDS), range(number)):
            pass


async def sleep_on_a_loop(number: int) -> None:
    async def sleep(place: int) -> None:
        await asyncio.sleep(place * SECONDS / AT_ONCE)  # not in step, as messages are not
        for _ in range(number // AT_ONCE):
            await asyncio.sleep(SECONDS)

    await asyncio.gather(*map(sleep, range(AT_ONCE)))


def measure(made: Project, kind: str, number: int) -> list[tuple[int, float, float]]:
    made.push_many(kind, number)
    made.start()
    made.wait_until(lambda: made.trail.read_bytes().count(b"\n") == number, "all to have begun")
    made.wait_empty()
    rows = (line.split() for line in made.said())
    return [(int(n), float(at), float(cpu)) for n, at, cpu in rows]


def report(kind: str, store: str, rows: list[tuple[int, float, float]]) -> None:
    first, last = rows[0], rows[-1]
    rate = (len(rows) - 1) / (last[1] - first[1])
    share = rate * SECONDS / AT_ONCE
    cpu = (last[2] - first[2]) / len(rows) * 1000
    overtaken = max(place - n for place, (n, _, _) in enumerate(rows))
    held = "held" if share >= 0.9 and overtaken <= 100 else "MISSED"
    print(f"| {kind} | {store} | {rate:.0f} | {share:.1%} | {cpu:.2f} | {overtaken} | {held} |")


if __name__ == "__main__":
    main()
