"""Law D10 from end to end: pushes over connections that are cut, to a real server, each stored once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import procqueue
from procqueue import Full, PushInterrupted, PushUnknown, task
from procqueue.core.message import State
from procqueue.drivers.lanes import REPEATABLE_SECONDS
from procqueue.drivers.redis import RedisDriver
from procqueue.tasks import registry
from procqueue.tasks.call import Unanswered
from procqueue.tasks.task import Task
from tests.conformance import playing
from tests.drivers.cutting import Cutting
from tests.drivers.redis_support import DEADLINE, opened, raw
from tests.servers import Server, start_server

ROOT = Path(__file__).parent.parent
QUEUE = "emails"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = start_server(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def proxy(tmp_path: Path, server: Server) -> Iterator[Cutting]:
    with Cutting(tmp_path, server.url) as proxy:
        yield proxy
        procqueue.close()


@pytest.fixture
def driver(server: Server) -> Iterator[RedisDriver]:
    """A connection that nobody cuts."""
    with opened(server.url) as driver:
        yield driver


@pytest.fixture
def welcome() -> Iterator[Task[[int], None]]:
    def handler(user_id: int) -> None: ...

    declared = task(name="shop.welcome", queue=QUEUE)(handler)
    yield declared
    registry.forget(declared)


def always(_: int) -> bool:
    return True


def never(_: int) -> bool:
    return False


def once() -> Callable[[int], bool]:
    """Cut the next push, and no other."""
    cuts = iter([True])
    return lambda _: next(cuts, False)


def waiting(driver: RedisDriver) -> list[str]:
    return playing.ids_of(driver, State.WAITING)


def unanswered(proxy: Cutting, push: Callable[[], object]) -> Unanswered:
    """Push while every connection is cut; return the receipt of the error."""
    proxy.is_cut = always
    with pytest.raises(PushUnknown, match="it may or may not be stored") as unknown:
        push()
    proxy.is_cut = never
    receipt: Unanswered = unknown.value.receipt
    assert receipt.ids == unknown.value.ids
    return receipt


# one message


def test_d10_a_push_whose_answer_was_lost_is_repeated_and_stored_once(
    welcome: Any, proxy: Cutting, driver: RedisDriver
) -> None:
    procqueue.connect(proxy.url)
    welcome.push(0)
    proxy.is_cut = once()

    receipt = welcome.push(1)

    assert receipt.outcome == "queued"
    assert waiting(driver)[1:] == [receipt.id]


def test_d10_also_if_it_was_handled_in_between(welcome: Any, proxy: Cutting, driver: RedisDriver) -> None:
    procqueue.connect(proxy.url)
    handled: list[str] = []
    proxy.is_cut = once()
    proxy.meanwhile = lambda: handled.extend(playing.drain(driver, playing.consumer(driver)))

    receipt = welcome.push(1)

    assert handled == [receipt.id]
    assert waiting(driver) == []


def test_d10_a_repeat_tells_a_duplicate_as_the_lost_answer_did(welcome: Any, proxy: Cutting) -> None:
    procqueue.connect(proxy.url)
    welcome.using(id="order-7").push(1)
    proxy.is_cut = once()

    assert welcome.using(id="order-7").push(1).outcome == "duplicate"


def test_d10_push_unknown_is_repeated_exactly_by_its_receipt(
    welcome: Any, proxy: Cutting, driver: RedisDriver
) -> None:
    procqueue.connect(proxy.url, push_timeout="100ms")
    receipt = unanswered(proxy, lambda: welcome.using(id="order-7").push(1))
    assert receipt.ids == ("order-7",)
    handled = playing.drain(driver, playing.consumer(driver))

    told = receipt.repeat()

    assert told == procqueue.Receipt("order-7", QUEUE, "queued")
    assert receipt.repeat() == told
    assert handled == ["order-7"]
    assert waiting(driver) == []


def test_d10_a_repeat_without_answer_is_unknown_again_and_may_be_repeated(
    welcome: Any, proxy: Cutting, driver: RedisDriver
) -> None:
    procqueue.connect(proxy.url, push_timeout="100ms")
    receipt = unanswered(proxy, lambda: welcome.push(1))

    assert unanswered(proxy, receipt.repeat) is receipt

    assert asyncio.run(receipt.arepeat())
    assert waiting(driver) == list(receipt.ids)


def test_d10_what_is_pushed_after_an_unknown_push_does_not_wait_for_it(
    welcome: Any, proxy: Cutting, driver: RedisDriver
) -> None:
    procqueue.connect(proxy.url, push_timeout="100ms")
    receipt = unanswered(proxy, lambda: welcome.push(1))

    others = [welcome.push(number) for number in range(3)]

    assert all(others) and receipt.repeat()
    assert sorted(waiting(driver)) == sorted([*receipt.ids, *(other.id for other in others)])


def test_d10_another_thread_and_a_child_may_repeat_too(
    welcome: Any, proxy: Cutting, driver: RedisDriver
) -> None:
    procqueue.connect(proxy.url, push_timeout="100ms")
    receipt = unanswered(proxy, lambda: welcome.push(1))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if receipt.repeat() else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    thread = threading.Thread(target=receipt.repeat)
    thread.start()
    thread.join()

    assert status == 0
    assert receipt.repeat()
    assert waiting(driver) == list(receipt.ids)


def test_d10_a_repeat_that_comes_too_late_is_refused(
    welcome: Any, proxy: Cutting, monkeypatch: pytest.MonkeyPatch
) -> None:
    procqueue.connect(proxy.url, push_timeout="100ms")
    receipt = unanswered(proxy, lambda: welcome.push(1))
    monkeypatch.setattr("procqueue.drivers.lanes.REPEATABLE_SECONDS", -1.0)

    with pytest.raises(PushUnknown, match="too late to repeat the push exactly"):
        receipt.repeat()
    assert REPEATABLE_SECONDS == 3000


def test_d10_a_repeat_that_is_refused_leaves_it_unknown(
    welcome: Any, proxy: Cutting, server: Server, driver: RedisDriver
) -> None:
    procqueue.connect(proxy.url)
    with raw(server.url) as client:
        proxy.is_cut = once()
        proxy.meanwhile = lambda: _forget_and_fill(client)

        with pytest.raises(PushUnknown) as unknown:  # an earlier copy might still be on its way
            welcome.push(1)

        assert isinstance(unknown.value.__cause__, Full)
        client.config_set("maxmemory", 0)
    assert unknown.value.receipt.repeat()
    assert waiting(driver) == list(unknown.value.ids)


def _forget_and_fill(client: Any) -> None:
    client.flushall()
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", 1)


def test_d10_a_remembered_id_stays_taken_when_its_message_was_handled(
    welcome: Any, server: Server, driver: RedisDriver
) -> None:
    procqueue.connect(server.url)
    order = welcome.using(id="order-7", remember="1h")
    assert order.push(1)
    playing.drain(driver, playing.consumer(driver))

    assert order.push(1).outcome == "duplicate"
    assert procqueue.using(id="order-7", remember=60).push("shop.welcome", 1).outcome == "duplicate"
    procqueue.close()


# sessions


def sessions(server: Server) -> int:
    with raw(server.url) as client:
        return int(client.hlen(f"pq:{{{QUEUE}}}:sessions"))


def test_d10_one_session_serves_one_push_at_a_time(welcome: Any, server: Server) -> None:
    procqueue.connect(server.url)
    for number in range(10):
        thread = threading.Thread(target=welcome.push, args=(number,))
        thread.start()
        thread.join()
    assert sessions(server) == 1

    barrier = threading.Barrier(5)

    def work() -> None:
        barrier.wait()
        for number in range(20):
            welcome.push(number)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1 <= sessions(server) <= 5
    procqueue.close()


def test_d10_a_child_has_sessions_of_its_own(welcome: Any, server: Server, driver: RedisDriver) -> None:
    procqueue.connect(server.url)
    welcome.push(0)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if all(welcome.push(number) for number in range(5)) else 2
        finally:
            os._exit(code)
    assert all(welcome.push(number) for number in range(5))
    _, status = os.waitpid(child, 0)

    assert status == 0
    assert sessions(server) == 2
    assert driver.counts(QUEUE).waiting == 11
    procqueue.close()


def test_d10_an_exception_in_the_midst_of_a_push_ends_its_session(
    welcome: Any, server: Server, driver: RedisDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Alarm(BaseException):
        pass

    procqueue.connect(server.url)
    welcome.push(0)
    link_push = RedisDriver.push

    def answered_and_interrupted(self: RedisDriver, *args: Any, **options: Any) -> Any:
        link_push(self, *args, **options)
        raise Alarm

    with monkeypatch.context() as patched:
        patched.setattr(RedisDriver, "push", answered_and_interrupted)
        with pytest.raises(Alarm):
            welcome.push(1)
    later = welcome.push(2)

    assert waiting(driver)[-1] == later.id
    assert driver.counts(QUEUE).waiting == 3
    procqueue.close()


# many


def test_d10_push_many_over_cut_connections_stores_each_once_in_order(
    welcome: Any, proxy: Cutting, driver: RedisDriver
) -> None:
    procqueue.connect(proxy.url, push_timeout="60s")
    proxy.is_cut = lambda number: number % 3 == 0

    pushed = welcome.push_many((welcome.call(number) for number in range(200)), chunk=5)

    assert (pushed.queued, pushed.duplicates) == (200, 0)
    assert waiting(driver) == list(pushed.ids)


def test_d10_push_many_that_ends_in_a_full_store_says_how_many_are_stored(
    welcome: Any, server: Server, driver: RedisDriver
) -> None:
    procqueue.connect(server.url)
    with raw(server.url) as client:
        client.config_set("maxmemory-policy", "noeviction")

        def calls() -> Iterator[procqueue.Call]:
            for number in range(500):
                if number == 250:
                    client.config_set("maxmemory", 1)
                yield welcome.call(number)

        with pytest.raises(PushInterrupted) as interrupted:
            welcome.push_many(calls(), chunk=10)
        client.config_set("maxmemory", 0)

    assert isinstance(interrupted.value.__cause__, Full)
    assert interrupted.value.done == driver.counts(QUEUE).waiting
    assert 200 <= interrupted.value.done <= 250
    assert welcome.push(1)
    procqueue.close()


def test_d10_push_many_without_answer_can_be_repeated_and_resumed(
    welcome: Any, proxy: Cutting, driver: RedisDriver
) -> None:
    procqueue.connect(proxy.url, push_timeout="100ms")
    calls = [welcome.call(number) for number in range(100)]
    proxy.is_cut = lambda number: number > 5

    with pytest.raises(PushInterrupted) as interrupted:
        welcome.push_many(calls, chunk=5)
    proxy.is_cut = never
    cause = interrupted.value.__cause__
    assert isinstance(cause, PushUnknown)
    repeated = cause.receipt.repeat()
    assert repeated.ids == cause.ids
    done = interrupted.value.done + len(cause.ids)
    welcome.push_many(calls[done:], chunk=5)

    bodies = [one.body for one in driver.messages(QUEUE, State.WAITING, 0, 1000)]
    assert bodies == [b'{"v":1,"task":"shop.welcome","args":[%d]}' % number for number in range(100)]


# many processes


def test_d10_ten_producers_whose_connections_are_cut_store_everything_once_while_it_is_handled(
    tmp_path: Path, server: Server, driver: RedisDriver
) -> None:
    command = [sys.executable, "-m", "tests.pushing_actor"]
    producers = []
    for number in range(10):
        directory = tmp_path / str(number)
        directory.mkdir()
        arguments = [*command, str(directory), server.url, "200"]
        producers.append(subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True))
    who = playing.consumer(driver)
    handled: list[str] = []

    while any(producer.poll() is None for producer in producers):
        handled += playing.drain(driver, who)
        driver.wait([QUEUE], 0.05, [])
    handled += playing.drain(driver, who)

    said = [producer.communicate(timeout=DEADLINE)[0].split() for producer in producers]
    assert [producer.returncode for producer in producers] == [0] * 10
    assert Counter(handled) == Counter(id for ids in said for id in ids)
    assert len(handled) == 2000
