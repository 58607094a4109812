"""Waiting at Redis: no push is missed, nothing is mistaken for one, a marker wakes who is idle."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procqueue.core.errors import DriverUnavailable
from procqueue.core.message import Reservation
from procqueue.drivers.contract import Entry
from procqueue.drivers.redis import RedisDriver
from tests.drivers.redis_support import (
    DEADLINE,
    Proxy,
    key,
    opened,
    push,
    queue_name,
    raw,
    settled,
    sweep,
    until,
)
from tests.servers import kinds, redis_url, start_server


@pytest.fixture(params=kinds(), scope="module")
def url(request: pytest.FixtureRequest) -> str:
    return redis_url(request.param)


@pytest.fixture
def driver(url: str) -> Iterator[RedisDriver]:
    with opened(url) as driver:
        yield driver


@pytest.fixture
def other(url: str) -> Iterator[RedisDriver]:
    with opened(url) as driver:
        yield driver


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    with raw(url) as client:
        yield client


@pytest.fixture
def queue(client: Any) -> Iterator[str]:
    name = queue_name()
    yield name
    sweep(client, name)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_a_push_before_the_wait_is_not_missed(driver: RedisDriver, queue: str) -> None:
    push(driver, queue, "a")

    assert driver.wait([queue], DEADLINE, [])


def test_a_push_during_the_wait_ends_it(
    driver: RedisDriver, other: RedisDriver, client: Any, queue: str
) -> None:
    def push_when_it_waits() -> None:
        until(lambda: client.info("clients")["blocked_clients"], "the consumer waits")
        push(other, queue, "a")

    thread = threading.Thread(target=push_when_it_waits)
    thread.start()

    assert driver.wait([queue], DEADLINE, [])
    thread.join()


def test_nothing_there_is_false_when_the_time_is_over(driver: RedisDriver, queue: str) -> None:
    assert not driver.wait([queue], 0.02, [])


def test_another_descriptor_ends_the_wait_and_is_no_message(
    driver: RedisDriver, queue: str, pipe: tuple[int, int]
) -> None:
    os.write(pipe[1], b"x")
    began = time.monotonic()

    assert not driver.wait([queue], DEADLINE, [pipe[0]])
    assert time.monotonic() - began < DEADLINE / 2


def test_a_push_between_a_disturbed_wait_and_the_next_is_not_missed(
    driver: RedisDriver, other: RedisDriver, queue: str, pipe: tuple[int, int]
) -> None:
    os.write(pipe[1], b"x")
    assert not driver.wait([queue], DEADLINE, [pipe[0]])

    push(other, queue, "a")

    assert driver.wait([queue], DEADLINE, [])


def test_a_consumer_at_work_leaves_the_marker_to_an_idle_one(
    driver: RedisDriver, other: RedisDriver, client: Any, queue: str, pipe: tuple[int, int]
) -> None:
    driver.register(queue, "busy", "h")
    os.write(pipe[1], b"x")
    assert not driver.wait([queue], DEADLINE, [pipe[0]])  # its command is still there …
    push(driver, queue, "a", "b")
    until(lambda: not client.exists(key(queue, "wake")), "the marker goes to it")
    assert driver.turn(queue, "busy", [], 1).taken  # … and it is at work now

    assert other.wait([queue], DEADLINE, [])


def test_one_marker_wakes_one_after_the_other_while_messages_remain(
    driver: RedisDriver, client: Any, queue: str
) -> None:
    driver.register(queue, "c", "h")
    push(driver, queue, "a", "b", "c")
    assert client.zcard(key(queue, "wake")) == 1
    handled: list[Reservation] = []

    while driver.wait([queue], 0.05, []):
        handled += driver.turn(queue, "c", [], 1).taken

    assert [one.id for one in handled] == ["a", "b", "c"]
    assert not client.exists(key(queue, "wake"))


def test_any_of_several_queues_ends_the_wait(
    driver: RedisDriver, other: RedisDriver, client: Any, queue: str
) -> None:
    second = queue_name()
    push(other, second, "a")

    assert driver.wait([queue, second], DEADLINE, [])
    sweep(client, second)


def test_what_is_returned_or_due_or_owed_wakes(driver: RedisDriver, queue: str) -> None:
    driver.register(queue, "c", "h")
    push(driver, queue, "a")
    turn = driver.turn(queue, "c", [], 1)
    while driver.wait([queue], 0.02, []):
        pass

    driver.reclaim(queue, "c", settled(turn)[:0])
    assert driver.wait([queue], DEADLINE, [])

    driver.clear(queue, turn_state := driver.message(queue, "a").state)  # type: ignore[union-attr]
    assert turn_state == "waiting"
    driver.push(queue, [Entry("later", b"", delay_ms=1)])
    until(lambda: driver.promote(queue).moved, "it is due")
    assert driver.wait([queue], DEADLINE, [])


def test_a_lost_marker_is_set_again_by_promote(driver: RedisDriver, client: Any, queue: str) -> None:
    push(driver, queue, "a")
    client.delete(key(queue, "wake"))

    driver.promote(queue)

    assert driver.wait([queue], DEADLINE, [])


def test_a_server_that_says_nothing_any_more_ends_the_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("procqueue.drivers.redis.wait.BLOCK_SECONDS", 0.1)
    server = start_server(tmp_path)
    try:
        with Proxy(tmp_path, server.url) as proxy, opened(proxy.url, timeout=0.2) as driver:
            proxy.on_request = lambda data: b"" if b"BZPOPMIN" in data else data

            with pytest.raises(DriverUnavailable):
                driver.wait(["emails"], DEADLINE, [])
    finally:
        server.stop()


def test_a_server_that_dies_ends_the_wait(tmp_path: Path) -> None:
    server = start_server(tmp_path)
    with opened(server.url) as driver, raw(server.url) as client:

        def kill_when_it_waits() -> None:
            until(lambda: client.info("clients")["blocked_clients"], "the consumer waits")
            server.kill()

        thread = threading.Thread(target=kill_when_it_waits)
        thread.start()

        with pytest.raises(DriverUnavailable):
            driver.wait(["emails"], DEADLINE, [])
        thread.join()
