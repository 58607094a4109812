"""How the number of consumers follows a burst of slow messages: wanted, wait and length each second.

`processes = {min = 1, max = 6, target_wait = "2s"}`, handlers that sleep. The trace ends when the number is
back at its least; then what was decided, in the words of `status`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from tests.live.harness import Project, project
from tests.servers import redis_url

CONFIG = """
[queues.q]
processes = {min = 1, max = 6, target_wait = "2s"}
"""
APP = """
@task(queue="q")
def slow(n):
    time.sleep(%s)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=5000, help="messages")
    parser.add_argument("--seconds", type=float, default=0.03, help="each takes")
    parser.add_argument("--redis", action="store_true", help="instead of SQLite")
    given = parser.parse_args()
    url = redis_url("redis") if given.redis else None
    app = APP % given.seconds
    with tempfile.TemporaryDirectory() as folder, project(Path(folder), CONFIG, app, url) as made:
        made.start()
        print(f"{given.n} messages of {given.seconds} s; second, wanted, ready, waiting, oldest (s)")
        trace(made, given.n)


def trace(made: Project, number: int) -> None:
    began = time.monotonic()
    made.push_many("slow", number)
    steps: list[str] = []
    wanted, second = 1, 0
    while wanted > 1 or made.counts().waiting or second < 5:
        queue = made.status()["queues"]["q"]
        wanted = queue["wanted"]
        oldest = (made.driver.oldest_ms("q") or 0) / 1000
        print(f"{second:4} {wanted:3} {queue['ready']:3} {made.counts().waiting:6} {oldest:7.1f}", flush=True)
        if (why := queue["scale"]["why"]) and why not in steps:
            steps.append(why)
        second += 1
        time.sleep(max(0.0, began + second - time.monotonic()))
    print("\n".join(steps))


if __name__ == "__main__":
    main()
