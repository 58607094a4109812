"""First in, first out, and what comes back where: law D8."""

from __future__ import annotations

import time

from procqueue.core.message import State
from procqueue.core.verdict import UNTOUCHED
from procqueue.drivers.contract import MAX_ENTRIES, Driver, Entry
from tests.conformance import playing
from tests.conformance.playing import DAY_MS, consumer, drain, ids_of, push, settle, take, wait_due
from tests.conformance.stores import QUEUE, Store


def test_d8_first_in_first_out_over_producers_and_consumers(store: Store) -> None:
    first, second = store.open(), store.open()
    push(first, "a", "b")
    push(second, "c")
    push(first, "d")
    one, two = consumer(first, "one"), consumer(second, "two")

    came = [take(first, one)[0].id, take(second, two)[0].id, *(x.id for x in take(first, one, 9))]

    assert came == ["a", "b", "c", "d"]


def test_d8_what_was_not_begun_goes_back_to_the_head_in_its_order(driver: Driver) -> None:
    push(driver, "a", "b", "c", "d")
    who = consumer(driver)
    held = take(driver, who, 3)

    settle(driver, who, held, UNTOUCHED)

    assert ids_of(driver, State.WAITING) == ["a", "b", "c", "d"]
    assert drain(driver, who) == ["a", "b", "c", "d"]


def test_d8_a_reclaim_gives_back_to_the_head_in_the_order_of_reservation(driver: Driver) -> None:
    push(driver, *"abcdef")
    dead, alive = consumer(driver, "dead"), consumer(driver, "alive")
    take(driver, dead, 3)
    take(driver, alive)

    driver.reclaim(QUEUE, dead, ())

    assert ids_of(driver, State.WAITING) == ["a", "b", "c", "e", "f"]


def test_d8_what_comes_back_stands_before_what_was_pushed_meanwhile(driver: Driver) -> None:
    push(driver, "a")
    who = consumer(driver)
    held = take(driver, who)
    push(driver, "b")

    settle(driver, who, held, UNTOUCHED)

    assert drain(driver, who) == ["a", "b"]


def test_d8_what_is_released_goes_to_the_tail_in_the_order_of_settlement(driver: Driver) -> None:
    push(driver, "a", "b", "c")
    who = consumer(driver)
    a, b = take(driver, who, 2)

    settle(driver, who, [b, a], playing.RELEASE)

    assert drain(driver, who) == ["c", "b", "a"]


def test_a_released_message_can_come_back_in_the_same_turn(driver: Driver) -> None:
    push(driver, "a")
    who = consumer(driver)
    held = take(driver, who)

    turn = driver.turn(QUEUE, who, playing.verdicts(held, playing.RELEASE), 1)

    assert [one.id for one in turn.taken] == ["a"]
    assert turn.taken[0].ticket > held[0].ticket


def test_d8_due_messages_come_in_the_order_of_due_time_then_of_push(driver: Driver) -> None:
    soon = int(time.time() * 1000) + 60
    for id, at_ms in (("z", soon), ("d", soon + 20), ("b", soon), ("c", soon + 10), ("a", soon)):
        push(driver, id, at_ms=at_ms)
    push(driver, "never", delay_ms=DAY_MS)
    push(driver, "waits")
    assert ids_of(driver, State.DELAYED) == ["z", "b", "a", "c", "d", "never"]

    wait_due(driver)

    assert ids_of(driver, State.WAITING) == ["waits", "z", "b", "a", "c", "d"]
    assert ids_of(driver, State.DELAYED) == ["never"]


def test_d8_a_due_message_stands_behind_what_waited_already(driver: Driver) -> None:
    push(driver, "due", delay_ms=20)
    push(driver, "waits")

    wait_due(driver)

    assert drain(driver, consumer(driver)) == ["waits", "due"]


def test_promote_tells_when_the_next_is_due(driver: Driver) -> None:
    assert driver.promote(QUEUE).next_in_ms is None
    push(driver, "m", delay_ms=DAY_MS)

    promoted = driver.promote(QUEUE)

    assert promoted.moved == 0
    assert promoted.next_in_ms is not None and DAY_MS - 60_000 < promoted.next_in_ms <= DAY_MS


def test_promote_moves_bounded_chunks(driver: Driver) -> None:
    soon = int(time.time() * 1000) + 300
    count = MAX_ENTRIES + 5
    for start in range(0, count, MAX_ENTRIES):
        ids = [f"m{number}" for number in range(start, min(count, start + MAX_ENTRIES))]
        driver.push(QUEUE, [Entry(id, b"", at_ms=soon) for id in ids])
    deadline = time.monotonic() + playing.DEADLINE

    while not (first := driver.promote(QUEUE)).moved:
        assert time.monotonic() < deadline
    second = driver.promote(QUEUE)

    assert [(first.moved, first.next_in_ms), (second.moved, second.next_in_ms)] == [
        (MAX_ENTRIES, 0),
        (5, None),
    ]
    assert ids_of(driver, State.WAITING) == [f"m{number}" for number in range(count)]


def test_d8_what_is_retried_by_hand_goes_to_the_tail(driver: Driver) -> None:
    playing.bring_to(driver, State.FAILED, "a", "b")
    push(driver, "c")

    assert driver.retry(QUEUE, State.FAILED, ["b", "a"]) == ["b", "a"]

    assert drain(driver, consumer(driver)) == ["c", "b", "a"]
