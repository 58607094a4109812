"""What `procqueue restart` costs under load: messages handled in each tenth of a second meanwhile.

Pushes go on all the time, four consumers handle messages of 2 ms, and all consumers are restarted again and
again. The handler itself writes down when it ended; every message is accounted for. It has to be: no tenth of
a second without a message, nothing lost, nothing interrupted or charged.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from procqueue.core.message import State
from procqueue.process.ask import ask
from tests.live.harness import Project, each_store

CONFIG = """
[queues.q]
processes = 4
start_seconds = 0.2
"""
APP = """
@task(queue="q")
def work(n: int) -> None:
    say(f"began {n} {current().attempt + current().crashes}")
    time.sleep(0.002)
    say(f"ended {n} {time.monotonic()}")
"""
#: So many may wait: they never run out, and a restart finds a queue.
AHEAD = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=5, help="restarts per driver")
    restarts = parser.parse_args().n
    print(f"messages handled per 100 ms, four consumers, {restarts} restarts of all, pushes going on")
    for kind, made in each_store(CONFIG, APP):
        report(kind, Measured(made, restarts))


class Measured:
    """One project, measured while it lives."""

    def __init__(self, made: Project, restarts: int) -> None:
        made.start()
        self._made = made
        self.pushed = 0
        self._push()
        made.wait_until(lambda: len(made.said()) > AHEAD, "the first messages")
        self.times: list[float] = []
        self.spans: list[tuple[float, float]] = []
        for _ in range(restarts):
            self._restart()
        made.wait_empty()
        rows = [line.split() for line in made.said()]
        self.ended = [float(at) for word, _, at in rows if word == "ended"]
        began = [(n, charges) for word, n, charges in rows if word == "began"]
        self.lost = self.pushed - len({n for word, n, _ in rows if word == "ended"})
        self.twice = len(began) - len({n for n, _ in began})  # interrupted ones too
        self.charged = sum(charges != "1" for _, charges in began)
        self.failed = len(made.driver.messages("q", State.FAILED, 0, 100))

    def _restart(self) -> None:
        """Restart all; push until it is done, and for a moment more."""
        folder = str(self._made.folder / "run")
        wish = {"names": ["q"], "wait": True, "patience": 60}
        asked = threading.Thread(target=ask, args=(folder, "restart"), kwargs=wish)
        began = time.monotonic()
        asked.start()
        while asked.is_alive():
            self._push()
        self.spans.append((began, time.monotonic()))
        calm = time.monotonic() + 0.3
        while time.monotonic() < calm:
            self._push()

    def _push(self) -> None:
        while self._made.counts().waiting < AHEAD:
            self._made.push_many("work", 100, first=self.pushed)
            self.pushed += 100
        time.sleep(0.01)

    def buckets(self) -> list[int]:
        """Return how many ended in each whole tenth of a second of the restarts."""
        found = []
        for began, ended in self.spans:
            number = int((ended - began) / 0.1)
            counts = [0] * number
            for at in self.ended:
                place = int((at - began) // 0.1)
                if 0 <= place < number:
                    counts[place] += 1
            found += counts
        return found


def report(kind: str, found: Measured) -> None:
    buckets = found.buckets()
    seconds = statistics.median(ended - began for began, ended in found.spans)
    print(
        f"  {kind:7} least {min(buckets)}, median {statistics.median(buckets):g}, of {len(buckets)} buckets "
        f"{buckets.count(0)} were 0; a restart took {seconds:.1f} s; {found.pushed} messages, "
        f"lost {found.lost}, run twice {found.twice}, charged {found.charged}, failed {found.failed}"
    )


if __name__ == "__main__":
    main()
