"""How SQLite is shared by eight consumers: what each gets of it, and the worst wait for the gate.

Eight processes settle one message and take the next, as fast as they can, and with 2 ms for each message;
then the same without the gate, where SQLite's own busy handler is all that brings order. It fails if with the
gate anybody gets less than half of his fair share. TMPDIR=/dev/shm measures it without a disk.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from procqueue.core.verdict import ACK, Settlement
from procqueue.drivers.contract import Entry
from procqueue.drivers.sqlite.driver import SqliteDriver
from procqueue.drivers.sqlite.gate import Gate

CONSUMERS = 8


class Timed(Gate):
    """A gate that knows the longest wait for it."""

    worst = 0.0

    def _enter(self, patience: float | None) -> None:
        began = time.monotonic()
        super()._enter(patience)
        self.worst = max(self.worst, time.monotonic() - began)


class NoGate(Timed):
    """What would be without it. The wait is that for SQLite's lock, and is measured with the turn."""

    def _enter(self, patience: float | None) -> None:
        pass

    @contextlib.contextmanager
    def held(self, patience: float | None) -> Iterator[None]:  # noqa: ARG002
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-s", type=float, default=5, help="seconds of each measurement")
    seconds = parser.parse_args().s
    print(f"{CONSUMERS} processes, one message a turn, fsync, {seconds:g} s each")
    unfair = False
    for gate in (Timed, NoGate):
        for handler in (0.0, 0.002):
            with tempfile.TemporaryDirectory() as folder:
                rows = measure(f"{folder}/queue.db", gate, handler, seconds)
            unfair |= report(gate, handler, rows, seconds)
    sys.exit(1 if unfair else 0)


def measure(path: str, gate: type[Timed], handler: float, seconds: float) -> list[dict[str, Any]]:
    """Return what each process did: {"done", "worst", "turn"}."""
    keeper = SqliteDriver(path)
    for number in range(round(seconds * 100)):  # 10,000 a second: more than they can take
        keeper.push("q", [Entry(f"{number}-{part}", b"x" * 100) for part in range(100)])
    begin, end = os.pipe(), os.pipe()
    pids = []
    for number in range(CONSUMERS):
        pids.append(os.fork())
        if not pids[-1]:
            os.close(begin[1])
            os.read(begin[0], 1)  # until all are there
            row = consume(path, f"c{number}", gate, handler, seconds)
            os.write(end[1], json.dumps(row).encode() + b"\n")
            os._exit(0)
    os.close(begin[1])
    os.close(end[1])
    with os.fdopen(end[0]) as said:
        rows = [json.loads(line) for line in said]
    for pid in pids:
        os.waitpid(pid, 0)
    os.close(begin[0])
    keeper.close()
    return rows


def consume(path: str, name: str, gate: type[Timed], handler: float, seconds: float) -> dict[str, Any]:
    driver = SqliteDriver(path, timeout=60)
    driver._link.gate = timed = gate(f"{path}.gate", 0o600)
    driver.register("q", name, "host")
    done, longest = 0, 0.0
    settlements: list[Settlement] = []
    until = time.monotonic() + seconds
    while (now := time.monotonic()) < until:
        (one,) = driver.turn("q", name, settlements, 1).taken
        longest = max(longest, time.monotonic() - now)
        time.sleep(handler)
        settlements = [Settlement(one.id, one.ticket, ACK)]
        done += 1
    return {"done": done, "worst": timed.worst, "turn": longest}


def report(gate: type[Timed], handler: float, rows: list[dict[str, Any]], seconds: float) -> bool:
    """Print one line; return whether it is unfair although there was a gate."""
    done = [row["done"] for row in rows]
    share = min(done) / (sum(done) / len(done))
    worst = max(row["worst"] if gate is Timed else row["turn"] for row in rows) * 1000
    print(
        f"  {'gate' if gate is Timed else 'none':4}  handler {handler * 1000:g} ms  "
        f"{sum(done) / seconds:6.0f}/s  each {min(done):5} to {max(done):5}  "
        f"least {share:4.0%} of a fair share  worst wait {worst:6.1f} ms"
    )
    return gate is Timed and (share < 0.5 or len(rows) < CONSUMERS)


if __name__ == "__main__":
    main()
