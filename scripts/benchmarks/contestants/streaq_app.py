"""streaq: Redis streams and functions; its idle_timeout is what a killed worker's messages wait for."""

from protocol import CONCURRENCY, URL, awork, play
from streaq import Worker

NAME = "streaq"
ENVIRONMENT = "current"
SETTINGS = "100 at once (or as said), idle_timeout 10 s, no results, silent, uvloop"
SURVIVES = "yes, after idle_timeout (60 s; here 10 s)"
COMMAND = "streaq run streaq_app:worker"
CONCURRENT = COMMAND
ALL_IN_ONE = False

worker = Worker(
    redis_url=URL,
    concurrency=CONCURRENCY or 100,
    idle_timeout=10,
    anyio_kwargs={"use_uvloop": True},
)


@worker.task(silent=True, ttl=0)
async def handle(payload: str) -> None:
    await awork(payload)


async def push(payload: str) -> None:
    await handle.enqueue(payload)


async def many(payloads: list[str]) -> None:
    await worker.enqueue_many([handle.enqueue(payload) for payload in payloads])


def main() -> None:
    play(push, many, worker.__aenter__)
