"""Pushes that are sent before the answers of earlier ones came, and connections that are cut meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from procqueue.core.errors import DriverUnavailable, Full, Gap
from procqueue.drivers.contract import Entry, Lane, Pushed
from procqueue.drivers.redis import RedisDriver
from tests.drivers.redis_support import DEADLINE, Proxy, opened, push, raw, until
from tests.servers import start_server

QUEUE = "emails"


@pytest.fixture
def server_url(tmp_path: Path) -> Iterator[str]:
    server = start_server(tmp_path)
    yield server.url
    server.stop()


@pytest.fixture
def proxy(tmp_path: Path, server_url: str) -> Iterator[Proxy]:
    with Proxy(tmp_path, server_url) as proxy:
        yield proxy


@pytest.fixture
def driver(proxy: Proxy) -> Iterator[RedisDriver]:
    """A driver behind the proxy, whose connection stands and whose script is loaded."""
    with opened(proxy.url, timeout=DEADLINE) as driver:
        push(driver, QUEUE, "first")
        yield driver


def chunk(number: int) -> tuple[list[Entry], Lane]:
    return [Entry(f"m{number}", b"{}")], Lane("s", number)


def test_all_are_stored_before_the_first_answer_is_read(
    driver: RedisDriver, proxy: Proxy, server_url: str
) -> None:
    gate = threading.Event()
    proxy.on_reply = lambda data: data if gate.wait(DEADLINE) else None

    answers = [driver.push_ahead(QUEUE, *chunk(number)) for number in range(1, 5)]
    with raw(server_url) as client:
        until(lambda: client.llen(f"pq:{{{QUEUE}}}:waiting") == 5, "all four are stored")
    gate.set()

    assert [answer() for answer in answers] == [[Pushed.QUEUED]] * 4
    assert driver.counts(QUEUE).waiting == 5


def test_d10_behind_a_refused_push_there_are_only_gaps(driver: RedisDriver, server_url: str) -> None:
    driver.push(QUEUE, *chunk(1))
    with raw(server_url) as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        answers = [driver.push_ahead(QUEUE, *chunk(number)) for number in (2, 3)]

        with pytest.raises(Full):
            answers[0]()
        with pytest.raises(Gap) as gap:
            answers[1]()

        assert gap.value.last == 1
        client.config_set("maxmemory", 0)
        assert driver.push(QUEUE, *chunk(2)) == [Pushed.QUEUED]


def test_a_cut_connection_takes_all_answers_along(driver: RedisDriver, proxy: Proxy) -> None:
    gate = threading.Event()
    proxy.on_reply = lambda _: None if gate.wait(DEADLINE) else b""
    answers = [driver.push_ahead(QUEUE, *chunk(number)) for number in (1, 2, 3)]
    gate.set()

    for answer in answers:
        with pytest.raises(DriverUnavailable) as lost:
            answer()
        assert lost.value.sent

    proxy.on_reply = lambda data: data
    again = [driver.push(QUEUE, *chunk(number)) for number in (1, 2, 3)]
    assert again[0] == [Pushed.STORED_ALREADY]  # its answer was the one that was cut
    assert driver.counts(QUEUE).waiting == 4


def test_another_verb_in_between_gets_its_own_answer_and_takes_the_others_away(driver: RedisDriver) -> None:
    answers = [driver.push_ahead(QUEUE, *chunk(number)) for number in (1, 2)]

    assert driver.message(QUEUE, "first") is not None

    with pytest.raises(DriverUnavailable) as lost:
        answers[0]()
    assert lost.value.sent
    for number in (1, 2):  # stored or not by then: the connection was closed behind them
        driver.push(QUEUE, *chunk(number))
    assert driver.counts(QUEUE).waiting == 3


def test_scripts_that_were_flushed_leave_the_push_undone(driver: RedisDriver, server_url: str) -> None:
    with raw(server_url) as client:
        client.script_flush()
    answers = [driver.push_ahead(QUEUE, *chunk(number)) for number in (1, 2)]

    with pytest.raises(DriverUnavailable) as refused:
        answers[0]()

    assert not refused.value.sent
    assert [driver.push(QUEUE, *chunk(number)) for number in (1, 2)] == [[Pushed.QUEUED]] * 2
