"""The consumers' switch: no message is handed out, notices are (D15), nobody spins, resume wakes."""

from __future__ import annotations

import time

from procqueue.core.message import State
from procqueue.core.verdict import UNTOUCHED, Settlement
from procqueue.drivers.contract import Driver
from tests.conformance import playing
from tests.conformance.playing import DEADLINE, bring_to, consumer, push, settle, states, take
from tests.conformance.stores import QUEUE, Store


def test_a_paused_queue_hands_out_no_message_and_keeps_all(driver: Driver) -> None:
    who = consumer(driver)
    push(driver, "a", "b")
    assert driver.paused(QUEUE) is None

    driver.pause(QUEUE, None)

    assert take(driver, who, 9) == ()
    push(driver, "c")
    assert take(driver, who, 9) == ()
    assert driver.resume(QUEUE) and driver.paused(QUEUE) is None
    assert playing.drain(driver, who) == ["a", "b", "c"]


def test_a_pause_is_of_one_queue(driver: Driver) -> None:
    driver.pause("another", None)
    push(driver, "a")

    assert [one.id for one in take(driver, consumer(driver))] == ["a"]
    assert driver.paused(QUEUE) is None


def test_what_is_reserved_is_settled_and_what_goes_back_waits(driver: Driver) -> None:
    who = consumer(driver)
    push(driver, "a", "b")
    done, back = take(driver, who, 2)

    driver.pause(QUEUE, None)

    assert settle(driver, who, [done]) == ()
    assert settle(driver, who, [back], UNTOUCHED) == ()
    assert take(driver, who) == ()
    assert states(driver) == {"b": State.WAITING}


def test_a_pause_keeps_its_beginning_and_changes_its_end(driver: Driver) -> None:
    first = driver.pause(QUEUE, 60_000)
    second = driver.pause(QUEUE, None)

    assert first.until_ms == first.since_ms + 60_000
    assert (second.since_ms, second.until_ms) == (first.since_ms, None)
    assert driver.paused(QUEUE) == second


def test_a_pause_for_a_time_ends_by_itself(driver: Driver) -> None:
    who = consumer(driver)
    push(driver, "a")
    driver.pause(QUEUE, 50)

    deadline = time.monotonic() + DEADLINE
    while not take(driver, who):
        assert time.monotonic() < deadline
    assert driver.paused(QUEUE) is None and not driver.resume(QUEUE)
    again = driver.pause(QUEUE, None)  # a new one, that begins now
    assert again.until_ms is None


def test_after_its_time_the_schedulers_round_wakes(store: Store) -> None:
    scheduler, waiter = store.open(), store.open()
    consumer(waiter)
    scheduler.pause(QUEUE, 50)
    push(scheduler, "a")
    while waiter.wait([QUEUE], 0.01, []):
        pass  # the push's own

    deadline = time.monotonic() + DEADLINE
    while scheduler.paused(QUEUE):
        assert time.monotonic() < deadline
    scheduler.promote(QUEUE)

    assert waiter.wait([QUEUE], DEADLINE, [])


def test_owed_notices_are_handed_out_of_a_paused_queue(store: Store) -> None:
    driver, waiter = store.open(), store.open()
    who = consumer(waiter)
    (held,) = bring_to(driver, State.RESERVED, "m")
    push(driver, "other")
    driver.pause(QUEUE, None)
    while waiter.wait([QUEUE], 0.01, []):
        pass

    driver.reclaim(QUEUE, "leads", [Settlement("m", held.ticket, playing.FAIL, owes=playing.header("m"))])

    assert waiter.wait([QUEUE], DEADLINE, [])
    (notice,) = take(waiter, who, 9)
    assert notice.is_notice
    settle(waiter, who, [notice])
    assert states(driver) == {"m": State.FAILED, "other": State.WAITING}


def test_who_wants_notices_only_gets_no_message_of_an_open_queue(store: Store) -> None:
    driver, other = store.open(), store.open()
    who = consumer(driver)
    (held,) = bring_to(driver, State.RESERVED, "m")
    push(driver, "next")
    driver.reclaim(QUEUE, "leads", [Settlement("m", held.ticket, playing.FAIL, owes=playing.header("m"))])

    taken = driver.turn(QUEUE, who, (), 9, notices_only=True).taken

    assert [one.is_notice for one in taken] == [True]
    settle(driver, who, taken)
    assert driver.turn(QUEUE, who, (), 9, notices_only=True).taken == ()
    assert [one.id for one in take(other, consumer(other, "another"))] == ["next"]


def test_nobody_is_woken_again_and_again_for_a_paused_queue(store: Store) -> None:
    driver, waiter = store.open(), store.open()
    who = consumer(waiter)
    push(driver, "a", "b")
    driver.pause(QUEUE, None)

    woken = 0
    while waiter.wait([QUEUE], 0.1, []):
        woken += 1
        assert take(waiter, who, 9) == ()
        driver.promote(QUEUE)
        assert woken < 10, "it spins"


def test_resume_wakes_at_once(store: Store) -> None:
    driver, waiter = store.open(), store.open()
    who = consumer(waiter)
    driver.pause(QUEUE, None)
    push(driver, "a")
    while waiter.wait([QUEUE], 0.01, []):
        assert take(waiter, who) == ()

    driver.resume(QUEUE)

    assert waiter.wait([QUEUE], DEADLINE, [])
    assert [one.id for one in take(waiter, who)] == ["a"]


def test_who_waits_for_no_queue_takes_no_wake_up_of_others(store: Store) -> None:
    driver, paused, other = store.open(), store.open(), store.open()
    consumer(paused, "paused")
    consumer(other, "other")
    assert not paused.wait([QUEUE], 0.01, [])  # a wait of before is still on its way

    assert not paused.wait([], 0.01, [])
    push(driver, "a")

    assert other.wait([QUEUE], DEADLINE, [])
    assert not paused.wait([], 0.01, [])
