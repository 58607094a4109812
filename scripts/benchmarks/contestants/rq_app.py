"""rq: SimpleWorker, which does not fork for each job (its default does, and is five times slower)."""

from protocol import URL, play, work
from redis import Redis
from rq import Queue, Retry

NAME = "rq"
ENVIRONMENT = "current"
SETTINGS = "SimpleWorker, Retry(max=1), results off"
SURVIVES = "only with Retry: by a sweep, every 10 minutes at best"
COMMAND = "rq worker -q --disable-job-desc-logging -w rq.SimpleWorker -u {url} q"
CONCURRENT = ""
ALL_IN_ONE = False

queue = Queue("q", connection=Redis.from_url(URL))
OPTIONS = {"result_ttl": 0, "retry": Retry(max=1)}


def push(payload: str) -> None:
    queue.enqueue(work, payload, **OPTIONS)


def many(payloads: list[str]) -> None:
    queue.enqueue_many([Queue.prepare_data(work, (payload,), **OPTIONS) for payload in payloads])


def main() -> None:
    play(push, many)
