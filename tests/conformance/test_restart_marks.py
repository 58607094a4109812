"""The mark that makes all hosts restart a queue: it is the driver's moment, grows, and is one queue's own."""

from __future__ import annotations

from procqueue.drivers.contract import Driver
from tests.conformance.playing import consumer as new_consumer
from tests.conformance.playing import drain, push
from tests.conformance.stores import QUEUE, Store


def test_a_queue_that_nobody_marked_has_no_mark(driver: Driver) -> None:
    assert driver.restart_mark(QUEUE) is None


def test_each_asking_is_a_new_mark_and_grows(driver: Driver) -> None:
    marks = [driver.mark_restart(QUEUE) for _ in range(5)]

    assert sorted({one.at_ms for one in marks}) == [one.at_ms for one in marks]
    seen = driver.restart_mark(QUEUE)
    assert seen is not None and seen.at_ms == marks[-1].at_ms and seen.age_ms >= 0


def test_everybody_sees_it_and_it_is_one_queues_own(store: Store) -> None:
    mark = store.open().mark_restart(QUEUE)

    other = store.open()

    seen = other.restart_mark(QUEUE)
    assert seen is not None and seen.at_ms == mark.at_ms
    assert other.restart_mark("another") is None


def test_its_age_is_told_by_the_clock_of_the_driver(driver: Driver) -> None:
    mark = driver.mark_restart(QUEUE)

    ages = [seen.age_ms for _ in range(3) if (seen := driver.restart_mark(QUEUE))]

    assert ages == sorted(ages) and ages[0] >= mark.age_ms == 0


def test_it_moves_no_message(driver: Driver) -> None:
    push(driver, "a", "b")

    driver.mark_restart(QUEUE)

    assert drain(driver, new_consumer(driver)) == ["a", "b"]
