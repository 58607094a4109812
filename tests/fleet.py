"""A master, its replicas and their sentinels: real servers on the loopback, which end with the test."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import redis

from tests.servers import LAUNCHER, Server, server_binary, start_server

NAME = "shop"
DEADLINE = 30.0

#: What was answered is in the kernel before the answer; a replica comes at once.
SERVER = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", "--repl-timeout", "5")

_SENTINEL = """\
port {port}
bind 127.0.0.1
protected-mode no
dir {directory}
logfile {directory}/log
sentinel monitor {name} 127.0.0.1 {master} {quorum}
sentinel down-after-milliseconds {name} 500
sentinel failover-timeout {name} 4000
"""


@dataclass(slots=True)
class Fleet:
    """Servers by their ports, sentinels by theirs."""

    servers: dict[int, Server]
    sentinels: dict[int, subprocess.Popen[bytes]]
    directory: Path
    kind: str
    options: tuple[str, ...]
    password: str = ""
    _clients: dict[int, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """What a configuration would name."""
        nodes = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"redis+sentinel://{nodes}/{NAME}"

    def client(self, port: int) -> Any:
        """An administrator's client of one server or sentinel."""
        if port not in self._clients:
            self._clients[port] = redis.Redis(
                port=port, socket_timeout=10, password=self.password if port in self.sentinels else None
            )
        return self._clients[port]

    def master(self) -> int:
        """Return the port of the master as all sentinels name it; 0 while they differ."""
        named = {
            int(self.client(port).execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", NAME)[1])
            for port in self.sentinels
        }
        return named.pop() if len(named) == 1 else 0

    def is_master(self, port: int) -> bool:
        """True if the server says so itself."""
        with contextlib.suppress(redis.RedisError):
            return bool(self.client(port).info("replication")["role"] == "master")
        return False

    def wait_for_another(self, than: int) -> int:
        """Wait until all sentinels name another master; return its port."""
        until(lambda: self.master() not in (0, than), "another master is named")
        return self.master()

    def failover(self) -> None:
        """Have the sentinels promote a replica, the master being well."""
        first = next(iter(self.sentinels))

        def accepted() -> bool:
            try:
                return bool(self.client(first).execute_command("SENTINEL FAILOVER", NAME))
            except redis.ResponseError:  # NOGOODSLAVE, INPROG: not yet
                return False

        until(accepted, "the failover is accepted")

    def start_again(self, port: int) -> None:
        """Start a server that was killed, as the master that it was."""
        self.servers[port] = _server(self.directory, port, self.kind, *self.options)

    def close(self) -> None:
        """End everything."""
        for client in self._clients.values():
            client.close()
        for process in self.sentinels.values():
            process.kill()
            process.wait()
        for server in self.servers.values():
            server.kill()


@contextlib.contextmanager
def fleet(
    directory: Path,
    *options: str,
    replicas: int = 1,
    sentinels: int = 1,
    kind: str = "redis",
    password: str = "",
) -> Iterator[Fleet]:
    """Start a fleet and wait until a failover could begin. `password`: of the sentinels."""
    options = (*SERVER, *options)
    ports = [free_port() for _ in range(1 + replicas)]
    made = Fleet({}, {}, directory, kind, options, password)
    try:
        for port in ports:
            more = ("--replicaof", "127.0.0.1", str(ports[0])) if port != ports[0] else ()
            made.servers[port] = _server(directory, port, kind, *options, *more)
        for port in ports[1:]:
            until(partial(_has_master, made.client(port)), "a replica has its master")
        for _ in range(sentinels):
            port = free_port()
            made.sentinels[port] = _sentinel(directory, port, ports[0], sentinels // 2 + 1, kind, password)
        for port in made.sentinels:
            until(partial(_is_complete, made, port, replicas), "the sentinels know everyone")
        yield made
    finally:
        made.close()


def until(holds: Callable[[], object], what: str) -> None:
    """Ask until it holds; fail after DEADLINE."""
    deadline = time.monotonic() + DEADLINE
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        pause.wait(0.02)


def free_port() -> int:
    """Return a port that nobody has, below those that the kernel gives to clients."""
    while True:
        with contextlib.suppress(OSError), socket.socket() as probe:
            port = random.randrange(10_000, 32_000)
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Let a process stand still."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _server(directory: Path, port: int, kind: str, *options: str) -> Server:
    folder = directory / str(port)
    folder.mkdir(exist_ok=True)
    return start_server(folder, "--port", str(port), "--bind", "127.0.0.1", *options, kind=kind)


def _sentinel(
    directory: Path, port: int, master: int, quorum: int, kind: str, password: str
) -> subprocess.Popen[bytes]:
    folder = directory / f"sentinel-{port}"
    folder.mkdir()
    text = _SENTINEL.format(port=port, directory=folder, name=NAME, master=master, quorum=quorum)
    (folder / "conf").write_text(text + (f"requirepass {password}\n" if password else ""))
    command = [server_binary(kind), str(folder / "conf"), "--sentinel"]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid()), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _has_master(client: Any) -> bool:
    return bool(client.info("replication")["master_link_status"] == "up")


def _is_complete(made: Fleet, port: int, replicas: int) -> bool:
    try:
        state = made.client(port).sentinel_master(NAME)
        known = made.client(port).sentinel_slaves(NAME)
    except redis.RedisError:
        return False
    ready = sum(1 for one in known if not one["is_disconnected"] and one["master-link-status"] == "ok")
    others: int = state["num-other-sentinels"]
    return ready == replicas and others == len(made.sentinels) - 1
