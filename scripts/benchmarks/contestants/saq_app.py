"""saq: its Redis queue; retries 2, since with the default of 1 what a killed worker ran is aborted."""

from typing import Any

import uvloop
from protocol import CONCURRENCY, URL, awork, play
from saq import Queue

NAME = "saq"
ENVIRONMENT = "saq"
SETTINGS = "10 at once, retries 2, timeout 10 s, sweep every 5 s, no results, uvloop"
SURVIVES = "only with retries ≥ 2: after its timeout (10 s) and the next sweep (60 s; here 5 s)"
COMMAND = "saq -q saq_app.settings"
CONCURRENT = COMMAND
ALL_IN_ONE = False

uvloop.install()
queue = Queue.from_url(URL)


async def handle(_: Any, *, payload: str) -> None:
    await awork(payload)


settings = {
    "queue": queue,
    "functions": [handle],
    "concurrency": CONCURRENCY or 10,
    "timers": {"sweep": 5},
}


async def push(payload: str) -> None:
    await queue.enqueue("handle", payload=payload, retries=2, timeout=10, ttl=-1)


def main() -> None:
    play(push, open=queue.connect)
