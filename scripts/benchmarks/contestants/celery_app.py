"""celery: its solo pool, the fastest for short tasks; acks_late, or a killed worker loses messages."""

from celery import Celery
from protocol import URL, play, work

NAME = "celery"
ENVIRONMENT = "current"
SETTINGS = "solo pool (threads for 10 at once), acks_late, prefetch 100, no results, no events"
SURVIVES = "yes, after the visibility timeout (1 h; here 10 s) and up to 100 s"
COMMAND = (
    "celery -q -A celery_app worker -P solo -l ERROR --without-gossip --without-mingle --without-heartbeat"
)
CONCURRENT = (
    "celery -q -A celery_app worker -P threads -c {concurrency} -l ERROR"
    " --without-gossip --without-mingle --without-heartbeat"
)
ALL_IN_ONE = False

app = Celery("celery_app", broker=URL)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=100,
    worker_send_task_events=False,
    broker_transport_options={"visibility_timeout": 10},
)


@app.task
def handle(payload: str) -> None:
    work(payload)


def main() -> None:
    play(handle.delay)
