"""Servers in every condition: full, restarted, loading, replicas, busy, guarded by a password, too old."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from procqueue.core.errors import DriverError, DriverUnavailable, Full, Unknown
from procqueue.core.message import State
from procqueue.core.verdict import Kind, Settlement, Verdict
from procqueue.drivers.contract import Entry, Lane, Pushed
from procqueue.drivers.redis import RedisDriver
from procqueue.drivers.redis.refusals import LEAST_ACL
from tests.drivers.redis_support import dump, opened, push, raw, settled, until
from tests.drivers.test_redis_scripts import VERBS, furnish
from tests.servers import Server, kinds, start_server

QUEUE = "emails"
Start = Callable[..., Server]


@pytest.fixture(params=kinds())
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """Starts servers in directories of this test; all are stopped at the end."""
    servers = []

    def start(*args: str, directory: str = "one", **options: Any) -> Server:
        (tmp_path / directory).mkdir(exist_ok=True)
        server = start_server(tmp_path / directory, *args, kind=request.param, **options)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fill(client: Any) -> None:
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", 1)


def test_a_full_store_refuses_a_push_whole_and_takes_all_else(start: Start) -> None:
    url = start().url
    with opened(url) as driver, raw(url) as client:
        endings = furnish(driver, client, QUEUE)
        fill(client)
        before = dump(client, QUEUE)

        with pytest.raises(Full):
            driver.push(QUEUE, [Entry("x", b"1"), Entry("y", b"2", delay_ms=1)])
        for lane in (Lane("s", 2), Lane("t", 1)):
            with pytest.raises(Full):
                driver.push(QUEUE, [Entry("x", b"1", remember_ms=9)], lane)
        assert dump(client, QUEUE) == before
        for verb, run in VERBS.items():
            if not verb.startswith("push") and verb not in ("leave", "turn"):
                run(driver, QUEUE, endings)


def test_a_driver_tells_before_it_asks_whether_it_will_have_to_connect(start: Start) -> None:
    server = start()
    with opened(server.url) as driver:
        assert not driver.is_connected()
        push(driver, QUEUE, "a")
        assert driver.is_connected()

        server.kill()
        until(lambda: not driver.is_connected(), "the end of the connection to be seen")
        start()

        push(driver, QUEUE, "a")
        assert driver.is_connected()


def test_d10_a_full_store_answers_repeats_and_duplicates_and_a_refused_chunk_keeps_its_number(
    start: Start,
) -> None:
    url = start().url
    with opened(url) as driver, raw(url) as client:
        driver.push(QUEUE, [Entry("a", b"1")], Lane("s", 1))
        fill(client)

        with pytest.raises(Full):
            driver.push(QUEUE, [Entry("b", b"1")], Lane("s", 2))
        assert driver.push(QUEUE, [Entry("a", b"1")], Lane("s", 1)) == [Pushed.STORED_ALREADY]
        assert driver.push(QUEUE, [Entry("a", b"1")], Lane("s", 2)) == [Pushed.DUPLICATE]

        client.config_set("maxmemory", 0)
        assert driver.push(QUEUE, [Entry("c", b"1")], Lane("s", 3)) == [Pushed.QUEUED]


def test_a_full_store_is_emptied_by_its_consumers(start: Start) -> None:
    url = start().url
    with opened(url) as driver, raw(url) as client:
        push(driver, QUEUE, *(f"m{n}" for n in range(20)))
        fill(client)
        driver.register(QUEUE, "c", "h")
        failing = Verdict(Kind.FAIL)
        handled = 0

        turn = driver.turn(QUEUE, "c", [], 5)
        while turn.taken:
            handled += len(turn.taken)
            turn = driver.turn(QUEUE, "c", settled(turn, failing), 5)

        assert handled == 20
        assert driver.counts(QUEUE).failed == 20


def test_a_full_store_lets_an_empty_turn_set_the_marker(start: Start) -> None:
    url = start().url
    with opened(url) as driver, raw(url) as client:
        driver.register(QUEUE, "c", "h")
        push(driver, QUEUE, "a")
        client.delete(f"pq:{{{QUEUE}}}:wake")
        fill(client)

        driver.turn(QUEUE, "c", [], 0)

        assert client.exists(f"pq:{{{QUEUE}}}:wake")


def test_a_restarted_server_is_unavailable_and_then_works_again(start: Start) -> None:
    server = start()
    with opened(server.url) as driver:
        driver.register(QUEUE, "c", "h")
        server.kill()

        with pytest.raises(DriverUnavailable) as refused:
            push(driver, QUEUE, "a")
        assert not refused.value.sent

        start()
        push(driver, QUEUE, "a")
        assert driver.counts(QUEUE).waiting == 1
        with pytest.raises(Unknown):
            driver.turn(QUEUE, "c", [], 1)


def test_an_idle_connection_that_the_server_closed_costs_nothing(start: Start) -> None:
    url = start().url
    with opened(url) as driver, raw(url) as client:
        push(driver, QUEUE, "a")
        client.client_kill_filter(_type="normal", skipme=True)

        push(driver, QUEUE, "b")

        assert driver.counts(QUEUE).waiting == 2


def test_a_server_that_loads_is_unavailable_until_it_is_ready(start: Start) -> None:
    server = start("--rdbcompression", "no")
    with raw(server.url) as client:
        client.mset({f"key-{n}": "x" * 2_000 for n in range(5_000)})  # it answers once in each 2 MiB
        client.save()
    server.kill()

    server = start("--key-load-delay", "300", until=(b"-LOADING",))

    with opened(server.url) as driver, raw(server.url) as client:
        with pytest.raises(DriverUnavailable) as refused:
            driver.counts(QUEUE)
        assert not refused.value.sent
        until(lambda: _works(lambda: client.config_set("key-load-delay", 0)), "the delay is taken away")
        until(lambda: _works(lambda: driver.counts(QUEUE)), "the server is ready")


def test_a_replica_is_unavailable_for_writing_and_without_its_master(start: Start) -> None:
    port = str(free_port())
    master = start("--port", port, "--repl-diskless-sync-delay", "0", directory="master")
    replica = start("--replicaof", "127.0.0.1", port, directory="replica")
    with opened(replica.url) as driver, raw(replica.url) as client:
        until(lambda: client.info("replication")["master_link_status"] == "up", "the replica has its master")

        with pytest.raises(DriverUnavailable, match="read only"):
            push(driver, QUEUE, "a")

        client.config_set("replica-serve-stale-data", "no")
        master.kill()
        until(lambda: client.info("replication")["master_link_status"] == "down", "the master is gone")
        with pytest.raises(DriverUnavailable):
            driver.counts(QUEUE)

        client.replicaof("NO", "ONE")
        push(driver, QUEUE, "a")
        assert driver.counts(QUEUE).waiting == 1


def test_a_waiting_consumer_leaves_a_server_that_becomes_a_replica(start: Start) -> None:
    url = start().url
    with opened(url) as driver, raw(url) as client:

        def demote_when_it_waits() -> None:
            until(lambda: client.info("clients")["blocked_clients"], "the consumer waits")
            client.replicaof("127.0.0.1", "1")

        thread = threading.Thread(target=demote_when_it_waits)
        thread.start()
        with pytest.raises(DriverUnavailable, match="UNBLOCKED"):
            driver.wait([QUEUE], 20, [])
        thread.join()


def test_a_server_held_up_by_a_script_is_unavailable(start: Start) -> None:
    url = start("--lua-time-limit", "1").url
    with opened(url) as driver, raw(url) as client, raw(url) as other:
        push(driver, QUEUE, "a")
        thread = threading.Thread(target=lambda: _works(lambda: other.eval("while true do end", 0)))
        thread.start()
        until(lambda: not _works(client.ping), "the script holds the server up")

        with pytest.raises(DriverUnavailable) as refused:
            driver.counts(QUEUE)
        assert not refused.value.sent

        client.script_kill()
        thread.join()
        assert driver.counts(QUEUE).waiting == 1


def test_a_store_that_cannot_save_is_full_for_pushes_and_unavailable_else(
    start: Start, tmp_path: Path
) -> None:
    url = start("--dbfilename", "taken").url
    (tmp_path / "one" / "taken").mkdir()  # a directory stands where the dump should go
    with opened(url) as driver, raw(url) as client:
        driver.register(QUEUE, "c", "h")
        push(driver, QUEUE, "a")
        turn = driver.turn(QUEUE, "c", [], 1)
        client.config_set("save", "3600 100000")
        client.bgsave()
        until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "saving failed")
        before = dump(client, QUEUE)

        with pytest.raises(Full, match="MISCONF"):
            push(driver, QUEUE, "b")
        with pytest.raises(DriverUnavailable, match="MISCONF"):
            driver.turn(QUEUE, "c", settled(turn), 1)

        assert dump(client, QUEUE) == before


def test_a_server_that_lacks_its_replicas_is_unavailable_and_keeps_what_is_owned(start: Start) -> None:
    url = start().url
    with opened(url) as driver, raw(url) as client:
        driver.register(QUEUE, "c", "h")
        push(driver, QUEUE, "a")
        turn = driver.turn(QUEUE, "c", [], 1)
        client.config_set("min-replicas-to-write", 1)

        with pytest.raises(DriverUnavailable, match="NOREPLICAS"):
            driver.turn(QUEUE, "c", settled(turn), 1)

        client.config_set("min-replicas-to-write", 0)
        assert driver.turn(QUEUE, "c", settled(turn), 1).refused == ()


def test_the_least_user_may_do_all_that_the_driver_does(start: Start) -> None:
    server = start()
    with raw(server.url) as client:
        client.execute_command(
            "ACL", "SETUSER", "procqueue", "on", ">secret", "resetkeys", "~pq:*", "-@all", *LEAST_ACL.split()
        )
        url = server.url.replace("unix://", "unix://procqueue:secret@")
        for verb, run in VERBS.items():
            with opened(url) as driver:
                endings = furnish(driver, client, verb)
                run(driver, verb, endings)
        with opened(url) as driver:
            read_all(driver, "turn")
            driver.wait([QUEUE], 0.01, [])
            for foreign in ("KEYS", "FLUSHALL", "CONFIG"):
                with pytest.raises(DriverError):
                    driver._link.call(foreign, "*")


def read_all(driver: RedisDriver, queue: str) -> None:
    driver.counts(queue)
    driver.oldest_ms(queue)
    driver.paused(queue)
    driver.consumers(queue, "h")
    driver.owned(queue, "h/emails:0")
    driver.message(queue, "a")
    for state in State:
        driver.messages(queue, state, 0, 10)


def test_a_user_without_rights_is_told_what_to_grant(start: Start) -> None:
    server = start()
    with raw(server.url) as client:
        client.execute_command("ACL", "SETUSER", "poor", "on", ">secret", "~pq:*", "-@all", "+info", "+eval")
    with (
        opened(server.url.replace("unix://", "unix://poor:secret@")) as driver,
        pytest.raises(DriverError, match=r"\+evalsha") as refused,
    ):
        driver.counts(QUEUE)
    assert not isinstance(refused.value, DriverUnavailable)


@pytest.mark.parametrize("user", ["", "procqueue:wrong@", ":wrong@"])
def test_a_missing_or_wrong_password_is_told(start: Start, user: str) -> None:
    server = start("--requirepass", "secret")
    with (
        opened(server.url.replace("unix://", f"unix://{user}")) as driver,
        pytest.raises(DriverError, match="user and password") as refused,
    ):
        driver.counts(QUEUE)
    assert not isinstance(refused.value, DriverUnavailable)
    assert "wrong@" not in str(refused.value)


def test_a_server_without_room_for_a_client_is_unavailable(start: Start) -> None:
    url = start().url
    with raw(url) as client, opened(url) as driver:
        client.config_set("maxclients", 1)

        with pytest.raises(DriverUnavailable):
            driver.counts(QUEUE)


def test_a_server_before_6_2_is_refused(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()

    def answer() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(1000)
            client.sendall(b"$19\r\nredis_version:6.0.9\r\n")

    thread = threading.Thread(target=answer)
    thread.start()
    with opened(f"unix://{tmp_path}/s") as driver, pytest.raises(DriverError, match=r"needs 6\.2"):
        driver.counts(QUEUE)
    thread.join()
    listener.close()


@pytest.mark.parametrize("url", ["http://x", "redis://x?surprise=1", "redis://x:port"])
def test_a_url_that_cannot_be_used_is_told(url: str) -> None:
    with pytest.raises(DriverError, match="url"):
        RedisDriver(url)


def test_settlement_by_another_ticket_is_refused_after_a_restart(start: Start) -> None:
    server = start()
    with opened(server.url) as driver:
        driver.register(QUEUE, "c", "h")
        push(driver, QUEUE, "a")
        [one] = driver.turn(QUEUE, "c", [], 1).taken

        again = driver.turn(QUEUE, "c", [Settlement(one.id, one.ticket - 1, Verdict(Kind.ACK))], 0)

        assert again.refused == (one.ticket - 1,)
        assert again.owned == 1


def _works(call: Callable[[], object]) -> bool:
    try:
        call()
    except Exception:
        return False
    return True
