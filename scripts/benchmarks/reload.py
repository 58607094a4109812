"""How soon a saved file is at work: from the save to the first message that the new code handles.

A real master under load, two consumers, a save that changes one number in the application; again and again.
The handler itself writes down which code it is and when. Meanwhile every message is accounted for, and how
many consumers are ready is asked all the time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from procqueue.core.message import State
from tests.live.harness import Project, each_store

CONFIG = """
[queues.q]
processes = 2
start_seconds = 0.2
"""
APP = """
VERSION = 1000

@task(queue="q")
def work(n: int) -> None:
    say(f"{VERSION} {time.monotonic()} {n}")
    time.sleep(0.005)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=50, help="saves per driver")
    saves = parser.parse_args().n
    print(f"milliseconds from a save to the first message of the new code, {saves} saves each, under load")
    for kind, made in each_store(CONFIG, APP):
        report(kind, Measured(made, saves))


class Measured:
    """One project, measured while it lives."""

    def __init__(self, made: Project, saves: int) -> None:
        made.start("--reload")
        made.wait_until(lambda: made.status()["watcher"]["state"] == "ready", "the watcher")
        self.times: list[float] = []
        self.least_ready = 2
        self._made = made
        self._pushed = 0
        self._push()
        for number in range(1, saves + 1):
            self.times.append(self._save(1000 + number))
            made.wait_until(lambda: self._is_settled(), "the consumers to be replaced")
        made.wait_empty()
        heard = [line.split()[2] for line in made.said()]
        self.lost = self._pushed - len(set(heard))
        self.repeated = len(heard) - len(set(heard))
        self.failed = len(made.driver.messages("q", State.FAILED, 0, 100))
        self.pushed = self._pushed

    def _save(self, version: int) -> float:
        path = self._made.folder / "app.py"
        text = path.read_text().replace(f"VERSION = {version - 1}", f"VERSION = {version}")
        seen = len(self._made.trail.read_bytes())
        saved = time.monotonic()
        path.write_text(text)
        while True:
            self._look()
            with self._made.trail.open("rb") as trail:
                trail.seek(seen)
                new = [line.split() for line in trail.read().decode().splitlines() if line.count(" ") == 2]
            first = [float(at) for code, at, _ in new if code == str(version)]
            if first:
                return (first[0] - saved) * 1000
            if time.monotonic() - saved > 30:
                raise SystemExit(f"the new code never came\n{self._made.report()}")

    def _is_settled(self) -> bool:
        consumers = self._look()
        generation = max(one["generation"] for one in consumers)
        return len(consumers) == 2 and all(one["generation"] == generation for one in consumers)

    def _look(self) -> list[dict[str, int]]:
        found = self._made.status()["queues"]["q"]
        self.least_ready = min(self.least_ready, found["ready"])
        if self._made.counts().waiting < 300:
            self._push()
        consumers: list[dict[str, int]] = found["consumers"]
        time.sleep(0.005)
        return consumers

    def _push(self) -> None:
        self._made.push_many("work", 500, first=self._pushed)
        self._pushed += 500


def report(kind: str, found: Measured) -> None:
    times = sorted(found.times)
    print(
        f"  {kind:7} median {statistics.median(times):6.1f}  ({times[0]:.1f} to {times[-1]:.1f})  "
        f"{found.pushed} messages, lost {found.lost}, run twice {found.repeated}, failed {found.failed}; "
        f"least ready {found.least_ready} of 2"
    )


if __name__ == "__main__":
    main()
