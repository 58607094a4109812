"""One contestant on a Redis of its own: from an empty store to the last of its processes killed.

All of them become our children, also the orphans, so that nothing outlives a stand, however it ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import psutil
import redis

from contest.field import HERE, Absent, Contestant, environment
from tests.servers import Server, start_server

#: As in contestants/protocol.py, which cannot be imported here.
WORDS = 8192
STAMP = struct.Struct("<qqq")

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LOOK = 0.005
STOP_SECONDS = 3.0
PUSH_SECONDS = 60.0

prctl = ctypes.CDLL(None).prctl


class Stand:
    """Use it as a context manager. What fails raises Absent with the last line that was said."""

    def __init__(self, one: Contestant, *, concurrency: int = 0, appendonly: bool = False) -> None:
        self.one, self.concurrency, self.appendonly = one, concurrency, appendonly
        self._heads: list[subprocess.Popen[bytes]] = []
        self._commands: list[list[str]] = []
        self._pusher: subprocess.Popen[str] | None = None
        self._log = b""

    def __enter__(self) -> Self:
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.folder = Path(tempfile.mkdtemp(prefix="pq-"))
        self._said = (self.folder / "said").open("w+b")
        try:
            self._open()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _open(self) -> None:
        with (self.folder / "words").open("wb") as file:
            file.truncate(WORDS * 8)
        with (self.folder / "words").open("r+b") as file:
            self._words = memoryview(mmap.mmap(file.fileno(), WORDS * 8)).cast("Q")
        port = _free_port()
        store = self.folder / "redis"
        store.mkdir()
        self.server: Server = start_server(
            store,
            "--bind",
            "127.0.0.1",
            "--port",
            str(port),
            "--appendonly",
            "yes" if self.appendonly else "no",
        )
        self.url = f"redis://127.0.0.1:{port}/0"
        self.redis = redis.Redis.from_url(self.url)

    def __exit__(self, *_: object) -> None:
        self.close_pusher()
        self._stop()
        if hasattr(self, "redis"):
            self.redis.close()
            self.server.kill()
        self._said.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Consumers

    def start(self, consumers: int = 1) -> float:
        """Start that many; return the moment (monotonic seconds)."""
        self._consumers = consumers
        self._commands = self.one.commands(consumers, self.concurrency, self.folder, self.url)
        began = time.monotonic()
        self._heads = [self._spawn(command) for command in self._commands]
        return began

    def restart_ended(self) -> None:
        """Start again what has ended, as whoever keeps it running would."""
        for number, head in enumerate(self._heads):
            if head.poll() is not None:
                self._heads[number] = self._spawn(self._commands[number])

    def tree(self) -> list[psutil.Process]:
        """Return all processes of the contestant but the one that pushes."""
        others = {self.server.pid, self._pusher.pid if self._pusher else 0}
        return [one for one in psutil.Process().children(recursive=True) if one.pid not in others]

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_us,  # safe: there is no second thread here
            )
        except OSError as error:
            raise Absent(f"does not start: {error}") from error

    def _environment(self) -> dict[str, str]:
        given = {
            "BENCH_REDIS": self.url,
            "BENCH_FOLDER": str(self.folder),
            "BENCH_CONSUMERS": str(getattr(self, "_consumers", 1)),
            "PYTHONPATH": str(HERE),
            "PATH": f"{self.one.bin}:{os.environ['PATH']}",
            "PROCQUEUE_CONFIG": str(HERE / "procqueue.toml"),
        }
        if self.concurrency:
            given["BENCH_CONCURRENCY"] = str(self.concurrency)
        return environment() | given

    def _stop(self) -> None:
        """Ask all to end, then kill what is left: heads, their children, and orphans, which are ours now."""
        for head in self._heads:
            with contextlib.suppress(ProcessLookupError):
                head.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while hasattr(self, "server") and (left := self.tree()):
            psutil.wait_procs(left, timeout=LOOK)
            if time.monotonic() > deadline:
                for process in left:
                    with contextlib.suppress(psutil.Error):
                        process.kill()

    # Messages

    def push(self, kind: str, count: int, rate: float = 0, many: bool = False) -> dict[str, float]:
        """Have messages pushed, with `many` by the call for many, if there is one; return {"seconds", "cpu"}."""
        pusher = self._pusher or self._open_pusher()
        assert pusher.stdin and pusher.stdout
        with contextlib.suppress(BrokenPipeError):
            pusher.stdin.write(json.dumps({"kind": kind, "count": count, "rate": rate, "many": many}) + "\n")
            pusher.stdin.flush()
        return self._answer(pusher)

    @property
    def has_many(self) -> bool:
        """Whether it has a call that pushes many."""
        if not self._pusher:
            self._open_pusher()
        return self._has_many

    def close_pusher(self) -> None:
        """End the process that pushes, so that its memory and CPU are not there."""
        if self._pusher:
            self._pusher.kill()
            self._pusher.communicate()
            self._pusher = None

    def _open_pusher(self) -> subprocess.Popen[str]:
        self._pusher = subprocess.Popen(
            # Imported, not run: names of tasks must not begin with __main__.
            [str(self.one.bin / "python"), "-c", f"import {self.one.module} as one; one.main()"],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            start_new_session=True,
            preexec_fn=_die_with_us,
        )
        self._has_many = bool(self._answer(self._pusher)["many"])
        return self._pusher

    def _answer(self, pusher: subprocess.Popen[str]) -> dict[str, Any]:
        assert pusher.stdout
        if not select.select([pusher.stdout], [], [], PUSH_SECONDS)[0]:
            raise Absent(f"not within {PUSH_SECONDS:g} s: its pushes; {self.last_word()}")
        if not (line := pusher.stdout.readline()):
            raise Absent(f"cannot push: {self.last_word()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    # What happened

    def handled(self) -> int:
        """Return how many messages are handled."""
        return sum(self._words[: self._claims()])

    def _claims(self) -> int:
        try:
            return (self.folder / "claims").stat().st_size
        except FileNotFoundError:
            return 0

    def stamps(self) -> list[tuple[int, int, int]]:
        """Return of each stamped message when it was sent and begun (monotonic ns), and by which process."""
        try:
            data = (self.folder / "stamps").read_bytes()
        except FileNotFoundError:
            return []
        return list(STAMP.iter_unpack(data))

    def wait_handled(self, count: int, seconds: float) -> float:
        """Return the moment when so many are handled. Raises Absent if that takes longer."""
        return self._wait(lambda: self.handled() >= count, seconds, f"{count:,} messages handled", False)

    def wait_stamps(self, count: int, seconds: float, mended: bool = False) -> float:
        """The same for stamped ones that have begun. `mended`: start again what ends meanwhile."""
        return self._wait(lambda: len(self.stamps()) >= count, seconds, f"{count:,} messages begun", mended)

    def _wait(self, reached: Callable[[], bool], seconds: float, what: str, mended: bool) -> float:
        deadline = time.monotonic() + seconds
        while not reached():
            if mended:
                self.restart_ended()
            elif any(head.poll() is not None for head in self._heads):
                raise Absent(f"ended: {self.last_word()}")
            if time.monotonic() > deadline:
                raise Absent(f"not within {seconds:g} s: {what}")
            time.sleep(LOOK)
        return time.monotonic()

    def used_memory(self) -> int:
        """Return how many bytes Redis holds."""
        used: int = self.redis.info("memory")["used_memory"]
        return used

    def last_word(self) -> str:
        """Return the last line that consumers or pusher wrote."""
        lines = (self.folder / "said").read_text(errors="replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "it says nothing")
        return said.replace(f"{HERE}/", "")


def _die_with_us() -> None:
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
