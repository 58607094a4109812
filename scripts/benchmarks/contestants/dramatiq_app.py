"""dramatiq: the fastest of the peers that lose nothing, once it may fetch a hundred messages ahead."""

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from protocol import URL, play, work

NAME = "dramatiq"
ENVIRONMENT = "current"
SETTINGS = "1 thread a process, prefetch 100, heartbeat_timeout 10 s"
SURVIVES = "yes, after heartbeat_timeout (60 s; here 10 s) and a chance of 0.1 % with each command"
COMMAND = "env dramatiq_queue_prefetch=100 dramatiq --skip-logging -p {consumers} -t 1 dramatiq_app"
CONCURRENT = (
    "env dramatiq_queue_prefetch=100 dramatiq --skip-logging -p {consumers} -t {concurrency} dramatiq_app"
)
ALL_IN_ONE = True

dramatiq.set_broker(RedisBroker(url=URL, heartbeat_timeout=10_000))


@dramatiq.actor(time_limit=float("inf"))
def handle(payload: str) -> None:
    work(payload)


def main() -> None:
    play(handle.send)
