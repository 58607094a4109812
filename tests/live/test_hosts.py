"""Two hosts and one store (law D6): each has a master, a state directory and an identity of its own.

What is dead is taken over once; what slept, or had no store to beat in, loses nothing that others could not
know; and who was taken for dead goes on as somebody else. Waits are counted in beats where they can be.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from procqueue.core.message import NO_COUNTERS, State
from procqueue.core.watch import BEATS_PER_TIMEOUT
from tests.live.conftest import Make
from tests.live.harness import Project
from tests.servers import Server, start_server

HOST_TIMEOUT = 3.0

APP = """
@task(queue="q")
def long():
    say(f"began {current().id}")
    wait_for("go")
    say(f"ended {current().id}")

@task(queue="q")
def quick(n):
    say(f"quick {n}")
"""

NewHost = Callable[..., Project]


@pytest.fixture
def store(url: str | None, tmp_path: Path) -> str:
    """The URL of a store that both hosts use."""
    return url or f"sqlite:///{tmp_path}/db/queue.db"


@pytest.fixture
def new_host(make: Make, store: str) -> Iterator[NewHost]:
    """Make hosts of one store. What a test leaves standing still is continued at its end."""
    yield from hosts_of(make, store)


def hosts_of(make: Make, store: str) -> Iterator[NewHost]:
    prefix, made = uuid.uuid4().hex[:12], []

    def new_host(name: str, host_timeout: float = HOST_TIMEOUT) -> Project:
        config = f"""
        [driver]
        url = "{store}"
        prefix = "{prefix}"
        timeout = "1s"
        [master]
        name = "shop"
        host_timeout = "{host_timeout}s"
        [queues.q]
        processes = 2
        handle_timeout = 0
        grace = "20s"
        """
        made.append(make(config, APP, name=name))
        return made[-1]

    yield new_host
    for host in made:
        send_all(host, signal.SIGCONT)


def identity(host: Project) -> str:
    return (host.folder / "run" / "host").read_text().split()[0]


def send_all(host: Project, number: signal.Signals) -> None:
    for pid in host.processes():
        os.kill(pid, number)


def freeze(host: Project, store: str) -> None:
    """Let every process of a host stand still, but none with the gate of the store in its hands."""
    while True:
        send_all(host, signal.SIGSTOP)
        if not store.startswith("sqlite") or gate_is_open(store):
            return
        send_all(host, signal.SIGCONT)


def gate_is_open(store: str) -> bool:
    with open(f"{store.removeprefix('sqlite://')}.gate") as gate:
        try:
            fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def kill_all(host: Project) -> None:
    """kill -9 a whole host: nobody of it can do anything about the death of another.

    The master goes last: the kernel continues what is stopped in a group whose parent has died.
    """
    assert host.master is not None
    send_all(host, signal.SIGSTOP)
    for pid in host.processes():
        if pid != host.master.pid:
            os.kill(pid, signal.SIGKILL)
    host.kill_master()


def boards_of(host: Project) -> list[Path]:
    return list((host.folder / "run" / "boards").iterdir())


def beat_of(host: Project, who: str) -> int:
    return next((one.value for one in host.driver.beats("q").hosts if one.host == who), -1)


def wait_beats(host: Project, number: int) -> None:
    """Wait until the scheduler of a host has beaten so often."""
    first = beat_of(host, identity(host))
    host.wait_until(lambda: beat_of(host, identity(host)) >= first + number, f"{number} beats")


def wait_time(host: Project, seconds: float) -> None:
    end = time.monotonic() + seconds
    host.wait_until(lambda: time.monotonic() >= end, f"{seconds} s to pass")


def run_long(host: Project, number: int = 1) -> list[str]:
    ids = [host.push("long") for _ in range(number)]
    for id in ids:
        host.wait_said(f"began {id}")
    return ids


def finish(host: Project) -> None:
    (host.folder / "go").touch()


def events(host: Project, name: str) -> list[str]:
    return [line for line in host.output.read_text().splitlines() if f" {name} " in line]


def suspects_of(host: Project, id: str) -> int:
    message = host.driver.message("q", id)
    assert message is not None
    return message.counters.suspects


def test_d6_what_a_killed_host_had_runs_on_another_one_once_and_it_comes_back_as_somebody_else(
    new_host: NewHost, record_property: Callable[[str, object], None]
) -> None:
    a, b = new_host("a"), new_host("b")
    a.start()
    ids = run_long(a, 2)
    b.start()
    lost = identity(a)

    kill_all(a)
    assert events(a, "master_died") == []
    killed = time.monotonic()
    for id in ids:
        b.wait_said(f"began {id}")
        record_property("taken over after", round(time.monotonic() - killed, 2))

    assert [suspects_of(b, id) for id in ids] == [1, 1]
    finish(b)
    b.wait_empty()
    assert sorted(b.said()) == sorted(f"{did} {id}" for id in ids for did in ("began", "ended"))

    b.stop()
    a.start()
    a.wait_until(lambda: identity(a) != lost and a.is_ready(), "the first host to work under another name")
    a.push("quick", 1)
    a.wait_said("quick 1")
    assert a.status()["master"]["host"] == identity(a)
    assert a.status()["master"]["host_lost"]["host"] == lost
    a.wait_until(lambda: len(boards_of(a)) == 3, "the boards of the dead to be gone")


def test_d6_a_host_that_was_stopped_for_too_long_changes_nothing_and_goes_on_as_somebody_else(
    new_host: NewHost, store: str
) -> None:
    a, b = new_host("a"), new_host("b")
    a.start()
    (id,) = run_long(a)
    b.start()
    lost = identity(a)

    freeze(a, store)
    b.wait_said(f"began {id}")
    send_all(a, signal.SIGCONT)
    finish(a)
    a.wait_said(f"ended {id}")
    a.wait_until(lambda: identity(a) != lost and a.is_ready(), "the first host to work under another name")
    a.wait_until(lambda: not any(lost in one for one in known_consumers(a)), "the old ones to be gone")

    stored = b.driver.message("q", id)
    assert stored is not None and (stored.state, stored.counters.suspects) == (State.RESERVED, 1)
    finish(b)
    b.wait_empty()
    assert b.said() == [f"began {id}", f"ended {id}"]
    assert a.status()["master"]["host_lost"]["host"] == lost
    assert events(a, "new_identity") and events(b, "host_lost")
    assert a.status()["problems"] == []
    b.stop()
    a.push("quick", 1)
    a.wait_said("quick 1")


def known_consumers(host: Project) -> list[str]:
    return [name for one in host.driver.beats("q").hosts for name in host.driver.consumers("q", one.host)]


def test_d6_an_observer_that_was_stopped_itself_kills_nobody(new_host: NewHost, store: str) -> None:
    a, b = new_host("a"), new_host("b")
    a.start()
    (id,) = run_long(a)
    b.start()
    names = identity(a), identity(b)

    freeze(a, store)
    wait_beats(b, BEATS_PER_TIMEOUT * 2 // 3)  # silent for some time, but not for long enough …
    freeze(b, store)
    wait_time(a, HOST_TIMEOUT * 1.3)
    send_all(b, signal.SIGCONT)
    wait_beats(b, BEATS_PER_TIMEOUT * 2 // 3)  # … nor after the observer's own sleep
    send_all(a, signal.SIGCONT)
    wait_beats(a, BEATS_PER_TIMEOUT)
    wait_beats(b, BEATS_PER_TIMEOUT)

    finish(a)
    a.wait_empty()
    assert (identity(a), identity(b)) == names
    assert a.said() == [f"began {id}", f"ended {id}"] and b.said() == []


def test_d6_a_scheduler_that_stands_still_is_replaced_before_its_host_is_taken_for_dead(
    new_host: NewHost, store: str
) -> None:
    a, b = new_host("a"), new_host("b")
    a.start()
    (id,) = run_long(a)
    b.start()
    name, stopped, consumers = identity(a), a.status()["scheduler"]["pid"], a.pids("q")

    while True:
        os.kill(stopped, signal.SIGSTOP)
        if not store.startswith("sqlite") or gate_is_open(store):
            break
        os.kill(stopped, signal.SIGCONT)
    a.wait_until(lambda: a.status()["scheduler"]["pid"] not in (None, stopped), "another scheduler")
    wait_beats(a, 2 * BEATS_PER_TIMEOUT)

    assert identity(a) == name and a.pids("q") == consumers
    assert any("reason=silent" in line for line in events(a, "killed"))
    stored = a.driver.message("q", id)
    assert stored is not None and (stored.state, stored.counters) == (State.RESERVED, NO_COUNTERS)
    finish(a)
    a.wait_empty()
    assert b.said() == []


def test_d6_a_master_that_was_stopped_kills_no_scheduler(new_host: NewHost, store: str) -> None:
    a = new_host("a")
    a.start()
    scheduler = a.status()["scheduler"]["pid"]

    freeze(a, store)
    wait_time(a, HOST_TIMEOUT * 1.2)
    assert a.master is not None
    a.master.send_signal(signal.SIGCONT)
    a.wait_until(lambda: a.status()["master"]["pid"], "the master to be awake")
    send_all(a, signal.SIGCONT)
    wait_beats(a, BEATS_PER_TIMEOUT)

    assert a.status()["scheduler"]["pid"] == scheduler


def test_d6_a_store_that_is_away_for_longer_than_host_timeout_kills_nobody(
    make: Make, tmp_path: Path
) -> None:
    folder = tmp_path / "r"
    folder.mkdir()
    server = start_server(folder)
    try:
        for new_host in hosts_of(make, server.url):
            outlive_the_store(new_host("a"), new_host("b"), server)
    finally:
        server.kill()


def outlive_the_store(a: Project, b: Project, server: Server) -> None:
    a.start()
    (id,) = run_long(a)
    b.start()
    names = identity(a), identity(b)

    os.kill(server.pid, signal.SIGSTOP)
    wait_time(a, HOST_TIMEOUT * 1.5)
    os.kill(server.pid, signal.SIGCONT)
    for host in (a, b):
        wait_beats(host, 2 * BEATS_PER_TIMEOUT)

    finish(a)
    a.wait_empty()
    assert (identity(a), identity(b)) == names
    assert a.said() == [f"began {id}", f"ended {id}"] and b.said() == []
    for host in (a, b):
        host.stop()
        host.driver.close()


def test_d6_a_host_that_stops_cleanly_is_not_missed(new_host: NewHost) -> None:
    a, b = new_host("a"), new_host("b")
    a.start()
    b.start()
    a.push("quick", 1)
    a.wait_empty()

    a.stop()

    assert [one.host for one in b.driver.beats("q").hosts] == [identity(b)]
    wait_beats(b, 2 * BEATS_PER_TIMEOUT)
    assert events(b, "host_lost") == []
    name = identity(a)
    a.start()
    assert a.status()["master"]["host"] == name and a.status()["master"]["host_lost"] is None


def test_d6_the_undertaker_of_a_killed_master_beats_on_and_is_forgotten_when_it_leaves(
    new_host: NewHost,
) -> None:
    a, b = new_host("a"), new_host("b")
    a.start()
    (id,) = run_long(a)
    b.start()

    a.kill_master()
    wait_beats(a, 2 * BEATS_PER_TIMEOUT)
    finish(a)
    a.wait_empty()
    b.wait_until(lambda: len(b.driver.beats("q").hosts) == 1, "the undertaker to leave")

    assert a.said() == [f"began {id}", f"ended {id}"] and b.said() == []
    assert events(b, "host_lost") == []


def test_hosts_tells_who_serves_a_queue_and_who_is_silent(new_host: NewHost, store: str) -> None:
    a, b = new_host("a", host_timeout=15.0), new_host("b", host_timeout=15.0)
    a.start()
    run_long(a)
    b.start()

    both = told(b)
    freeze(a, store)
    one = told(b)
    text = b.run("hosts").stdout
    send_all(a, signal.SIGCONT)

    assert {id: (h["consumers"], h["reserved"], h["state"]) for id, h in both.items()} == {
        identity(a): (2, 1, "alive"),
        identity(b): (2, 0, "alive"),
    }
    assert {h["name"].partition("@")[0] for h in both.values()} == {"shop"}
    assert (one[identity(a)]["state"], one[identity(a)]["seconds"]) == ("silent", None)
    assert one[identity(b)]["state"] == "alive" and one[identity(b)]["seconds"] < 2.5
    assert [line.split()[-1] for line in text.splitlines()[1:] if identity(a) in line] == ["silent"]
    finish(a)


def told(host: Project) -> dict[str, dict[str, Any]]:
    ran = host.run("hosts", "q", "--json")
    assert ran.returncode == 0, ran.stderr
    return {one["id"]: one for one in json.loads(ran.stdout)["hosts"]}
