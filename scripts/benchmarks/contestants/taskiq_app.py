"""taskiq: the broker on Redis streams, which acknowledges; its list broker loses what a killed worker ran."""

from protocol import URL, awork, play
from taskiq_redis import RedisStreamBroker

NAME = "taskiq"
ENVIRONMENT = "current"
SETTINGS = "streams, 100 at once (or as said), acknowledged when executed, idle_timeout 10 s, no results"
SURVIVES = "only if new messages keep coming: after idle_timeout (10 min; here 10 s)"
COMMAND = "taskiq worker taskiq_app:broker -w {consumers} --max-async-tasks 100 --log-level ERROR"
CONCURRENT = (
    "taskiq worker taskiq_app:broker -w {consumers} --max-async-tasks {concurrency} --log-level ERROR"
)
ALL_IN_ONE = True

broker = RedisStreamBroker(URL, idle_timeout=10_000, unacknowledged_lock_timeout=5)


@broker.task
async def handle(payload: str) -> None:
    await awork(payload)


def main() -> None:
    play(handle.kiq, open=broker.startup)
