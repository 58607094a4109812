"""Pushes and the inbox: laws D1, D2, D8 (times given), D9, D10's ground, D12."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest

from procqueue.core.message import NO_COUNTERS, State
from procqueue.drivers.contract import MAX_ENTRIES, Driver, Entry, Pushed, TakenIn
from tests.conformance import playing
from tests.conformance.playing import DAY_MS, ids_of, push, states, take
from tests.conformance.stores import QUEUE, Store

EVERY_BYTE = bytes(range(256))


def test_d1_a_chunk_with_an_entry_that_cannot_be_stored_stores_nothing(driver: Driver) -> None:
    bad = Entry("bad", cast(Any, {"no": "bytes"}))

    with pytest.raises(Exception):  # noqa: B017  # which one is the driver's affair
        driver.push(QUEUE, [Entry("one", b"1"), bad, Entry("two", b"2")])

    assert states(driver) == {}


def test_d1_a_chunk_that_is_too_large_stores_nothing(driver: Driver) -> None:
    with pytest.raises(ValueError):
        push(driver, *map(str, range(MAX_ENTRIES + 1)))

    assert states(driver) == {}


def test_d1_the_largest_chunk_is_stored_in_its_order(driver: Driver) -> None:
    ids = [f"m{number}" for number in range(MAX_ENTRIES)]

    assert push(driver, *ids) == [Pushed.QUEUED] * MAX_ENTRIES

    assert ids_of(driver, State.WAITING) == ids


def test_an_empty_chunk_is_nothing(driver: Driver) -> None:
    assert driver.push(QUEUE, []) == []


def test_no_message_can_be_taken_for_a_notice(driver: Driver) -> None:
    with pytest.raises(ValueError):
        push(driver, "fine", "!m:1")

    assert states(driver) == {}


def test_d2_a_second_message_of_the_same_id_is_refused_and_changes_nothing(driver: Driver) -> None:
    driver.push(QUEUE, [Entry("a", b"first")])

    answers = driver.push(QUEUE, [Entry("b", b"b"), Entry("a", b"second", DAY_MS), Entry("c", b"c")])

    assert answers == [Pushed.QUEUED, Pushed.DUPLICATE, Pushed.QUEUED]
    assert [(one.id, one.body) for one in driver.messages(QUEUE, State.WAITING, 0, 9)] == [
        ("a", b"first"),
        ("b", b"b"),
        ("c", b"c"),
    ]


def test_d2_an_id_twice_in_one_chunk_is_one_message(driver: Driver) -> None:
    answers = driver.push(QUEUE, [Entry("a", b"first"), Entry("a", b"second")])

    assert answers == [Pushed.QUEUED, Pushed.DUPLICATE]
    stored = driver.message(QUEUE, "a")
    assert stored is not None and stored.body == b"first"


@pytest.mark.parametrize("state", list(State))
def test_d2_an_id_is_taken_in_every_state_of_its_message(driver: Driver, state: State) -> None:
    playing.bring_to(driver, state, "a")

    assert push(driver, "a") == [Pushed.DUPLICATE]

    assert states(driver) == {"a": state}


def test_d2_an_id_is_free_again_when_its_message_is_gone(driver: Driver) -> None:
    push(driver, "a")
    playing.drain(driver, playing.consumer(driver))

    assert push(driver, "a") == [Pushed.QUEUED]


def test_d2_equal_payloads_stay_two_messages(driver: Driver) -> None:
    driver.push(QUEUE, [Entry("a", b"same"), Entry("b", b"same")])
    who = playing.consumer(driver)

    held = take(driver, who, 5)

    assert [(one.id, one.body) for one in held] == [("a", b"same"), ("b", b"same")]
    assert playing.settle(driver, who, held[:1]) == ()
    assert states(driver) == {"b": State.RESERVED}


@pytest.mark.parametrize(
    "body", [b"", EVERY_BYTE, b"\n\n", b"12345678901234567890", b"1e400", b"\xff" * 70_000]
)
def test_d2_the_bytes_of_a_body_never_change(driver: Driver, body: bytes) -> None:
    driver.push(QUEUE, [Entry("a", body), Entry("later", body, DAY_MS)])
    who = playing.consumer(driver)
    (first,) = take(driver, who, 9)
    playing.settle(driver, who, [first], playing.RELEASE)

    (again,) = take(driver, who, 9)
    playing.settle(driver, who, [again], playing.FAIL)

    bodies = [first.body, again.body]
    bodies += [one.body for id in ("a", "later") if (one := driver.message(QUEUE, id))]
    assert bodies == [body] * 4


def test_queues_know_nothing_of_each_other(driver: Driver) -> None:
    driver.push("one", [Entry("a", b"1")])
    driver.push("two", [Entry("a", b"2")])
    driver.register("one", "c", playing.HOST)

    assert [one.body for one in driver.turn("one", "c", (), 9).taken] == [b"1"]

    assert driver.counts("one").reserved == 1
    assert driver.counts("two").waiting == 1


def test_d9_times_are_the_drivers_in_milliseconds(driver: Driver) -> None:
    before = time.time() * 1000 - 1
    push(driver, "now")
    push(driver, "later", delay_ms=60_000)
    push(driver, "at", at_ms=(at := int(before) + 90_000), delay_ms=5)
    after = time.time() * 1000 + 1

    now, later, fixed = (driver.message(QUEUE, id) for id in ("now", "later", "at"))
    assert now and later and fixed
    assert before <= now.pushed_ms <= after and now.due_ms is None
    assert later.due_ms == later.pushed_ms + 60_000
    assert fixed.due_ms == at
    (taken,) = take(driver, playing.consumer(driver))
    assert taken.pushed_ms == now.pushed_ms


def test_a_time_that_has_passed_is_no_delay(driver: Driver) -> None:
    push(driver, "past", at_ms=1)

    assert states(driver) == {"past": State.WAITING}


# the inbox


def decode(raw: bytes) -> TakenIn:
    """A tiny format: "id body", or "!reason" for an unreadable document."""
    text = raw.decode()
    if text.startswith("!"):
        return TakenIn(raw, Entry("made-up", raw), unreadable=text[1:])
    id, _, body = text.partition(" ")
    return TakenIn(raw, Entry(id, body.encode()))


def test_what_foreign_producers_wrote_is_taken_in_in_its_order(store: Store, driver: Driver) -> None:
    playing.consumer(driver)
    for raw in (b"a 1", b"b 2", b"c 3"):
        store.drop(raw)
    assert driver.counts(QUEUE).inbox == 3

    answers = driver.take_inbox(QUEUE, decode)

    assert [(one.raw, pushed) for one, pushed in answers] == [
        (b"a 1", Pushed.QUEUED),
        (b"b 2", Pushed.QUEUED),
        (b"c 3", Pushed.QUEUED),
    ]
    assert driver.counts(QUEUE).inbox == 0
    assert [(one.id, one.body) for one in driver.messages(QUEUE, State.WAITING, 0, 9)] == [
        ("a", b"1"),
        ("b", b"2"),
        ("c", b"3"),
    ]
    assert driver.take_inbox(QUEUE, decode) == []


def test_the_inbox_is_taken_in_by_bounded_chunks(store: Store, driver: Driver) -> None:
    driver.counts(QUEUE)
    for number in range(MAX_ENTRIES + 1):
        store.drop(b"m%d x" % number)

    assert len(driver.take_inbox(QUEUE, decode)) == MAX_ENTRIES
    assert len(driver.take_inbox(QUEUE, decode)) == 1


def test_a_duplicate_id_in_the_inbox_is_dropped_and_named(store: Store, driver: Driver) -> None:
    driver.push(QUEUE, [Entry("a", b"first")])
    store.drop(b"a second")

    answers = driver.take_inbox(QUEUE, decode)

    assert [(one.entry.id, pushed) for one, pushed in answers] == [("a", Pushed.DUPLICATE)]
    assert driver.counts(QUEUE).inbox == 0
    stored = driver.message(QUEUE, "a")
    assert stored and stored.body == b"first" and stored.state is State.WAITING


def test_d12_an_unreadable_document_goes_to_failed_with_its_bytes_and_the_reason(
    store: Store, driver: Driver
) -> None:
    driver.counts(QUEUE)
    store.drop(b"!no JSON at 17")
    store.drop(b"good 1")

    answers = driver.take_inbox(QUEUE, decode)

    assert [pushed for _, pushed in answers] == [Pushed.QUEUED, Pushed.QUEUED]
    assert states(driver) == {"made-up": State.FAILED, "good": State.WAITING}
    stored = driver.message(QUEUE, "made-up")
    assert stored and stored.body == b"!no JSON at 17" and stored.counters == NO_COUNTERS
    assert len(stored.history) == 1 and b"no JSON at 17" in stored.history[0]


def test_two_schedulers_take_a_document_in_once(store: Store) -> None:
    one, other = store.open(), store.open()
    store.drop(b"a 1")

    def decode_slowly(raw: bytes) -> TakenIn:
        assert len(other.take_inbox(QUEUE, decode)) == 1  # while we decode
        return decode(raw)

    assert one.take_inbox(QUEUE, decode_slowly) == []
    assert states(one) == {"a": State.WAITING}
