"""A real master in a directory of its own, for tests: started, asked, killed, and proved to leave nothing.

Every process that descends from the master carries a tag in its environment (a fork without exec shows its
parent's in /proc), so that what is left can be seen from outside. Nothing here sleeps for a guessed time:
`wait_until` asks again and again, and prints everything it knows when the deadline comes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from procqueue.config import load
from procqueue.core.message import Counts, State, Stored
from procqueue.core.settings.model import DriverSettings
from procqueue.drivers.contract import Driver
from procqueue.drivers.opening import open_driver
from procqueue.process.ask import NoMaster, ask
from tests.servers import redis_url

#: Generous: machines are shared. What should take milliseconds may take this long before a test fails.
PATIENCE = 30.0


class Project:
    """A directory with a configuration and an application, and the master that runs it."""

    def __init__(
        self, folder: Path, config: str, app: str, url: str | None = None, *, programs_only: bool = False
    ) -> None:
        self.folder = folder
        self.tag = f"procqueue-test-{uuid.uuid4().hex}"
        self.config = folder / "queues.toml"
        driver = f'[driver]\nurl = "{url}"\nprefix = "{self.tag[-12:]}"\n' if url else ""
        head = "" if programs_only else f'app = ["app"]\n{driver}'
        self.config.write_text(head + textwrap.dedent(config))
        (folder / "app.py").write_text(_APP_HEAD + textwrap.dedent(app))
        self.trail = folder / "trail"
        self.trail.touch()
        self.output = folder / "output"
        self.master: subprocess.Popen[bytes] | None = None
        self.variables: dict[str, str] = {}  # more of the environment
        self.wrapper: list[str] = []  # what the command of the master is given to
        self._driver: Driver | None = None

    # processes

    def start(self, *arguments: str, ready: bool = True, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a master; return when everything wanted is ready."""
        with self.output.open("ab") as output:
            self.master = subprocess.Popen(
                [
                    *self.wrapper,
                    sys.executable,
                    "-m",
                    "procqueue",
                    "start",
                    "-c",
                    str(self.config),
                    *arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd or self.folder,
                env=self.environment(),
            )
        if ready:
            self.wait_until(lambda: self.is_ready(), "the master to be ready")
        return self.master

    def environment(self) -> dict[str, str]:
        """Return the environment of everything that belongs to this project."""
        code = Path(__file__).parent.parent.parent
        return {
            **os.environ, "PYTHONPATH": str(code), "PROCQUEUE_TEST_TAG": self.tag, "TRAIL": str(self.trail),
            "PYTHONDONTWRITEBYTECODE": "1", **self.variables,
        }  # fmt: skip

    def run(self, *arguments: str, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Run another verb to its end."""
        return subprocess.run(
            [sys.executable, "-m", "procqueue", *arguments, "-c", str(self.config)],
            capture_output=True, text=True, timeout=timeout, cwd=self.folder, check=False,
            env=self.environment(),
        )  # fmt: skip

    def kill_master(self) -> None:
        """kill -9 the master alone."""
        assert self.master is not None
        self.master.kill()
        self.master.wait()
        self.master = None

    def stop(self, patience: float = PATIENCE) -> int:
        """Ask the master to stop and wait for it; return its exit code."""
        assert self.master is not None
        self.master.send_signal(signal.SIGTERM)
        return self.wait_left(patience)

    def wait_left(self, patience: float = PATIENCE) -> int:
        """Wait until the master has ended; return its exit code. Fail with everything known."""
        assert self.master is not None
        try:
            return self.master.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the master did not end within {patience} s\n{self.report()}") from None

    def status(self) -> dict[str, Any]:
        """Return the status document."""
        return ask(str(self.folder / "run"), "status")

    def is_ready(self) -> bool:
        """True if every queue has all consumers it wants."""
        try:
            status = self.status()
        except (NoMaster, TimeoutError):
            return False
        queues = status["queues"].values()
        schedulers = [status["scheduler"], *status["schedulers"].values()]
        return all(s["state"] == "ready" for s in schedulers) and all(
            q["ready"] >= q["wanted"] for q in queues
        )

    def pids(self, queue: str) -> list[int]:
        """Return the pids of the consumers of a queue that are ready or busy."""
        consumers = self.status()["queues"][queue]["consumers"]
        return [c["pid"] for c in consumers if c["state"] in ("ready", "busy")]

    def processes(self) -> list[int]:
        """Return every living process of this project, wherever it was reparented to."""
        found = []
        mark = f"PROCQUEUE_TEST_TAG={self.tag}".encode()
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue  # gone meanwhile, or a zombie
        return found

    # the store

    @property
    def driver(self) -> Driver:
        """A connection of the test's own."""
        if self._driver is None:
            self._driver = open_driver(self.driver_settings())
        return self._driver

    def driver_settings(self) -> DriverSettings:
        """Return what the configuration says of the store."""
        os.environ.pop("PROCQUEUE_CONFIG", None)
        return load(str(self.config), dict(os.environ)).driver

    def push(self, task: str, *args: Any, queue: str = "q", id: str | None = None, **options: Any) -> str:
        """Push a message of `app.<task>`; return its id."""
        from procqueue.core import wire
        from procqueue.drivers.contract import Entry
        from procqueue.tasks.ids import new_id

        id = id or new_id()
        body = wire.encode(f"app.{task}", args, {}, id=id)
        self.driver.push(queue, [Entry(id, body, **options)])
        return id

    def push_many(self, task: str, number: int, queue: str = "q", first: int = 0) -> list[str]:
        """Push many messages whose only argument is their number, from `first` on."""
        from procqueue.core import wire
        from procqueue.drivers.contract import Entry
        from procqueue.tasks.ids import new_id

        ids = [new_id() for _ in range(number)]
        entries = [Entry(id, wire.encode(f"app.{task}", [n], {}, id=id)) for n, id in enumerate(ids, first)]
        for chunk in range(0, number, 100):
            self.driver.push(queue, entries[chunk : chunk + 100])
        return ids

    def counts(self, queue: str = "q") -> Counts:
        """Return how many messages stand where."""
        return self.driver.counts(queue)

    def failed(self, queue: str = "q") -> list[Stored]:
        """Return what stands in `failed`."""
        return self.driver.messages(queue, State.FAILED, 0, 100)

    # what the application did

    def said(self) -> list[str]:
        """Return the lines that the application wrote to its trail."""
        return self.trail.read_text().splitlines()

    def wait_said(self, line: str, times: int = 1) -> None:
        """Wait until the application has written `line` so often."""
        self.wait_until(lambda: self.said().count(line) >= times, f"{line!r} to be said {times} times")

    def wait_empty(self, queue: str = "q", patience: float = PATIENCE) -> None:
        """Wait until nothing of the queue is waiting, delayed or reserved."""

        def empty() -> bool:
            counts = self.counts(queue)
            return counts.waiting + counts.delayed + counts.reserved + counts.notices + counts.inbox == 0

        self.wait_until(empty, f"{queue} to be empty", patience)

    def wait_until(self, holds: Callable[[], Any], what: str, patience: float = PATIENCE) -> None:
        """Ask until it holds; fail with everything known."""
        give_up = time.monotonic() + patience
        while not holds():
            if self.master is not None and self.master.poll() is not None:
                raise AssertionError(f"the master has ended; waited for {what}\n{self.report()}")
            if time.monotonic() > give_up:
                raise AssertionError(f"waited {patience} s for {what}\n{self.report()}")
            time.sleep(0.005)

    def report(self) -> str:
        """Return everything known, for a failure."""
        output = self.output.read_text(errors="replace")[-6000:] if self.output.exists() else ""
        counts = self.counts() if "[queues." in self.config.read_text() else "no queues"
        logs = self.folder / "run/logs/@master.log"
        said = logs.read_bytes()[-2000:].decode(errors="replace") if logs.exists() else ""
        shown = "\n".join(map(_shown, self.processes()))
        return (
            f"counts: {counts}\ntrail: {self.said()[-20:]}\noutput:\n{output}\n"
            f"the master's own lines:\n{said}\nprocesses:\n{shown}"
        )

    def close(self) -> None:
        """End everything, and fail if the project had left anything behind by itself."""
        if self.master is not None and self.master.poll() is None:
            self.stop()
        if self._driver is not None:
            self._driver.close()
        left: list[int] = []
        give_up = time.monotonic() + PATIENCE
        while (left := self.processes()) and time.monotonic() < give_up:
            time.sleep(0.01)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert not left, f"left behind: {left}\n{self.output.read_text(errors='replace')[-4000:]}"


def _shown(pid: int) -> str:
    """Return what a process is and does."""
    try:
        entry = Path(f"/proc/{pid}")
        command = (entry / "cmdline").read_text().replace("\0", " ")
        name, _, state = (entry / "stat").read_text().partition(" (")[2].rpartition(") ")
        return f"{pid} {name} {state[:1]} {(entry / 'wchan').read_text()} {command[:200]}"
    except OSError:
        return f"{pid} gone"


@contextmanager
def project(
    folder: Path, config: str, app: str, url: str | None = None, *, programs_only: bool = False
) -> Iterator[Project]:
    """Make a project; at the end nothing of it may be left running."""
    made = Project(folder, config, app, url, programs_only=programs_only)
    try:
        yield made
    finally:
        made.close()


def verb(project: Project, *words: str, code: int = 0) -> str:
    """Run a verb, which has to end with `code`; return what it printed."""
    done = project.run(*words)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return done.stdout + done.stderr


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text of a file, which has to be there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def queue(project: Project, name: str = "q") -> dict[str, Any]:
    """Return what the status document says of a queue."""
    found: dict[str, Any] = project.status()["queues"][name]
    return found


def settled(project: Project, name: str = "q") -> bool:
    """All that are wanted are ready, and nobody else is there."""
    found = queue(project, name)
    return found["ready"] == found["wanted"] == len(found["consumers"])


def each_store(config: str, app: str) -> Iterator[tuple[str, Project]]:
    """Make one project after the other, for SQLite and Redis; their directories go with them."""
    for kind in ("sqlite", "redis"):
        url = redis_url("redis") if kind == "redis" else None
        with tempfile.TemporaryDirectory() as folder, project(Path(folder), config, app, url) as made:
            yield kind, made


_APP_HEAD = """\
import os, signal, subprocess, sys, threading, time
from procqueue import Fail, Retry, SoftTimeout, current, task

def say(line):
    fd = os.open(os.environ["TRAIL"], os.O_WRONLY | os.O_APPEND)
    os.write(fd, f"{line}\\n".encode())
    os.close(fd)

def wait_for(name):
    path = os.path.join(os.path.dirname(os.environ["TRAIL"]), name)
    while not os.path.exists(path):
        time.sleep(0.005)

"""
