"""How soon messages are handled after a launch, a recycle and a kill -9; what each process costs in memory.

For an application whose import takes no time, and one whose import takes two seconds and 40 MiB, with and
without a template. The handler and a listener write down the moments themselves. Memory is PSS: pages that
several processes share count for each by its part, so other Pythons on the machine make it less.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from tests.live.harness import Project, project
from tests.servers import start_server

APP = """
import procqueue

ballast = [str(n) for n in range({ballast})]
time.sleep({seconds})

@procqueue.on("consumer_started")
def started(event):
    say(f"started {{time.monotonic()}} {{os.getpid()}}")

@task(queue="q")
def quick(n):
    say(f"handled {{time.monotonic()}} {{os.getpid()}}")
"""
#: A consumer is recycled after so many messages, and asks for its successor at nine tenths of them.
LIMIT, ASKS = 100, 90
CONFIG = """
[queues.q]
processes = {consumers}
preload = {preload}
max_messages = {max_messages}
jitter = 0
start_seconds = 0.1
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=5, help="starts of each kind")
    starts = parser.parse_args().n
    with tempfile.TemporaryDirectory() as folder:
        server = start_server(Path(folder))
        print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, Redis; medians of {starts} starts\n")
        times(server.url, starts)
        memory(server.url, starts)
        server.kill()


def times(url: str, starts: int) -> None:
    print("| import | template | launch → first message | recycle → successor ready | kill -9 → ready |")
    print("| --- | --- | --- | --- | --- |")
    for seconds in (0, 2):
        for preload in ("true", "false"):
            rows = [one_start(url, seconds, preload) for _ in range(starts)]
            shown = [f"{statistics.median(column) * 1000:.0f} ms" for column in zip(*rows, strict=True)]
            print(f"| {seconds} s | {'yes' if preload == 'true' else 'no'} | {' | '.join(shown)} |")


def memory(url: str, starts: int) -> None:
    print("\n| PSS in MiB | master | scheduler | a consumer | these | whole tree |")
    print("| --- | --- | --- | --- | --- | --- |")
    trees = {}
    for consumers in (1, 4, 16):
        rows = [one_tree(url, consumers, "true", 0) for _ in range(min(starts, 3))]
        master, scheduler, each, tree = (statistics.median(column) for column in zip(*rows, strict=True))
        trees[consumers] = tree
        these = master + scheduler + consumers * each
        cells = " | ".join(f"{size:.1f}" for size in (master, scheduler, each, these, tree))
        print(f"| {consumers} consumers | {cells} |")
    these = "master, scheduler and four consumers at most 60, the tree 75"
    print(f"\neach further consumer: {(trees[16] - trees[4]) / 12:.1f} MiB (to be: at most 8; {these})")
    for preload, how in (("true", "with"), ("false", "without")):
        one, four = (one_tree(url, consumers, preload, 2)[-1] for consumers in (1, 4))
        print(f"an import of 40 MiB, {how} a template: each further consumer {(four - one) / 3:.1f} MiB")


def one_start(url: str, seconds: int, preload: str) -> tuple[float, float, float]:
    """Return the seconds to the first message, to the successor's readiness, and the same after a kill -9."""
    with made(url, 1, preload, seconds, LIMIT) as p:
        p.push("quick", 0)
        began = time.monotonic()
        p.start(ready=False)
        first = moment(p, "handled", 1) - began
        # One that dies within its first second is taken to have died of its start.
        time.sleep(1.2)
        p.push_many("quick", ASKS - 1)
        asked = moment(p, "handled", ASKS)
        recycle = moment(p, "started", 2) - asked
        p.push_many("quick", 30)
        moment(p, "handled", ASKS + 30)
        time.sleep(1.2)
        killed = time.monotonic()
        os.kill(p.pids("q")[0], signal.SIGKILL)
        return first, recycle, moment(p, "started", 3) - killed


def one_tree(url: str, consumers: int, preload: str, seconds: int) -> tuple[float, float, float, float]:
    """Return MiB of master, scheduler, a consumer (the median one) and all, when messages were handled."""
    with made(url, consumers, preload, seconds) as p:
        p.start()
        p.push_many("quick", 50 * consumers)
        moment(p, "handled", 50 * consumers)
        status = p.status()
        each = statistics.median(pss(one["pid"]) for one in status["queues"]["q"]["consumers"])
        scheduler = pss(status["scheduler"]["pid"])
        return pss(status["master"]["pid"]), scheduler, each, sum(map(pss, p.processes()))


def moment(p: Project, word: str, number: int) -> float:
    """Wait until `word` was written down so often; return when that was (monotonic)."""

    def found() -> list[str]:
        return [line for line in p.said() if line.startswith(word)]

    p.wait_until(lambda: len(found()) >= number, f"{word} the {number}th time")
    return float(found()[number - 1].split()[1])


@contextmanager
def made(url: str, consumers: int, preload: str, seconds: int, max_messages: int = 0) -> Iterator[Project]:
    """A project on Redis whose import takes so long, and 40 MiB if it takes any time."""
    app = APP.format(seconds=seconds, ballast=500_000 if seconds else 0)
    config = CONFIG.format(consumers=consumers, preload=preload, max_messages=max_messages)
    with tempfile.TemporaryDirectory() as folder, project(Path(folder), config, app, url) as p:
        yield p


def pss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main()
