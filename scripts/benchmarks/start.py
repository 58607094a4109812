"""How soon consumers are ready, and what each costs in memory: with and without a template.

From the launch to ready with 1 and 4 consumers, and to the successor's readiness after kill -9, for an
application whose import takes no time and one whose import takes two seconds and 40 MiB. Memory is PSS: pages
that several processes share count for each by its part. "each further" compares four consumers with one.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from tests.live.harness import Project, project

APP = """
ballast = [str(n) for n in range({ballast})]
time.sleep({seconds})

@task(queue="q")
def quick():
    pass
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=5, help="starts of each kind")
    starts = parser.parse_args().n
    print(f"{starts} starts each, SQLite; seconds: median (min to max), PSS in MiB: median")
    for seconds in (0, 2):
        for preload in ("true", "false"):
            trees = {}
            for consumers in (1, 4):
                rows = [one_start(seconds, preload, consumers) for _ in range(starts)]
                ready, successor, tree = zip(*rows, strict=True)
                trees[consumers] = statistics.median(tree)
                print(
                    f"  import {seconds} s  preload {preload:5}  consumers {consumers}"
                    f"  ready {span(ready)}  successor {span(successor)}  tree {trees[consumers]:6.1f}"
                )
            print(f"  {'':27} each further consumer {(trees[4] - trees[1]) / 3:.1f}")


def one_start(seconds: int, preload: str, consumers: int) -> tuple[float, float, float]:
    """Return seconds to ready, seconds from kill -9 to a ready successor, MiB of the whole tree."""
    config = f"[queues.q]\nprocesses = {consumers}\npreload = {preload}\n"
    app = APP.format(seconds=seconds, ballast=500_000 if seconds else 0)
    with tempfile.TemporaryDirectory() as folder, project(Path(folder), config, app) as made:
        began = time.monotonic()
        made.start()
        ready = time.monotonic() - began
        time.sleep(1.2)  # one that dies within its first second is taken to have died of its start
        tree = sum(map(pss, made.processes()))
        return ready, one_kill(made), tree


def one_kill(made: Project) -> float:
    before = set(made.pids("q"))
    killed = time.monotonic()
    os.kill(min(before), signal.SIGKILL)
    made.wait_until(lambda: set(made.pids("q")) - before, "the successor")
    return time.monotonic() - killed


def pss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def span(column: tuple[float, ...]) -> str:
    return f"{statistics.median(column):6.3f} ({min(column):.3f} to {max(column):.3f})"


if __name__ == "__main__":
    main()
