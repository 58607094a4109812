"""arq: looks for messages every millisecond instead of twice a second, which costs it CPU when idle."""

from typing import Any

import uvloop
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from protocol import CONCURRENCY, URL, awork, play

NAME = "arq"
ENVIRONMENT = "arq"
SETTINGS = "100 at once (or as said), poll_delay 1 ms, job_timeout 10 s, no results, uvloop"
SURVIVES = "yes, after job_timeout (300 s; here 10 s) and 10 s more"
COMMAND = "arq arq_app.Settings"
CONCURRENT = COMMAND
ALL_IN_ONE = False

uvloop.install()


async def handle(_: Any, payload: str) -> None:
    await awork(payload)


class Settings:
    functions = [handle]  # noqa: RUF012
    redis_settings = RedisSettings.from_dsn(URL)
    max_jobs = CONCURRENCY or 100
    poll_delay = 0.001
    job_timeout = 10
    keep_result = 0
    log_results = False


class Door:
    """The connection by which messages are pushed."""

    pool: ArqRedis


async def open() -> None:
    Door.pool = await create_pool(Settings.redis_settings)


async def push(payload: str) -> None:
    await Door.pool.enqueue_job("handle", payload)


def main() -> None:
    play(push, open=open)
