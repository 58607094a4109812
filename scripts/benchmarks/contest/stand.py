"""One contestant on a Redis of its own: from an empty store to the last of its processes killed.

All of them become our children, also the orphans, so that nothing outlives a stand, however it ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import redis

from contest.field import HERE, Absent, Contestant, environment
from contest.pusher import Pusher
from tests.servers import Server, start_server

#: As in contestants/protocol.py, which is made for the other side.
WORDS = 8192
STAMP = struct.Struct("<qqq")

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LOOK = 0.005
STOP_SECONDS = 1.0

prctl = ctypes.CDLL(None).prctl


@contextlib.contextmanager
def stand(one: Contestant, *, concurrency: int = 0, appendonly: bool = False) -> Iterator[Stand]:
    """Make a stand with an empty store, and end all that was started there.

    `concurrency`: how many messages a consumer may run at once, or 0 for what suits the contestant best.
    """
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory(prefix="pq-", ignore_cleanup_errors=True) as folder:
        server, url = _start_redis(Path(folder), appendonly)
        it = Stand(one, concurrency, Path(folder), server, url)
        try:
            yield it
        finally:
            it.close()
            server.kill()


class Stand:
    """Consumers, the pusher, and what can be seen of them. What fails raises Absent."""

    def __init__(self, one: Contestant, concurrency: int, folder: Path, server: Server, url: str) -> None:
        self.server = server
        self._one, self._concurrency, self._folder, self._url = one, concurrency, folder, url
        self._redis = redis.Redis.from_url(url)
        self._said = (folder / "said").open("wb")
        self._words = _make_words(folder / "words")
        self._environment = environment() | {
            "BENCH_REDIS": url,
            "BENCH_FOLDER": str(folder),
            "BENCH_CONSUMERS": "1",
            "BENCH_APP": one.module,
            "PYTHONPATH": str(HERE),
            "PATH": f"{one.bin}:{os.environ['PATH']}",
            "PROCQUEUE_CONFIG": str(HERE / "procqueue.toml"),
        }
        if concurrency:
            self._environment["BENCH_CONCURRENCY"] = str(concurrency)
        self._commands: list[list[str]] = []
        self._heads: list[subprocess.Popen[bytes]] = []
        self._pusher: Pusher | None = None

    # Consumers

    def start(self, consumers: int = 1) -> float:
        """Start that many; return the moment (monotonic seconds)."""
        self._environment["BENCH_CONSUMERS"] = str(consumers)
        self._commands = self._one.commands(consumers, self._concurrency, self._folder, self._url)
        began = time.monotonic()
        for command in self._commands:
            self._heads.append(self._spawn(command))
        return began

    def tree(self) -> list[psutil.Process]:
        """Return all processes of the contestant but the one that pushes."""
        others = {self.server.pid, self._pusher.pid if self._pusher else 0}
        return [one for one in psutil.Process().children(recursive=True) if one.pid not in others]

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_us,  # safe: there is no second thread here
            )
        except OSError as error:
            raise Absent(f"does not start: {error}") from error

    def _start_ended_again(self) -> None:
        for number, head in enumerate(self._heads):
            if head.poll() is not None:
                self._heads[number] = self._spawn(self._commands[number])

    def close(self) -> None:
        """Ask all to end, then kill what is left: heads, their children, and orphans, which are ours now."""
        self.close_pusher()
        for head in self._heads:
            with contextlib.suppress(ProcessLookupError):
                head.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while left := self.tree():
            psutil.wait_procs(left, timeout=LOOK)
            if time.monotonic() > deadline:
                for process in left:
                    with contextlib.suppress(psutil.Error):
                        process.kill()
        self._redis.close()
        self._said.close()

    # Messages

    @property
    def pusher(self) -> Pusher:
        """The process that pushes; started when it is first asked for."""
        if not self._pusher:
            self._pusher = Pusher(self._one, self._folder, self._environment, self._said, self.last_word)
        return self._pusher

    def push(self, kind: str, count: int, rate: float = 0, many: bool = False) -> dict[str, float]:
        """Have messages pushed; see Pusher.push."""
        return self.pusher.push(kind, count, rate, many)

    def close_pusher(self) -> None:
        """End the process that pushes; a later push starts another."""
        if self._pusher:
            self._pusher.close()
            self._pusher = None

    # What happened

    def handled(self) -> int:
        """Return how many messages that are counted are handled."""
        return sum(self._words[: _size(self._folder / "claims")])

    def stamps(self) -> list[tuple[int, int, int]]:
        """Return of each stamped message when it was sent and begun (monotonic ns), and by which process."""
        path = self._folder / "stamps"
        return list(STAMP.iter_unpack(path.read_bytes())) if path.exists() else []

    def wait_handled(self, count: int, seconds: float) -> float:
        """Return the moment when so many are handled. Raises Absent if that takes longer."""
        return self._wait(lambda: self.handled() >= count, seconds, f"{count:,} messages handled", False)

    def wait_stamps(self, count: int, seconds: float, mended: bool = False) -> float:
        """The same for stamped ones that have begun. `mended`: start again what ends meanwhile."""
        size, path = count * STAMP.size, self._folder / "stamps"
        return self._wait(lambda: _size(path) >= size, seconds, f"{count:,} messages begun", mended)

    def _wait(self, reached: Callable[[], bool], seconds: float, what: str, mended: bool) -> float:
        deadline = time.monotonic() + seconds
        while not reached():
            if mended:
                self._start_ended_again()
            elif any(head.poll() is not None for head in self._heads):
                raise Absent(f"ended: {self.last_word()}")
            if time.monotonic() > deadline:
                raise Absent(f"not within {seconds:g} s: {what}")
            time.sleep(LOOK)
        return time.monotonic()

    def used_memory(self) -> int:
        """Return how many bytes Redis holds."""
        used: int = self._redis.info("memory")["used_memory"]
        return used

    def last_word(self) -> str:
        """Return the last line that consumers or pusher wrote."""
        lines = (self._folder / "said").read_text(errors="replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "it says nothing")
        return said.replace(f"{HERE}/", "")


def _start_redis(folder: Path, appendonly: bool) -> tuple[Server, str]:
    """Start one on a port of loopback, as most applications have it; return it with its URL."""
    store = folder / "redis"
    store.mkdir()
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    written = "yes" if appendonly else "no"
    server = start_server(store, "--bind", "127.0.0.1", "--port", str(port), "--appendonly", written)
    return server, f"redis://127.0.0.1:{port}/0"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _make_words(path: Path) -> memoryview:
    with path.open("w+b") as file:
        file.truncate(WORDS * 8)
        return memoryview(mmap.mmap(file.fileno(), WORDS * 8)).cast("Q")


def _die_with_us() -> None:
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
