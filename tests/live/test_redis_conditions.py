"""Redis in every bad condition while consumers are idle: status says what is wrong, and a stop is a stop."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.live.conftest import Make
from tests.live.test_store_faults import APP, plain, problems
from tests.servers import Server, start_server

#: The harness has just opened [driver].
QUEUE = 'timeout = "1s"\n[queues.q]\nprocesses = 2\n'

Condition = contextlib.AbstractContextManager[None]


@pytest.fixture
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="pq-"))
    server = start_server(folder, "--lua-time-limit", "10")
    yield server
    server.kill()
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def gone(server: Server) -> Iterator[None]:
    server.kill()
    yield


@contextlib.contextmanager
def frozen(server: Server) -> Iterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


@contextlib.contextmanager
def busy(server: Server) -> Iterator[None]:
    def loop() -> None:
        with plain(server) as client, contextlib.suppress(redis.RedisError):
            client.eval("while true do end", 0)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        with plain(server) as client:
            client.script_kill()
        thread.join()


@contextlib.contextmanager
def demoted(server: Server) -> Iterator[None]:
    with plain(server) as client:
        client.replicaof("127.0.0.1", "1")
        yield
        client.replicaof("NO", "ONE")


@contextlib.contextmanager
def lacking(server: Server) -> Iterator[None]:
    with plain(server) as client:
        client.config_set("min-replicas-to-write", 1)
        yield
        client.config_set("min-replicas-to-write", 0)


@contextlib.contextmanager
def locked(server: Server) -> Iterator[None]:
    with plain(server) as client:
        client.config_set("requirepass", "secret")
        client.client_kill_filter(_type="normal", skipme=True)
        yield
        client.config_set("requirepass", "")


@contextlib.contextmanager
def forbidden(server: Server) -> Iterator[None]:
    with plain(server) as client:
        client.execute_command("ACL", "SETUSER", "default", "-eval", "-evalsha")
        yield
        client.execute_command("ACL", "SETUSER", "default", "+eval", "+evalsha")


@contextlib.contextmanager
def crowded(server: Server) -> Iterator[None]:
    with plain(server) as client:
        client.config_set("maxclients", 1)
        client.client_kill_filter(_type="normal", skipme=True)
        yield
        client.config_set("maxclients", 10_000)


#: What each is told as, in words that say what to do.
TOLD = {
    gone: "connecting",
    frozen: "it does not answer",
    busy: "SCRIPT KILL",
    demoted: "name its master",
    lacking: "lower its min-replicas-to-write",
    forbidden: "let its user have",
    locked: "check user and password",
    crowded: "maxclients",
}


@pytest.mark.parametrize("condition", TOLD)
def test_what_is_wrong_is_told_and_idle_consumers_leave_without_the_store(
    condition: Callable[[Server], Condition], server: Server, make: Make
) -> None:
    p = make(QUEUE, APP, server.url)
    p.start()
    with condition(server):
        p.wait_until(lambda: TOLD[condition] in problems(p), "what to do is told")

        assert p.stop(patience=30) == 0  # far less than the grace of 65 s

    assert "stopped killed=none" in p.output.read_text()


@pytest.mark.parametrize("condition", [one for one in TOLD if one is not gone])
def test_what_ends_meanwhile_is_settled_afterwards_and_nothing_is_charged(
    condition: Callable[[Server], Condition], server: Server, make: Make
) -> None:
    p = make(QUEUE, APP, server.url)
    p.start()
    consumers = p.pids("q")
    p.push("long", 0)
    p.wait_said("began 0")
    p.push("quick", 1, delay_ms=1)
    p.wait_said("quick 1")
    with condition(server):
        p.wait_until(lambda: TOLD[condition] in problems(p), "what to do is told")
        (p.folder / "go").touch()
        p.wait_said("ended 0")

    p.push("quick", 2)
    p.wait_said("quick 2")
    p.wait_empty()
    p.wait_until(lambda: not problems(p), "nothing is wrong any more")
    assert p.said() == ["began 0", "quick 1", "ended 0", "quick 2"]
    assert p.failed() == [] and sorted(p.pids("q")) == sorted(consumers)


def test_what_a_stop_could_not_reclaim_the_next_start_does(make: Make, server: Server) -> None:
    p = make(QUEUE, APP, server.url)
    p.start()
    p.push("long", 0)
    p.wait_said("began 0")
    with frozen(server):
        assert p.run("stop", "--now", timeout=30).returncode == 0
        assert p.master is not None
        assert p.wait_left(30) == 0
    assert p.counts().reserved == 1

    (p.folder / "go").touch()
    p.start()

    p.wait_empty()
    assert p.said() == ["began 0", "began 0", "ended 0"] and p.failed() == []
