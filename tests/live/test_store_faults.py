"""The store fails or forgets while consumers run, or holds what cannot be run: nothing stops, all is told."""

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from procqueue.core.errors import Full
from procqueue.drivers.contract import Entry
from procqueue.process.ask import NoMaster
from tests.live.conftest import Make
from tests.live.harness import Project
from tests.servers import Server, start_server

QUEUE = "[queues.q]\nrestart_delay_max = 1\nprocesses = 2\n"

APP = """
@task(queue="q")
def long(n=0):
    say(f"began {n}")
    wait_for("go")
    say(f"ended {n}")

@task(queue="q")
def quick(n):
    say(f"quick {n}")
"""

#: What was answered is in the kernel before the answer: it outlives kill -9 of the server.
KEPT = ("--appendonly", "yes", "--appendfsync", "everysec")

Start = Callable[..., Server]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a server, always under the same URL. To be named before `make`: it must outlive the projects."""
    folder = Path(tempfile.mkdtemp(prefix="pq-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)

        def started(*arguments: str) -> Server:
            server = start_server(folder, *arguments)
            stack.callback(server.kill)
            return server

        yield started


def plain(server: Server) -> Any:
    """Return a client as an administrator has it."""
    return redis.Redis.from_url(server.url)


def problems(p: Project) -> str:
    """Return what `status` says is wrong, "" while nobody answers."""
    try:
        status = p.status()
    except NoMaster:
        return ""
    return "\n".join(problem["text"] for problem in status["problems"])


def test_a_start_before_its_store_waits_for_it_and_works(start: Start, make: Make) -> None:
    server = start()
    server.kill()
    p = make(QUEUE, APP, server.url)
    p.start(ready=False)
    p.wait_until(lambda: server.socket.name in problems(p), "the problem to be told")
    assert p.status()["queues"]["q"]["ready"] == 0

    start()

    p.wait_until(p.is_ready, "the master to be ready")
    p.push_many("quick", 5)
    p.wait_empty()
    assert sorted(p.said()) == [f"quick {n}" for n in range(5)]
    p.wait_until(lambda: p.is_ready() and not problems(p), "the problem to be solved")


def test_a_start_without_its_store_can_be_stopped(start: Start, make: Make) -> None:
    server = start()
    server.kill()
    p = make(QUEUE, APP, server.url)
    p.start(ready=False)
    p.wait_until(lambda: server.socket.name in problems(p), "the problem to be told")

    assert p.stop() == 0


def test_d4_a_store_that_was_killed_and_came_back_has_lost_and_repeated_nothing(
    start: Start, make: Make
) -> None:
    server = start(*KEPT)
    p = make(QUEUE, APP, server.url)
    p.start()
    consumers = p.pids("q")
    for n in range(2):
        p.push("long", n)
    p.wait_until(lambda: len(p.said()) == 2, "both to be busy")
    p.push_many("quick", 10)

    server.kill()
    (p.folder / "go").touch()
    p.wait_until(lambda: len(p.said()) == 4, "both to have ended without a store")
    start(*KEPT)

    p.wait_empty()
    said = sorted(p.said())
    assert said == sorted(
        [f"{word} {n}" for word in ("began", "ended") for n in range(2)] + [f"quick {n}" for n in range(10)]
    )
    assert p.failed() == [] and sorted(p.pids("q")) == sorted(consumers)


def test_a_server_without_its_scripts_gets_them_again(start: Start, make: Make) -> None:
    server = start()
    p = make(QUEUE, APP, server.url)
    p.start()
    consumers = p.pids("q")
    with plain(server) as client:
        for n in range(3):
            client.script_flush()
            p.push("quick", n)
            p.wait_said(f"quick {n}")

    p.wait_empty()
    assert sorted(p.said()) == [f"quick {n}" for n in range(3)] and p.pids("q") == consumers


def test_a_full_store_takes_nothing_new_and_settles_what_is_in_hand(start: Start, make: Make) -> None:
    server = start()
    p = make(QUEUE, APP, server.url)
    p.start()
    p.push("long", 0)
    p.push_many("quick", 3)
    p.wait_until(lambda: len(p.said()) == 4, "the quick ones to be done")
    p.wait_until(lambda: p.counts().reserved == 1, "them to be settled")

    with plain(server) as client:
        client.config_set("maxmemory", "1mb")
        with pytest.raises(Full):
            for n in range(100):
                p.driver.push("q", [Entry(f"filler-{n}", b"x" * 100_000)])
        (p.folder / "go").touch()
        p.wait_said("ended 0")
        p.wait_empty()
        client.config_set("maxmemory", "0")

    p.push("quick", 9)
    p.wait_said("quick 9")
    assert p.said().count("began 0") == p.said().count("ended 0") == 1


def test_d12_an_unknown_task_waits_uncharged_and_fails_at_the_end_of_its_patience(
    make: Make, url: str | None
) -> None:
    p = make(QUEUE + 'unknown_task_wait = "1s"\n', APP, url)
    p.start()
    id = p.push("unheard_of")
    p.push("quick", 1)
    p.wait_said("quick 1")
    p.wait_until(lambda: p.counts().delayed == 1, "it to wait")
    message = p.driver.message("q", id)
    assert message is not None
    assert (message.counters.releases, message.counters.attempts, message.counters.crashes) == (1, 0, 0)

    p.wait_empty()

    (failed,) = p.failed()
    assert failed.id == id and b"no task is named 'app.unheard_of' here" in failed.history[-1]


UNREADABLE = {
    "bytes": (b'{"task":"app.quick","args":["\xff"]}', b"not UTF-8"),
    "text": (b"hello", b""),
    "empty": (b"", b""),
    "cut": (b'{"task":"app.quick","args":[', b""),
    "nan": (b'{"task":"app.quick","args":[NaN]}', b""),
    "deep": (b'{"task":"app.quick","args":' + b"[" * 100 + b"]" * 100 + b"}", b"deep"),
    "list": (b"[1]", b""),
    "taskless": (b'{"args":[1]}', b"task"),
    "newer": (b'{"v":2,"task":"app.quick","args":[1]}', b"2"),
    "few": (b'{"task":"app.quick"}', b"app.quick"),
    "many": (b'{"task":"app.quick","args":[1,2,3]}', b"app.quick"),
    "named": (b'{"task":"app.quick","kwargs":{"m":1}}', b"app.quick"),
}


def put_into_inbox(p: Project, url: str | None, body: bytes) -> None:
    """Do what a producer without procqueue does."""
    if url is None:
        with contextlib.closing(sqlite3.connect(p.folder / "run" / "db" / "queue.db")) as base, base:
            base.execute("INSERT INTO inbox (queue, body) VALUES ('q', ?)", (body,))
    else:
        with redis.Redis.from_url(url) as client:
            client.rpush(f"{p.tag[-12:]}:{{q}}:inbox", body)


def test_d12_what_cannot_be_read_is_failed_at_once_with_the_reason_by_whatever_way_it_came(
    make: Make, url: str | None
) -> None:
    p = make(QUEUE, APP, url)
    p.start()
    consumers = p.pids("q")
    for name, (body, _) in UNREADABLE.items():
        p.driver.push("q", [Entry(name, body)])
        if body:
            put_into_inbox(p, url, body)
    put_into_inbox(p, url, b'{"task":"app.quick","args":[7],"id":"foreign"}')

    p.wait_said("quick 7")
    p.wait_empty()

    failed = p.failed()
    pushed = {one.id: one for one in failed if one.id in UNREADABLE}
    assert set(pushed) == set(UNREADABLE) and len(failed) == 2 * len(UNREADABLE) - 1
    for name, (body, reason) in UNREADABLE.items():
        twins = [one for one in failed if one.body == body]
        assert len(twins) == (2 if body else 1), name
        for one in twins:
            assert reason in one.history[-1] and b'"outcome":"unreadable"' in one.history[-1], name
            assert one.counters.crashes == 0
    assert p.said() == ["quick 7"] and p.pids("q") == consumers
