"""Law D10: of a session only the next chunk is stored, and an id that was given stays taken."""

from __future__ import annotations

from typing import Any, cast

import pytest

from procqueue.core.errors import Gap, UnknownSession
from procqueue.core.message import State
from procqueue.drivers.contract import (
    MAX_ENTRIES,
    SESSION_KEPT_MS,
    SESSION_NOTED_MS,
    Driver,
    Entry,
    Lane,
    Pushed,
    TakenIn,
)
from tests.conformance import playing
from tests.conformance.playing import DAY_MS, consumer, drain, push, push_in, states
from tests.conformance.stores import QUEUE, Store

HOUR_MS = 3_600_000
IDLE_MS = SESSION_KEPT_MS + SESSION_NOTED_MS + 1
AGAIN = Pushed.STORED_ALREADY


def remember(driver: Driver, id: str, ms: int = HOUR_MS) -> list[Pushed]:
    return driver.push(QUEUE, [Entry(id, b"body", remember_ms=ms)])


# sessions


def test_d10_the_chunks_of_a_session_are_stored_one_after_the_other(driver: Driver) -> None:
    answers = [push_in(driver, "s", number, f"m{number}") for number in (1, 2, 3)]

    assert answers == [[Pushed.QUEUED]] * 3
    assert playing.ids_of(driver, State.WAITING) == ["m1", "m2", "m3"]


def test_d10_a_repeated_chunk_is_stored_already(store: Store) -> None:
    driver = store.open()
    push_in(driver, "s", 1, "a", "b")
    push_in(driver, "s", 2, "c")

    again = [push_in(store.open(), "s", number, *ids) for number, ids in ((2, "c"), (1, "ab"), (2, "c"))]

    assert again == [[AGAIN], [AGAIN, AGAIN], [AGAIN]]
    assert states(driver) == dict.fromkeys("abc", State.WAITING)


@pytest.mark.parametrize("how", ["handled", "forgotten", "reserved", "failed"])
def test_d10_a_repeat_is_stored_already_whatever_became_of_its_messages(driver: Driver, how: str) -> None:
    push_in(driver, "s", 1, "a")
    match how:
        case "handled":
            drain(driver, consumer(driver))
        case "forgotten":
            driver.forget(QUEUE, ["a"])
        case _:
            who = consumer(driver)
            held = playing.take(driver, who)
            playing.settle(driver, who, held if how == "failed" else (), playing.FAIL)
    before = states(driver)

    assert push_in(driver, "s", 1, "a") == [AGAIN]

    assert states(driver) == before
    assert push_in(driver, "s", 2, "b") == [Pushed.QUEUED]


def test_d10_a_chunk_beyond_the_next_is_a_gap_and_stores_nothing(driver: Driver) -> None:
    push_in(driver, "s", 1, "a")
    push_in(driver, "s", 2, "b")

    for number in (4, 5, 1_000_000):
        with pytest.raises(Gap) as gap:
            push_in(driver, "s", number, "x")
        assert gap.value.last == 2

    assert set(states(driver)) == {"a", "b"}
    assert push_in(driver, "s", 3, "c") == [Pushed.QUEUED]


def test_d10_a_session_that_is_not_known_begins_with_1(driver: Driver) -> None:
    for number in (2, 3, 1000):
        with pytest.raises(UnknownSession):
            push_in(driver, "s", number, "x")

    assert states(driver) == {}
    assert push_in(driver, "s", 1, "a") == [Pushed.QUEUED]


def test_d10_a_refused_chunk_keeps_its_number(driver: Driver) -> None:
    push_in(driver, "s", 1, "a")

    with pytest.raises(Exception):  # noqa: B017  # which one is the driver's affair
        driver.push(QUEUE, [Entry("b", b""), Entry("bad", cast(Any, {"no": "bytes"}))], Lane("s", 2))
    with pytest.raises(ValueError):
        push_in(driver, "s", 2, *map(str, range(MAX_ENTRIES + 1)))

    assert push_in(driver, "s", 2, "c") == [Pushed.QUEUED]
    assert set(states(driver)) == {"a", "c"}


def test_d10_a_repeat_names_the_duplicates_of_the_last_chunk_again(driver: Driver) -> None:
    push(driver, "b", "d")

    first = push_in(driver, "s", 1, "a", "b", "c", "d")
    again = push_in(driver, "s", 1, "a", "b", "c", "d")
    alone = [push_in(driver, "s", 2, "b") for _ in range(2)]

    assert first == [Pushed.QUEUED, Pushed.DUPLICATE, Pushed.QUEUED, Pushed.DUPLICATE]
    assert again == [AGAIN, Pushed.DUPLICATE, AGAIN, Pushed.DUPLICATE]
    assert alone == [[Pushed.DUPLICATE]] * 2  # a chunk of duplicates uses its number up, too


def test_d10_sessions_and_queues_know_nothing_of_each_other(driver: Driver) -> None:
    push_in(driver, "s", 1, "a")
    push_in(driver, "t", 1, "b")
    driver.push("other", [Entry("c", b"")], Lane("s", 1))

    assert push_in(driver, "s", 2, "d") == [Pushed.QUEUED]
    with pytest.raises(Gap):
        driver.push("other", [Entry("x", b"")], Lane("s", 3))
    assert set(states(driver)) == {"a", "b", "d"}


def test_d10_only_idle_sessions_are_swept(store: Store) -> None:
    driver = store.open()
    push_in(driver, "idle", 1, "a")
    push_in(driver, "busy", 1, "b")
    store.age(IDLE_MS - 1000)
    push_in(driver, "busy", 2, "c")
    driver.promote(QUEUE)
    assert push_in(driver, "idle", 1, "a") == [AGAIN]

    store.age(2000)
    driver.promote(QUEUE)

    assert push_in(driver, "busy", 2, "c") == [AGAIN]
    with pytest.raises(UnknownSession):
        push_in(driver, "idle", 2, "x")
    assert set(states(driver)) == {"a", "b", "c"}


def test_d10_a_session_in_use_is_kept_however_old_it_is(store: Store) -> None:
    driver = store.open()
    for number in range(1, 20):
        push_in(driver, "s", number, f"m{number}")
        store.age(SESSION_NOTED_MS // 3)
        driver.promote(QUEUE)

    assert push_in(driver, "s", 19, "m19") == [AGAIN]


def test_d10_sweeping_is_bounded_and_comes_to_an_end(store: Store) -> None:
    driver = store.open()
    sessions = [f"s{number}" for number in range(MAX_ENTRIES + 10)]
    for session in sessions:
        push_in(driver, session, 1, session)
    store.age(IDLE_MS)

    def known() -> int:
        found = 0
        for session in sessions:
            try:
                push_in(driver, session, 3, "x")
            except Gap:
                found += 1
            except UnknownSession:
                pass
        return found

    driver.promote(QUEUE)
    assert known() == 10
    driver.promote(QUEUE)
    assert known() == 0


def test_d10_new_sessions_sweep_old_ones_quicker_than_they_come(store: Store) -> None:
    driver = store.open()
    for session in "abcd":
        push_in(driver, session, 1, session)
    store.age(IDLE_MS)

    push_in(driver, "new", 1, "m")

    unknown = 0
    for session in "abcd":
        try:
            push_in(driver, session, 3, "x")
        except UnknownSession:
            unknown += 1
        except Gap:
            pass
    assert unknown == 2


# remembered ids


@pytest.mark.parametrize("how", ["handled", "forgotten", "cleared"])
def test_d10_a_remembered_id_stays_taken_when_its_message_is_gone(store: Store, how: str) -> None:
    driver = store.open()
    remember(driver, "a")
    match how:
        case "handled":
            drain(driver, consumer(driver))
        case "forgotten":
            driver.forget(QUEUE, ["a"])
        case _:
            driver.clear(QUEUE, State.WAITING)

    assert push(driver, "a") == remember(driver, "a") == [Pushed.DUPLICATE]
    store.age(HOUR_MS - 5000)
    driver.promote(QUEUE)
    assert push(driver, "a") == [Pushed.DUPLICATE]
    assert states(driver) == {}

    store.age(10_000)
    assert push(driver, "a") == [Pushed.QUEUED]


def test_d10_the_time_of_a_remembered_id_begins_when_its_message_goes(store: Store) -> None:
    driver = store.open()
    remember(driver, "a", 1)
    driver.push(QUEUE, [Entry("later", b"", DAY_MS, remember_ms=HOUR_MS)])
    store.age(DAY_MS)
    driver.promote(QUEUE)
    assert push(driver, "a", "later") == [Pushed.DUPLICATE] * 2

    driver.forget(QUEUE, ["later"])

    assert push(driver, "later") == [Pushed.DUPLICATE]


def test_d10_a_remembered_message_may_fail_and_be_retried_first(store: Store) -> None:
    driver = store.open()
    remember(driver, "a")
    who = consumer(driver)
    playing.settle(driver, who, playing.take(driver, who), playing.FAIL)
    driver.retry(QUEUE, State.FAILED, ["a"])

    assert drain(driver, who) == ["a"]

    assert push(driver, "a") == [Pushed.DUPLICATE]


def test_d10_an_id_is_remembered_for_as_long_as_its_last_message_said(store: Store) -> None:
    driver = store.open()
    remember(driver, "a")
    driver.forget(QUEUE, ["a"])
    store.age(HOUR_MS + 1)

    push(driver, "a")
    driver.forget(QUEUE, ["a"])

    assert remember(driver, "a") == [Pushed.QUEUED]
    driver.forget(QUEUE, ["a"])
    assert push(driver, "a") == [Pushed.DUPLICATE]


def test_d10_a_duplicate_changes_nothing_of_what_is_remembered(driver: Driver) -> None:
    push(driver, "a")

    assert remember(driver, "a") == [Pushed.DUPLICATE]
    driver.forget(QUEUE, ["a"])

    assert push(driver, "a") == [Pushed.QUEUED]


def test_d10_other_ids_and_queues_are_free(driver: Driver) -> None:
    remember(driver, "a")
    driver.forget(QUEUE, ["a"])

    assert push(driver, "b") == [Pushed.QUEUED]
    assert driver.push("other", [Entry("a", b"")]) == [Pushed.QUEUED]


@pytest.mark.parametrize("unreadable", ["", "no JSON"])
def test_d10_a_remembered_id_is_a_duplicate_in_the_inbox_too(
    store: Store, driver: Driver, unreadable: str
) -> None:
    remember(driver, "a")
    driver.forget(QUEUE, ["a"])
    store.drop(b"a document")

    answers = driver.take_inbox(QUEUE, lambda raw: TakenIn(raw, Entry("a", raw), unreadable))

    assert [pushed for _, pushed in answers] == [Pushed.DUPLICATE]
    assert states(driver) == {}
