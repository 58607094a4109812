"""How quick SQLite is: handled and pushed beside SqliteHuey and beside a bare loop, all with fsync.

Everything has journal_mode = WAL and synchronous = FULL, and stands on the disk of TMPDIR. Three kinds
take turns: `procqueue start`, `huey_consumer` (in an environment of its own, made once in the cache
directory), and a bare loop that does the least a safe queue must: under the same flock it deletes ten
messages and reserves the next ten in one transaction. Rates are those between 10 and 90 % handled,
counted from outside in shared memory; CPU is that of the consumers. Only ratios within one run mean
something. It fails if a bar is not held.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import signal
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import textwrap
import time
import venv
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from procqueue.core import wire
from procqueue.drivers.contract import Entry
from procqueue.drivers.sqlite.driver import SqliteDriver

ROOT = Path(__file__).parent.parent.parent

WAITING = "SELECT seq, body FROM messages WHERE state = 'waiting' ORDER BY seq LIMIT 10"
PRAGMAS = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL")

#: Counts what a process has handled, where the benchmark sees it: 8 bytes in a file named after its pid.
COUNTER = """
import mmap, os, sys
_pid, _count = 0, None

def count():
    global _pid, _count
    if _pid != os.getpid():
        _pid = os.getpid()
        path = os.path.join(os.environ["COUNTERS"], str(_pid))
        with open(path + ".new", "w+b") as file:
            file.truncate(8)
            _count = memoryview(mmap.mmap(file.fileno(), 8)).cast("Q")
        os.rename(path + ".new", path)
    _count[0] += 1
"""
PROCQUEUE_APP = f"""{COUNTER}
import procqueue

@procqueue.task(queue="q")
def noop(number):
    count()
"""
PROCQUEUE_PUSH = """
import json, sys, time
import procqueue, app
procqueue.connect(sys.argv[1])
app.noop.push(0)
one, many = int(sys.argv[2]), int(sys.argv[3])
def timed(push):
    cpu, began = time.process_time(), time.perf_counter()
    push()
    return time.perf_counter() - began, time.process_time() - cpu
def singly():
    for number in range(one):
        app.noop.push(number)
def at_once():
    app.noop.push_many(app.noop.call(number) for number in range(many))
print(json.dumps([timed(singly), timed(at_once)]))
"""
HUEY_APP = f"""{COUNTER}
from huey import SqliteHuey
huey = SqliteHuey(filename=os.environ["HUEY_DB"], fsync=True)

@huey.task()
def noop(number):
    count()
"""
HUEY_PUSH = """
import json, sys, time
import app
app.noop(0)
one = int(sys.argv[1])
cpu, began = time.process_time(), time.perf_counter()
for number in range(one):
    app.noop(number)
print(json.dumps([time.perf_counter() - began, time.process_time() - cpu]))
"""


@dataclass(frozen=True, slots=True)
class Drained:
    """What a drain gave: messages a second, CPU µs a message, and the least share (1: equal shares)."""

    rate: float
    cpu: float
    share: float


@dataclass(frozen=True, slots=True)
class Bar:
    """What has to hold: `value` is at least (or, if `most`, at most) `limit`."""

    what: str
    value: float
    limit: float
    most: bool = False

    @property
    def is_held(self) -> bool:
        return self.value <= self.limit if self.most else self.value >= self.limit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-r", type=int, default=3, help="rounds")
    parser.add_argument("-n", type=int, default=10_000, help="messages of a drain; SqliteHuey gets an eighth")
    arguments = parser.parse_args()
    huey = huey_environment()
    print(f"`scripts/bench sqlite -r {arguments.r} -n {arguments.n}`: {machine()}")
    rates: dict[str, list[float]] = defaultdict(list)
    cpus: dict[str, list[float]] = defaultdict(list)
    shares: list[float] = []
    idles: list[tuple[float, float]] = []

    def note(name: str, rate: float, cpu: float) -> None:
        rates[name].append(rate)
        cpus[name].append(cpu)

    for _ in range(arguments.r):
        with place() as folder:
            done = bare_drain(folder, arguments.n)
            note("bare loop of ten", done.rate, done.cpu)
        for consumers in (1, 2, 8):
            with place() as folder:
                # Eight get more, or the few batches of each would say little of their shares.
                number = arguments.n * (2 if consumers == 8 else 1)
                done, idle = procqueue_drain(folder, number, consumers)
                note(f"procqueue, {consumers} consumer{'s' * (consumers > 1)}", done.rate, done.cpu)
                if consumers == 8:
                    shares.append(done.share)
                    idles.append(idle)
        with place() as folder:
            done = huey_drain(folder, huey, arguments.n // 8)
            note("SqliteHuey, 1 worker", done.rate, done.cpu)
        with place() as folder:
            singly, many = procqueue_push(folder, arguments.n // 8, arguments.n)
            note("procqueue push", *per_message(singly, arguments.n // 8))
            note("procqueue push_many", *per_message(many, arguments.n))
        with place() as folder:
            note("SqliteHuey push", *per_message(huey_push(folder, huey, arguments.n // 8), arguments.n // 8))

    rate = {name: statistics.median(values) for name, values in rates.items()}
    cpu = {name: statistics.median(values) for name, values in cpus.items()}
    print("\n| what | messages/s | min to max | CPU µs a message |\n|---|---|---|---|")
    for name, values in rates.items():
        print(f"| {name} | {rate[name]:,.0f} | {min(values):,.0f} to {max(values):,.0f} | {cpu[name]:.0f} |")

    def ratio(one: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(rates[one], rates[other], strict=True))

    bars = [
        Bar("drain, × SqliteHuey", ratio("procqueue, 1 consumer", "SqliteHuey, 1 worker"), 4),
        Bar("drain, × the bare loop", ratio("procqueue, 1 consumer", "bare loop of ten"), 0.5),
        Bar("push_many, × SqliteHuey", ratio("procqueue push_many", "SqliteHuey push"), 4),
        Bar("push one by one, × SqliteHuey", ratio("procqueue push", "SqliteHuey push"), 1),
        Bar("least of 8 consumers, of a fair share", statistics.median(shares), 0.5),
        Bar("idle: wake-ups a second of one", statistics.median(one for one, _ in idles), 5, most=True),
        Bar("idle: CPU of one, %", statistics.median(one for _, one in idles), 0.5, most=True),
    ]
    print("\n| bar | is | wanted | |\n|---|---|---|---|")
    for bar in bars:
        sign = "≤" if bar.most else "≥"
        said = "held" if bar.is_held else "MISSED"
        print(f"| {bar.what} | {bar.value:.2f} | {sign} {bar.limit:g} | {said} |")
    sys.exit(0 if all(bar.is_held for bar in bars) else 1)


# what is measured


def procqueue_drain(folder: Path, number: int, consumers: int) -> tuple[Drained, tuple[float, float]]:
    """Drain what was stored before the start; then, if there are many, look how idle the idle are."""
    (folder / "app.py").write_text(PROCQUEUE_APP)
    (folder / "queues.toml").write_text(f'app = ["app"]\n[queues.q]\nprocesses = {consumers}\n')
    store = SqliteDriver(str(folder / "run/db/queue.db"))
    for first in range(0, number, 100):
        bodies = ((f"{one:024x}", one) for one in range(first, first + 100))
        store.push("q", [Entry(id, wire.encode("app.noop", [one], {}, id=id)) for id, one in bodies])
    store.close()
    command = [sys.executable, "-m", "procqueue", "start", "-c", "queues.toml"]
    with running(folder, command) as counters:
        drained = watch(counters, number, consumers)
        if consumers < 8:
            return drained, (0.0, 0.0)
        time.sleep(0.3)
        return drained, idle(counters)


def huey_drain(folder: Path, python: Path, number: int) -> Drained:
    huey_push(folder, python, number)
    command = [str(python), "-m", "huey.bin.huey_consumer", "app.huey", "-w", "1", "-n", "-q"]
    with running(folder, command) as counters:
        return watch(counters, number, 1)


def bare_drain(folder: Path, number: int) -> Drained:
    """Settle ten and reserve ten, again and again, with nothing around it."""
    base, gate = sqlite3.connect(folder / "bare.db", isolation_level=None), folder / "gate"
    for pragma in PRAGMAS:
        base.execute(pragma)
    base.execute("CREATE TABLE messages (seq INTEGER PRIMARY KEY, state TEXT, owner TEXT, body BLOB)")
    base.execute("CREATE INDEX waiting ON messages (seq) WHERE state = 'waiting'")
    base.execute("BEGIN")
    rows = ((wire.encode("app.noop", [one], {}, id=f"{one:024x}"),) for one in range(number))
    base.executemany("INSERT INTO messages (state, body) VALUES ('waiting', ?)", rows)
    base.execute("COMMIT")
    fd = os.open(gate, os.O_RDWR | os.O_CREAT)
    cpu, began = time.process_time(), time.perf_counter()
    held: list[tuple[int]] = []
    while True:
        fcntl.flock(fd, fcntl.LOCK_EX)
        base.execute("BEGIN IMMEDIATE")
        base.executemany("DELETE FROM messages WHERE seq = ?", held)
        found = base.execute(WAITING).fetchall()
        held = [(seq,) for seq, _ in found]
        base.executemany("UPDATE messages SET state = 'reserved', owner = 'c' WHERE seq = ?", held)
        base.execute("COMMIT")
        fcntl.flock(fd, fcntl.LOCK_UN)
        if not held:
            break
        for _, body in found:
            json.loads(body)
    seconds, burnt = time.perf_counter() - began, time.process_time() - cpu
    os.close(fd)
    base.close()
    return Drained(number / seconds, burnt / number * 1e6, 1)


def procqueue_push(folder: Path, one: int, many: int) -> list[tuple[float, float]]:
    """Return wall-clock and CPU seconds of pushing one by one, and of push_many."""
    (folder / "app.py").write_text(PROCQUEUE_APP)
    url = f"sqlite:///{folder}/run/db/queue.db"
    return json.loads(script(folder, Path(sys.executable), PROCQUEUE_PUSH, url, str(one), str(many)))


def huey_push(folder: Path, python: Path, number: int) -> tuple[float, float]:
    """Return wall-clock and CPU seconds."""
    (folder / "app.py").write_text(HUEY_APP)
    return json.loads(script(folder, python, HUEY_PUSH, str(number)))


# how it is measured


def watch(counters: Path, number: int, consumers: int) -> Drained:
    """Watch a drain of `number` messages from outside, from 10 % (and all have begun) to 90 %."""
    give_up = time.monotonic() + 60
    marks: list[tuple[float, dict[int, int], dict[int, float]]] = []
    for part in (0.1, 0.9, 1.0):
        while (done := sum((counts := handled(counters)).values())) < part * number or (
            len(counts) < consumers and done < 0.9 * number
        ):
            if time.monotonic() > give_up:
                raise SystemExit(f"only {counts} of {number} were handled within a minute")
            time.sleep(0.002)
        marks.append((time.perf_counter(), counts, {pid: cpu_seconds(pid) for pid in counts}))
    (began, before, cpu_before), (ended, after, cpu_after), _ = marks
    each = [after[pid] - before.get(pid, 0) for pid in after]
    each += [0] * (consumers - len(each))
    burnt = sum(seconds - cpu_before.get(pid, 0.0) for pid, seconds in cpu_after.items())
    return Drained(sum(each) / (ended - began), burnt / sum(each) * 1e6, min(each) / (sum(each) / len(each)))


def idle(counters: Path) -> tuple[float, float]:
    """Return wake-ups a second and % of a CPU of one consumer that has nothing to do."""
    pids = [int(path.name) for path in counters.iterdir()]
    seconds = 1.0

    def now() -> tuple[int, float]:
        return sum(map(switches, pids)), sum(map(cpu_seconds, pids))

    woken, burnt = now()
    time.sleep(seconds)
    woken_since, burnt_since = now()
    return (woken_since - woken) / len(pids) / seconds, (burnt_since - burnt) / len(pids) / seconds * 100


def handled(counters: Path) -> dict[int, int]:
    """Return pid → how many messages it has handled."""
    found = {}
    for path in counters.iterdir():
        if path.name.isdigit():
            (found[int(path.name)],) = struct.unpack("Q", path.read_bytes())
    return found


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of all threads of a process, by the nanosecond clock of the scheduler."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def switches(pid: int) -> int:
    """Return how often a process went to sleep."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def per_message(measured: tuple[float, float], number: int) -> tuple[float, float]:
    wall, cpu = measured
    return number / wall, cpu / number * 1e6


@contextmanager
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pq-") as folder:
        (Path(folder) / "counters").mkdir()
        yield Path(folder)


@contextmanager
def running(folder: Path, command: list[str]) -> Iterator[Path]:
    """Run a program; give the directory of its counters."""
    with (folder / "output").open("wb") as output:
        child = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=output, stderr=output)
    try:
        yield folder / "counters"
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(30)


def script(folder: Path, python: Path, text: str, *arguments: str) -> str:
    """Run a program to its end; return what it printed."""
    command = [str(python), "-c", textwrap.dedent(text), *arguments]
    options = {"cwd": folder, "env": environment(folder), "stdout": subprocess.PIPE, "text": True}
    return subprocess.run(command, check=True, **options).stdout


def environment(folder: Path) -> dict[str, str]:
    paths = {"PYTHONPATH": f"{folder}:{ROOT}", "COUNTERS": f"{folder}/counters"}
    more = {**paths, "HUEY_DB": f"{folder}/huey.db"}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **more}


def huey_environment() -> Path:
    """Return the Python of an environment that has huey; made once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "procqueue-bench/huey"
    python = cache / "bin/python"
    if not any(cache.glob("lib/python*/site-packages/huey")):
        print("making an environment with huey (once)", file=sys.stderr)
        venv.create(cache, clear=True, with_pip=True)
        pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "huey"], check=True)
    return python


def machine() -> str:
    """Return what the figures depend on."""
    kernel = platform.release().partition("-")[0]
    return (
        f"{os.cpu_count()} cores, Linux {kernel}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}; WAL, synchronous = FULL"
    )


if __name__ == "__main__":
    main()
