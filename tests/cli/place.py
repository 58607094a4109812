"""A directory with a configuration and an application, and the real command run in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from procqueue.drivers.sqlite.driver import SqliteDriver
from procqueue.process.ask import NoMaster, ask

#: Generous: machines are shared.
PATIENCE = 15.0

CONFIG = """
app = ["app"]
[queues.emails]
max_attempts = 1
[queues.images]
"""

APP = """
import os, signal, time
from pathlib import Path
from procqueue import task

HERE = Path(__file__).parent

@task(queue="emails")
def welcome(user_id: int, lang: str = "en") -> None:
    with open(HERE / "trail", "a") as trail:
        print("welcome", repr(user_id), repr(lang), file=trail, flush=True)

@task(queue="emails")
def bad() -> None:
    raise ValueError("this went wrong")

@task(queue="images")
def until_told() -> None:
    (HERE / "begun").touch()
    while not (HERE / "go").exists():
        time.sleep(0.02)

@task(queue="emails")
def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)

@task(queue="nowhere")
def homeless() -> None: ...
"""


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return stdout, which has to be exactly one document."""
        return json.loads(self.out)


class Place:
    """One directory; everything that is started in it is tagged, so that what is left can be found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tag = f"PROCQUEUE_TEST_TAG={uuid.uuid4().hex}"
        self.started: list[subprocess.Popen[bytes]] = []
        self.write("procqueue.toml", CONFIG)
        self.write("app.py", APP)

    def write(self, name: str, text: str) -> Path:
        """Write a file; return its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of all that runs here."""
        own = {name: text for name, text in os.environ.items() if not name.startswith("PROCQUEUE_")}
        name, _, tag = self.tag.partition("=")
        code = str(Path(__file__).parent.parent.parent)
        return {**own, "PYTHONPATH": code, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "80", name: tag, **more}

    def run(self, *arguments: str, given: str | bytes = "", cwd: Path | None = None, **environ: str) -> Ran:
        """Run one command line to its end."""
        data = given.encode() if isinstance(given, str) else given
        done = subprocess.run(
            [sys.executable, "-m", "procqueue", *arguments], input=data, capture_output=True, timeout=60,
            cwd=cwd or self.folder, env=self.environment(**environ), check=False,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command that goes on; its lines go to the file `output`."""
        with (self.folder / "output").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "procqueue", *arguments], stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, cwd=self.folder, env=self.environment(),
            )  # fmt: skip
        self.started.append(process)
        return process

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a master, and wait until status is content."""
        process = self.begin("start", *arguments)
        self.wait_until(self.is_ready, "the master to be ready")
        return process

    def is_ready(self, state_dir: str = "run") -> bool:
        """True if a master runs here and every queue has its consumers."""
        try:
            document = ask(str(self.folder / state_dir), "status")
        except (NoMaster, TimeoutError):
            return False
        return all(queue["state"] in ("ok", "stopped") for queue in document["queues"].values())

    def wait_until(self, true: Callable[[], object], what: str) -> None:
        """Ask again and again until it is true."""
        give_up = time.monotonic() + PATIENCE
        while not true():
            output = self.folder / "output"
            lines = output.read_text() if output.exists() else ""
            assert time.monotonic() < give_up, f"waited in vain for {what}; the output:\n{lines}"
            time.sleep(0.03)

    def has_begun(self) -> bool:
        """True once until_told runs."""
        return (self.folder / "begun").exists()

    def let_go(self) -> None:
        """Let until_told end."""
        (self.folder / "go").touch()

    def trail(self) -> list[str]:
        """Return what welcome wrote."""
        path = self.folder / "trail"
        return path.read_text().splitlines() if path.exists() else []

    def counts(self, queue: str = "emails") -> dict[str, int]:
        """Return how many messages of a queue stand where, asked of the driver itself; no zeros."""
        driver = SqliteDriver(str(self.folder / "run/db/queue.db"))
        counts = driver.counts(queue)
        driver.close()
        names = (name for name in counts.__slots__ if name != "notices")
        return {name: number for name in names if (number := getattr(counts, name))}

    def processes(self) -> list[int]:
        """Return the pids of all that lives of this place."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and self.tag.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                pass
        return found

    def close(self) -> None:
        """End what still runs; whatever survives that is a failure of the test."""
        self.let_go()
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGQUIT)
            process.wait(PATIENCE)
        give_up = time.monotonic() + PATIENCE
        while (left := self.processes()) and time.monotonic() < give_up:
            time.sleep(0.03)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert left == [], "processes were left behind"
