"""Sentinels name the master: who cannot be asked, and which server is written to while it changes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from procqueue.core.errors import DriverError, DriverUnavailable
from procqueue.drivers.contract import Entry, Lane, Pushed
from procqueue.drivers.redis import RedisDriver
from tests.drivers.redis_support import opened, push, until
from tests.fleet import NAME, Fleet, fleet, free_port, stopped
from tests.servers import kinds

QUEUE = "emails"
WAITING = f"pq:{{{QUEUE}}}:waiting"


@pytest.fixture(params=kinds())
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path, kind=request.param) as made:
        yield made


@pytest.fixture
def driver(made: Fleet) -> Iterator[RedisDriver]:
    """A driver whose connection to the first master stands."""
    with opened(made.url, timeout=2) as driver:
        push(driver, QUEUE, "first")
        until(lambda: replicated(made), "the first message is replicated")
        yield driver


def replicated(made: Fleet) -> bool:
    lengths: set[int] = {made.client(port).llen(WAITING) for port in made.servers}
    return len(lengths) == 1


def patiently_push(driver: RedisDriver, id: str, lane: Lane | None = None) -> list[Pushed]:
    """Push, again and again until it is answered."""
    answers: list[list[Pushed]] = []

    def answered() -> bool:
        with contextlib.suppress(DriverUnavailable):
            answers.append(driver.push(QUEUE, [Entry(id, b"{}")], lane))
        return bool(answers)

    until(answered, f"{id} is pushed")
    return answers[0]


def test_sentinels_lead_to_the_master_and_its_database(made: Fleet) -> None:
    with opened(made.url + "/3") as driver:
        push(driver, QUEUE, "a")

    master = made.client(made.master())
    assert master.info("keyspace")["db3"]["keys"] > 0


def test_the_next_sentinel_is_asked_if_one_is_gone_or_frozen(tmp_path: Path) -> None:
    with fleet(tmp_path, sentinels=2) as made:
        frozen, _ = made.sentinels.values()
        gone = f"127.0.0.1:{free_port()},"
        url = made.url.replace("://", f"://{gone}")
        with stopped(frozen.pid), opened(url) as driver:
            push(driver, QUEUE, "a")

            assert driver.counts(QUEUE).waiting == 1


def test_no_sentinel_is_unavailable_and_all_of_them_are_told() -> None:
    ports = free_port(), free_port()
    url = f"redis+sentinel://127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}/{NAME}"
    with opened(url) as driver, pytest.raises(DriverUnavailable, match="no sentinel says") as refused:
        driver.counts(QUEUE)

    assert all(f"127.0.0.1:{port}" in str(refused.value) for port in ports)
    assert not refused.value.sent


def test_a_name_that_no_sentinel_knows_is_told(made: Fleet) -> None:
    url = made.url.replace(f"/{NAME}", "/shep")
    with opened(url) as driver, pytest.raises(DriverError, match="knows no 'shep'") as refused:
        driver.counts(QUEUE)

    assert not isinstance(refused.value, DriverUnavailable)


def test_sentinels_may_have_a_password_of_their_own(tmp_path: Path) -> None:
    with fleet(tmp_path, password="secret") as made:
        for option in ("", "?sentinel_password=wrong"):
            with (
                opened(made.url + option) as driver,
                pytest.raises(DriverError, match=r"check \?sentinel_username=…") as no,
            ):
                driver.counts(QUEUE)
            assert not isinstance(no.value, DriverUnavailable)
            assert "wrong" not in str(no.value).replace("WRONGPASS", "")

        with opened(made.url + "?sentinel_password=secret") as driver:
            push(driver, QUEUE, "a")
            assert driver.counts(QUEUE).waiting == 1


def test_the_least_user_of_a_sentinel_may_ask_and_a_lesser_one_is_told(tmp_path: Path) -> None:
    with fleet(tmp_path, replicas=0) as made:
        (port,) = made.sentinels
        for user, rights in (("poor", "+auth"), ("least", "+auth +sentinel|get-master-addr-by-name")):
            made.client(port).execute_command("ACL", "SETUSER", user, "on", ">pw", "-@all", *rights.split())
        url = made.url + "?sentinel_password=pw&sentinel_username="

        with opened(url + "poor") as driver, pytest.raises(DriverError, match=r"\+sentinel\|get-master"):
            driver.counts(QUEUE)
        with opened(url + "least") as driver:
            assert driver.counts(QUEUE).waiting == 0


def test_the_password_of_the_url_is_that_of_the_servers(tmp_path: Path) -> None:
    with fleet(tmp_path, replicas=0) as made:
        made.client(made.master()).config_set("requirepass", "secret")

        with opened(made.url) as driver, pytest.raises(DriverError, match="user and password"):
            driver.counts(QUEUE)
        with opened(made.url.replace("://", "://:secret@")) as driver:
            assert driver.counts(QUEUE).waiting == 0


def test_a_sentinel_that_names_a_dead_master_is_not_asked_first_again(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with fleet(tmp_path / "a", replicas=0) as cut_off, fleet(tmp_path / "b", replicas=0) as right:
        cut_off.servers[cut_off.master()].kill()
        nodes = ",".join(f"127.0.0.1:{port}" for made in (cut_off, right) for port in made.sentinels)
        with opened(f"redis+sentinel://{nodes}/{NAME}") as driver:
            with pytest.raises(DriverUnavailable):
                driver.counts(QUEUE)

            assert driver.counts(QUEUE).waiting == 0


def test_a_server_that_is_no_master_is_not_written_to(made: Fleet) -> None:
    made.client(made.master()).replicaof("127.0.0.1", "1")

    with opened(made.url) as driver, pytest.raises(DriverUnavailable, match="no master") as refused:
        push(driver, QUEUE, "a")

    assert not refused.value.sent


def test_d10_after_the_master_was_killed_pushes_go_on_and_repeats_are_exact(
    made: Fleet, driver: RedisDriver
) -> None:
    driver.push(QUEUE, [Entry("a", b"{}")], Lane("s" * 24, 1))
    until(lambda: replicated(made), "it is replicated")
    before = made.master()

    made.servers[before].kill()

    assert patiently_push(driver, "a", Lane("s" * 24, 1)) == [Pushed.STORED_ALREADY]
    assert patiently_push(driver, "b", Lane("s" * 24, 2)) == [Pushed.QUEUED]
    assert driver.counts(QUEUE).waiting == 3
    assert made.client(made.wait_for_another(than=before)).llen(WAITING) == 3


def test_a_waiting_consumer_finds_the_new_master(made: Fleet, driver: RedisDriver) -> None:
    with opened(made.url, timeout=1) as waiting:
        waiting.wait([QUEUE], 0.1, [])
        before = made.master()
        made.servers[before].kill()
        with pytest.raises(DriverUnavailable):
            waiting.wait([QUEUE], 20, [])
        patiently_push(driver, "a")

        def woken() -> bool:
            with contextlib.suppress(DriverUnavailable):
                return waiting.wait([QUEUE], 1, [])
            return False

        until(woken, "the consumer is woken")


def test_an_old_master_that_wakes_up_is_not_written_to(made: Fleet, driver: RedisDriver) -> None:
    before = made.master()
    with stopped(made.servers[before].pid):
        after = made.wait_for_another(than=before)

    assert made.is_master(before), "it has heard already: nothing is tested"
    push(driver, QUEUE, "a")  # over a connection that stood all the while

    assert (made.client(before).llen(WAITING), made.client(after).llen(WAITING)) == (1, 2)


def test_an_answer_of_an_old_master_that_wakes_up_is_not_believed(made: Fleet, driver: RedisDriver) -> None:
    errors: list[DriverUnavailable] = []
    before = made.master()

    def ask() -> None:
        with opened(made.url, timeout=60) as patient:
            patient.counts(QUEUE)
            connected.set()
            frozen.wait(60)
            try:
                push(patient, QUEUE, "a")
            except DriverUnavailable as error:
                errors.append(error)

    connected, frozen = threading.Event(), threading.Event()
    thread = threading.Thread(target=ask)
    thread.start()
    connected.wait(60)
    with stopped(made.servers[before].pid):
        frozen.set()
        since = time.monotonic()
        after = made.wait_for_another(than=before)
        until(lambda: time.monotonic() > since + 1.5, "what the sentinels said before is old")
    thread.join(60)

    (error,) = errors
    assert "not the master any more" in str(error) and error.sent
    assert made.client(after).llen(WAITING) == 1
    assert patiently_push(driver, "a") == [Pushed.QUEUED]


def test_a_planned_failover_is_followed_within_seconds(made: Fleet, driver: RedisDriver) -> None:
    before = made.master()

    made.failover()
    after = made.wait_for_another(than=before)

    def arrived() -> bool:
        patiently_push(driver, str(time.monotonic_ns()))
        return int(made.client(after).llen(WAITING)) > 1

    until(arrived, "pushes reach the new master")


def test_what_works_goes_on_without_any_sentinel(made: Fleet, driver: RedisDriver) -> None:
    for process in made.sentinels.values():
        process.kill()
        process.wait()
    since = time.monotonic()
    until(lambda: time.monotonic() > since + 1.1, "what the sentinels said is old")

    push(driver, QUEUE, "a")

    assert driver.counts(QUEUE).waiting == 2
