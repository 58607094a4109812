"""Waiting without polling: the wake-up of a real process, its chain, and what ends a wait without one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from procqueue.core.message import State
from procqueue.core.verdict import UNTOUCHED, Settlement
from procqueue.drivers.contract import Driver, Entry, TakenIn
from tests.conformance import playing
from tests.conformance.playing import DEADLINE, bring_to, consumer, push, settle, take
from tests.conformance.stores import QUEUE, Store

ROOT = Path(__file__).parents[2]
Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def sleeper(store: Store) -> Iterator[Start]:
    """Start a process that waits for a wake-up, is ready when this returns, and says what it then took."""
    with ExitStack() as ending:

        def start() -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.conformance.actor", "wake", store.address],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
            ending.enter_context(process)
            ending.callback(process.kill)
            assert _line(process) == "ready"
            return process

        yield start


def test_a_waiting_process_is_woken_by_a_push(store: Store, sleeper: Start) -> None:
    process = sleeper()
    before = time.monotonic()

    push(store.open(), "m")

    assert _line(process) == "m"
    assert time.monotonic() - before < DEADLINE / 2


def test_a_waiting_process_is_woken_by_what_comes_back(store: Store, sleeper: Start) -> None:
    driver = store.open()
    push(driver, "m")
    who = consumer(driver)
    take(driver, who)
    process = sleeper()

    driver.reclaim(QUEUE, who, ())

    assert _line(process) == "m"


def test_a_waiting_process_is_woken_by_what_became_due(store: Store, sleeper: Start) -> None:
    driver = store.open()
    push(driver, "m", delay_ms=50)
    process = sleeper()

    playing.wait_due(driver)

    assert _line(process) == "m"


def _release(driver: Driver) -> None:
    who = consumer(driver)
    settle(driver, who, take(driver, who), UNTOUCHED)


def _leave(driver: Driver) -> None:
    who = consumer(driver)
    take(driver, who)
    driver.leave(QUEUE, who)


def _compare(driver: Driver) -> None:
    who = consumer(driver)
    take(driver, who)
    driver.compare(QUEUE, who, ())


def _retry(driver: Driver) -> None:
    who = consumer(driver)
    settle(driver, who, take(driver, who), playing.FAIL)
    driver.retry(QUEUE, State.FAILED, ["m"])


@pytest.mark.parametrize("act", [_release, _leave, _compare, _retry], ids=lambda act: act.__name__[1:])
def test_every_verb_that_makes_a_message_waiting_wakes(store: Store, act: Callable[[Driver], None]) -> None:
    actor, waiter = store.open(), store.open()
    consumer(waiter, "waiter")
    push(actor, "m")
    assert waiter.wait([QUEUE], DEADLINE, [])

    act(actor)

    assert waiter.wait([QUEUE], DEADLINE, [])


def test_the_inbox_wakes(store: Store) -> None:
    scheduler, waiter = store.open(), store.open()
    consumer(waiter, "waiter")
    store.drop(b"x")

    scheduler.take_inbox(QUEUE, lambda raw: TakenIn(raw, Entry("m", raw)))

    assert waiter.wait([QUEUE], DEADLINE, [])


def test_a_notice_wakes(store: Store) -> None:
    scheduler, waiter = store.open(), store.open()
    consumer(waiter, "waiter")
    (held,) = bring_to(scheduler, State.RESERVED, "m")
    assert waiter.wait([QUEUE], DEADLINE, [])
    assert not waiter.wait([QUEUE], 0.05, [])

    settlement = Settlement("m", held.ticket, playing.FAIL, owes=playing.header("m"))
    scheduler.reclaim(QUEUE, "leads", [settlement])

    assert waiter.wait([QUEUE], DEADLINE, [])


def test_a_push_before_the_wait_is_not_missed(store: Store) -> None:
    producer, waiter = store.open(), store.open()
    consumer(waiter)
    push(producer, "m")

    assert waiter.wait([QUEUE], DEADLINE, [])


def test_who_leaves_messages_behind_wakes_the_next(store: Store) -> None:
    producer, first, second = store.open(), store.open(), store.open()
    one = consumer(first, "one")
    consumer(second, "two")
    push(producer, "a", "b")
    assert first.wait([QUEUE], DEADLINE, [])

    take(first, one, 1)

    assert second.wait([QUEUE], DEADLINE, [])


def test_promote_wakes_again_if_a_wake_up_was_lost(store: Store) -> None:
    producer, waiter = store.open(), store.open()
    consumer(waiter)
    push(producer, "m")
    assert waiter.wait([QUEUE], DEADLINE, [])  # and dies with it

    producer.promote(QUEUE)

    assert waiter.wait([QUEUE], DEADLINE, [])


def test_a_consumer_waits_on_all_its_queues(store: Store) -> None:
    producer, waiter = store.open(), store.open()
    for queue in ("one", "two"):
        waiter.register(queue, "c", playing.HOST)

    producer.push("two", [Entry("m", b"")])

    assert waiter.wait(["one", "two"], DEADLINE, [])


def test_other_queues_do_not_wake(store: Store) -> None:
    producer, waiter = store.open(), store.open()
    consumer(waiter)

    producer.push("another", [Entry("m", b"")])

    assert not waiter.wait([QUEUE], 0.05, [])


@pytest.mark.parametrize("ended", [False, True], ids=["readable", "end of file"])
def test_another_descriptor_ends_the_wait_without_a_wake_up(driver: Driver, ended: bool) -> None:
    consumer(driver)
    reader, writer = os.pipe()
    try:
        if not ended:
            os.write(writer, b"x")
        os.close(writer)
        before = time.monotonic()

        assert not driver.wait([QUEUE], DEADLINE, [reader])

        assert time.monotonic() - before < DEADLINE / 2
    finally:
        os.close(reader)


def test_the_time_of_a_wait_is_kept(driver: Driver) -> None:
    consumer(driver)
    before = time.monotonic()

    assert not driver.wait([QUEUE], 0.1, [])

    assert 0.09 <= time.monotonic() - before < DEADLINE / 2


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
