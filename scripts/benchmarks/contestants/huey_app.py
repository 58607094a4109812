"""huey: fast and small; what a killed consumer ran is lost, whatever is set."""

from huey import RedisHuey
from protocol import URL, play, work

NAME = "huey"
ENVIRONMENT = "current"
SETTINGS = "1 thread a process, no results, no periodic tasks"
SURVIVES = "no: lost"
COMMAND = "huey_consumer huey_app.huey -q -n -w 1 -k thread"
CONCURRENT = "huey_consumer huey_app.huey -q -n -w {concurrency} -k thread"
ALL_IN_ONE = False

huey = RedisHuey("q", url=URL, results=False)


@huey.task()
def handle(payload: str) -> None:
    work(payload)


def main() -> None:
    play(handle)
