"""A store that forgot, or went back: consumers go on, what it lost is all that is lost, and all is told.

Under load, each message is accounted for: what was answered ran, or was in the store when it forgot; what ran
twice was in the older copy that came back. Tickets grow over all of it (laws S6, D5, D10, D13).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.live.conftest import Make
from tests.live.harness import Project
from tests.live.load import APP, Load, Runs, id_of
from tests.servers import Server, start_server

CONSUMERS = 3
QUEUE = f"[queues.q]\nprocesses = {CONSUMERS}\nhandle_timeout = 0\ngrace = '20s'\n"
ROUNDS = [1, pytest.param(8, marks=pytest.mark.slow)]


@dataclass(slots=True)
class Place:
    """Where servers are, and the URL that stays the same whichever of them is meant."""

    folder: Path
    servers: list[Server] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/now"

    def start(self, name: str, *arguments: str) -> Server:
        (self.folder / name).mkdir(exist_ok=True)
        server = start_server(self.folder / name, *arguments)
        self.servers.append(server)
        return server

    def mean(self, server: Server) -> None:
        """Let the URL lead to this server from now on."""
        (self.folder / "next").symlink_to(server.socket)
        (self.folder / "next").rename(self.folder / "now")


@pytest.fixture
def place() -> Iterator[Place]:
    """To be named before `make`: the servers must outlive the projects."""
    place = Place(Path(tempfile.mkdtemp(prefix="pq-")))
    yield place
    for server in place.servers:
        server.kill()
    shutil.rmtree(place.folder, ignore_errors=True)


def client_of(server: Server) -> Any:
    return redis.Redis.from_url(server.url, decode_responses=True)


def key(p: Project, name: str, queue: str = "q") -> str:
    return f"{p.tag[-12:]}:{{{queue}}}:{name}"


def repairs(p: Project) -> dict[str, Any]:
    found: dict[str, Any] = p.status()["repairs"]
    return found


def wait_all_work(p: Project, load: Load) -> None:
    """Wait until every consumer has run something that was pushed in this phase."""

    def at_work() -> bool:
        runs = Runs(p)
        return set(p.pids("q")) == set().union(*(runs.pids.get(n, set()) for n in load.pushed_now()))

    p.wait_until(at_work, "every consumer to work")


def check_tickets(load: Load, before: int, runs: Runs) -> None:
    """Check that what was pushed in the last phase ran under larger tickets than `before`, each its own."""
    late = [t for n in load.pushed_now() for t in runs.of.get(n, [])]
    assert late and min(late) > before
    assert [numbers for numbers in runs.tickets.values() if len(numbers) > 1] == []


@pytest.mark.parametrize("rounds", ROUNDS)
def test_d5_after_flushall_the_same_processes_go_on_and_only_what_was_stored_is_lost(
    place: Place, make: Make, rounds: int
) -> None:
    place.mean(server := place.start("a"))
    p = make(QUEUE, APP, place.url)
    p.start()
    pids = sorted(p.pids("q"))
    waiting: set[str] = set()
    owned: set[str] = set()
    with Load(p) as load, client_of(server) as client:
        for number in range(rounds):
            p.push_many("work", 300)  # so that some of them are waiting
            load.wait_more(30)
            names = client.hkeys(key(p, "consumers"))
            before = Runs(p).last_ticket()
            pipe = client.pipeline(transaction=True).lrange(key(p, "waiting"), 0, -1)
            for name in names:
                pipe = pipe.hkeys(key(p, f"owned:{name}"))
            lost, *held, _ = pipe.flushall().execute()
            load.phase += 1
            waiting.update(lost)
            mine = {id for ids in held for id in ids}
            owned |= mine

            wait_all_work(p, load)
            p.wait_until(lambda: repairs(p)["went_back"] == number + 1, "the loss to be seen")  # noqa: B023
            check_tickets(load, before, Runs(p))
    p.wait_empty()

    runs = Runs(p)
    never = {id_of(n) for n in load.answered if not runs.began[n]}
    ours = {id_of(n) for n in load.answered}
    assert waiting & ours <= never <= waiting | owned
    assert [n for n in load.answered if runs.began[n] > 1 or runs.began[n] != runs.ended[n]] == []
    assert sorted(p.pids("q")) == pids
    told = repairs(p)
    assert told["registered_anew"] == CONSUMERS * rounds
    assert told["refused"] + told["dropped"] == len(owned)
    assert (told["returned"], told["reclaimed"]) == (0, 0)
    text = p.run("status").stdout
    assert f"{CONSUMERS * rounds} consumers registered anew" in " ".join(text.split())
    with client_of(server) as client:
        assert sorted(name.partition("~")[2] for name in client.hkeys(key(p, "consumers"))) == (
            [str(rounds + 1)] * CONSUMERS
        )


@pytest.mark.parametrize("rounds", ROUNDS)
def test_d5_after_a_restart_without_persistence_the_same_processes_go_on(
    place: Place, make: Make, rounds: int
) -> None:
    place.mean(server := place.start("a"))
    p = make(QUEUE, APP, place.url)
    p.start()
    pids = sorted(p.pids("q"))
    with Load(p) as load:
        for _ in range(rounds):
            p.push_many("work", 300)
            load.wait_more(30)
            server.kill()
            before = Runs(p).last_ticket()
            server = place.start("a")
            load.phase += 1
            wait_all_work(p, load)
            check_tickets(load, before, Runs(p))
    p.wait_empty()

    runs = Runs(p)
    never = [n for n in load.answered if not runs.began[n]]
    assert all(load.answered[n][0] < load.phase for n in never)
    assert [n for n in load.answered if runs.began[n] > 1 and n not in load.doubtful] == []
    assert [n for n in load.answered if runs.began[n] != runs.ended[n]] == []
    assert sorted(p.pids("q")) == pids
    assert repairs(p)["registered_anew"] == CONSUMERS * rounds


Way = Callable[[Place, Project, Server, Load], "tuple[set[str], Callable[[], object]]"]


def lagging_replica(place: Place, p: Project, server: Server, load: Load) -> Any:
    """A replica that hears nothing more; then its master dies, and it is the master."""
    replica = place.start("b", "--port", str(free_port()), "--repl-diskless-sync-delay", "0")
    with client_of(server) as master, client_of(replica) as client:
        client.replicaof("127.0.0.1", master.config_get("port")["port"])
        p.wait_until(lambda: client.info("replication")["master_link_status"] == "up", "the replica")
        load.wait_more(30)
        load.phase += 1
        wait_replicated(master)
        client.replicaof("NO", "ONE")
        stored = set(client.hkeys(key(p, "bodies")))

    def fail_over() -> None:
        place.mean(replica)
        server.kill()

    return stored, fail_over


def older_file(place: Place, p: Project, server: Server, load: Load) -> Any:
    """A server that is stopped, and started again with an older dump."""
    load.wait_more(30)
    load.phase += 1
    with client_of(server) as client:
        client.save()
    (place.folder / "b").mkdir()
    shutil.copy(place.folder / "a" / "dump.rdb", place.folder / "b")
    shutil.copy(place.folder / "a" / "dump.rdb", place.folder / "older")
    copy = place.start("b")
    with client_of(copy) as client:
        stored = set(client.hkeys(key(p, "bodies")))

    def fail_over() -> None:
        server.kill()
        shutil.copy(place.folder / "older", place.folder / "a" / "dump.rdb")
        place.start("a")

    return stored, fail_over


def made_a_replica(place: Place, p: Project, server: Server, load: Load) -> Any:
    """A master that is made the replica of one with older data, and a master again: no connection breaks."""
    port = str(free_port())
    other = place.start("b", "--port", port, "--repl-diskless-sync-delay", "0")
    with client_of(server) as master, client_of(other) as client:
        client.replicaof("127.0.0.1", master.config_get("port")["port"])
        p.wait_until(lambda: client.info("replication")["master_link_status"] == "up", "the replica")
        load.wait_more(30)
        load.phase += 1
        wait_replicated(master)
        client.replicaof("NO", "ONE")
        stored = set(client.hkeys(key(p, "bodies")))

    def fail_over() -> None:
        with client_of(server) as client:
            client.replicaof("127.0.0.1", port)
            p.wait_until(lambda: client.info("replication")["master_link_status"] == "up", "the older data")
            client.replicaof("NO", "ONE")

    return stored, fail_over


def wait_replicated(master: Any) -> None:
    """Wait until the replica has whatever was answered before: it is always a little behind."""
    master.set("mark", 1)
    assert master.wait(1, 30_000) == 1


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize("way", [lagging_replica, older_file, made_a_replica])
@pytest.mark.parametrize("between", [100, pytest.param(1_000, marks=pytest.mark.slow)])
def test_d13_a_store_that_went_back_repeats_what_it_had_and_loses_what_it_never_had(
    place: Place, make: Make, way: Way, between: int
) -> None:
    server = place.start("a", "--port", str(free_port()), "--repl-diskless-sync-delay", "0")
    place.mean(server)
    p = make(QUEUE, APP, place.url)
    p.start()
    pids = sorted(p.pids("q"))
    p.push("long", 1, id="long")
    p.wait_until(lambda: Runs(p).began[1], "one to be running")
    with Load(p) as load:
        for n in range(2, 200):
            p.push("work", n, id=id_of(n))
        stored, fail_over = way(place, p, server, load)
        assert "long" in stored
        (p.folder / "go").touch()  # in the older copy it is reserved, and its consumer will not hold it
        load.wait_more(between)
        p.wait_until(lambda: Runs(p).ended[1], "it to be done")
        p.wait_until(lambda: p.driver.message("q", "long") is None, "it to be settled")

        fail_over()
        before = Runs(p).last_ticket()
        load.phase += 1
        wait_all_work(p, load)
    p.wait_empty()

    runs = Runs(p)
    check_tickets(load, before, runs)
    assert all(runs.began[n] for n in range(1, 200))
    never = [n for n in load.answered if not runs.began[n]]
    assert [
        n for n in never if id_of(n) in stored or load.answered[n][1] < 1 or load.answered[n][0] > 1
    ] == []
    twice = {n for n, times in runs.began.items() if times > 1}
    assert {id_of(n) for n in twice - load.doubtful - {1}} <= stored
    assert max(runs.began.values()) == runs.began[1] == 2 and runs.began == runs.ended
    assert sorted(p.pids("q")) == pids and p.failed() == []
    told = repairs(p)
    assert told["returned"] >= 1 and told["registered_anew"] == 0


def test_d13_a_registration_that_was_given_up_comes_back_and_gives_back_what_it_owns(
    place: Place, make: Make
) -> None:
    place.mean(server := place.start("a"))
    p = make("[queues.q]\nhandle_timeout = 0\n", APP, place.url)
    p.start()
    pids = p.pids("q")
    p.push("long", 1)
    p.wait_until(lambda: Runs(p).began[1], "it to be running")
    with client_of(server) as client:
        client.save()
        shutil.copy(place.folder / "a" / "dump.rdb", place.folder / "older")
        client.flushall()
    (p.folder / "go").touch()
    p.wait_until(lambda: repairs(p)["registered_anew"] == 1, "it to register anew")
    assert repairs(p)["refused"] == 1

    server.kill()
    shutil.copy(place.folder / "older", place.folder / "a" / "dump.rdb")
    server = place.start("a")

    p.wait_until(lambda: repairs(p)["registered_anew"] == 2, "it to register anew again")
    p.wait_empty()
    with client_of(server) as client:
        p.wait_until(lambda: len(client.hkeys(key(p, "consumers"))) == 1, "one registration to be left")
        assert client.hkeys(key(p, "consumers"))[0].endswith("~3")
    assert p.pids("q") == pids
    assert Runs(p).began[1] == 1, "its board says that it is done"


def test_d5_who_is_killed_after_it_has_registered_anew_is_reclaimed_at_once(place: Place, make: Make) -> None:
    place.mean(server := place.start("a"))
    p = make("[queues.q]\nhandle_timeout = 0\n", APP, place.url)
    p.start()
    (pid,) = p.pids("q")
    with client_of(server) as client:
        client.flushall()
    p.wait_until(lambda: repairs(p)["registered_anew"] == 1, "it to register anew")
    id = p.push("long", 1)
    p.wait_until(lambda: Runs(p).began[1] == 1, "it to be running")

    os.kill(pid, signal.SIGKILL)

    p.wait_until(lambda: Runs(p).began[1] == 2, "it to run again")
    message = p.driver.message("q", id)
    assert message is not None and (message.counters.crashes, message.counters.suspects) == (1, 0)
    assert repairs(p)["reclaimed"] == 0
    (p.folder / "go").touch()
    p.wait_empty()


def test_d5_a_queue_that_is_lost_alone_costs_the_others_nothing(place: Place, make: Make) -> None:
    place.mean(server := place.start("a"))
    p = make(
        "[queues.q]\nserves = ['q', 'other']\nhandle_timeout = 0\n[queues.other]\nprocesses = 0\n",
        APP,
        place.url,
    )
    p.start()
    p.push("long", 1, queue="other")
    p.wait_until(lambda: Runs(p).began[1], "it to be running")

    with client_of(server) as client:
        client.delete(*client.keys(key(p, "*")))
        p.push("work", 2)
        (p.folder / "go").touch()

        p.wait_until(lambda: Runs(p).ended[2], "the one that was pushed afterwards to run")
        p.wait_empty("other")
        p.wait_empty()
        names = [client.hkeys(key(p, "consumers", queue)) for queue in ("q", "other")]
    assert names[0] == names[1] and len(names[0]) == 1 and names[0][0].endswith("~2")
    assert dict(Runs(p).began) == {1: 1, 2: 1}
    told = repairs(p)
    assert (told["registered_anew"], told["refused"], told["dropped"]) == (1, 0, 0)


@pytest.mark.parametrize("forgets", ["everything", "how far tickets had come"])
def test_tickets_grow_also_where_the_clock_of_the_store_went_back(
    place: Place, make: Make, forgets: str
) -> None:
    place.mean(server := place.start("a"))
    p = make(QUEUE, APP, place.url)
    p.start()
    with client_of(server) as client:
        if forgets != "everything":
            client.save()
        p.push("work", 1)
        p.wait_until(lambda: Runs(p).ended[1], "one to run")
        client.hincrby(key(p, "state"), "ticket", 10**12)  # as if its clock had been eleven days ahead
    for n in range(2, 20):
        p.push("work", n)
    p.wait_empty()
    before = Runs(p).last_ticket()

    server.kill()
    place.start("a")
    for n in range(20, 60):
        p.push("work", n)

    p.wait_until(lambda: all(Runs(p).ended[n] for n in range(20, 60)), "the rest to run")
    runs = Runs(p)
    assert min(ticket for n in range(20, 60) for ticket in runs.of[n]) > before
    assert max(len(numbers) for numbers in runs.tickets.values()) == 1


def stop_with_older_file(p: Project) -> None:
    """Let one message be done after a copy of the store was made; stop; put the copy in its place."""
    base = p.folder / "run" / "db" / "queue.db"
    p.push("long", 1)
    p.wait_until(lambda: Runs(p).began[1], "it to be running")
    with (
        contextlib.closing(sqlite3.connect(base)) as now,
        contextlib.closing(sqlite3.connect(p.folder / "older")) as older,
    ):
        now.backup(older)
    (p.folder / "go").touch()
    p.wait_empty()
    assert p.stop() == 0
    p.driver.close()
    p._driver = None
    for end in ("-wal", "-shm"):
        Path(f"{base}{end}").unlink(missing_ok=True)
    shutil.copy(p.folder / "older", base)


def test_d13_consumers_of_a_former_master_in_an_older_file_are_reclaimed(make: Make) -> None:
    p = make(QUEUE, APP)
    p.start()
    stop_with_older_file(p)
    before = Runs(p).last_ticket()

    p.start()

    p.wait_until(lambda: repairs(p)["reclaimed"] == CONSUMERS, "the registrations to be found")
    p.wait_until(lambda: Runs(p).ended[1] == 2, "the message to run again")
    p.wait_empty()
    assert min(Runs(p).of[1][1:]) > before
    host = (p.folder / "run" / "host").read_text().split()[0]
    assert len(p.driver.consumers("q", host)) == CONSUMERS


def test_d6_a_host_in_an_older_file_is_taken_over(make: Make) -> None:
    p = make(f"[master]\nhost_timeout = '3s'\n{QUEUE}", APP)
    p.start()
    stop_with_older_file(p)
    lost = (p.folder / "run" / "host").read_text().split()[0]
    (p.folder / "run" / "host").unlink()

    p.start()

    p.wait_until(lambda: Runs(p).ended[1] == 2, "the message to run again")
    p.wait_empty()
    p.wait_until(lambda: lost not in [one.host for one in p.driver.beats("q").hosts], "the host to be gone")
    assert p.driver.consumers("q", lost) == []
    assert repairs(p)["reclaimed"] == 0
