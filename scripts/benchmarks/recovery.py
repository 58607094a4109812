"""How soon a message is back after kill -9 of the consumer that ran it, with SQLite and Redis.

One consumer, one long message, a kill; again and again. Three moments are seen from outside, all on the
system-wide monotonic clock: the message is waiting again (asked of the store), the successor is ready (asked
of the master), and the message runs again in the successor (written down by the handler itself).
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from tests.live.harness import Project, each_store

CONFIG = """
[queues.q]
handle_timeout = "10m"
max_crashes = 1000
"""
APP = """
@task(queue="q")
def long():
    say(f"began {time.monotonic()} {os.getpid()}")
    time.sleep(600)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=20, help="kills per driver")
    kills = parser.parse_args().n
    print(f"milliseconds after kill -9, {kills} kills each: median (min to max)")
    for kind, made in each_store(CONFIG, APP):
        report(kind, measure(made, kills))


def measure(made: Project, kills: int) -> list[tuple[float, float, float]]:
    made.start()
    made.push("long")
    rows = []
    for number in range(kills):
        made.wait_until(lambda n=number: len(made.said()) > n, "the message to run")
        pid = made.pids("q")[0]
        # A consumer that dies within its first second is taken to have died of its start.
        made.wait_until(
            lambda: made.status()["queues"]["q"]["consumers"][0]["uptime"] > 1.2, "it to have stood"
        )
        rows.append(one_kill(made, pid, number + 1))
    os.kill(made.pids("q")[0], signal.SIGKILL)
    made.run("stop", "--now")
    return rows


def one_kill(made: Project, pid: int, said: int) -> tuple[float, float, float]:
    waiting = ready = 0.0
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    while len(lines := made.said()) <= said or not ready:
        if not waiting and made.counts().waiting:
            waiting = time.monotonic()
        if not ready and (pids := made.pids("q")) and pids != [pid]:
            ready = time.monotonic()
    running = float(lines[said].split()[1])
    # What came and went between two looks had come by the time the message ran again.
    return tuple((moment - killed) * 1000 for moment in (waiting or running, min(ready, running), running))


def report(kind: str, rows: list[tuple[float, float, float]]) -> None:
    for name, column in zip(
        ("waiting again", "successor ready", "running again"), zip(*rows, strict=True), strict=True
    ):
        print(
            f"  {kind:7} {name:16} {statistics.median(column):6.1f}  ({min(column):.1f} to {max(column):.1f})"
        )


if __name__ == "__main__":
    main()
