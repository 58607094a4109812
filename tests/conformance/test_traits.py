"""What a push may ask for: a unique key, a priority, a time to begin in. The lock is the message itself."""

from __future__ import annotations

import time

import pytest

from procqueue.core.message import NO_COUNTERS, State
from procqueue.core.record import dropped_for
from procqueue.core.traits import Traits
from procqueue.core.verdict import UNTOUCHED
from procqueue.drivers.contract import Answer, Driver, Entry, Lane, Locked, Pushed, TakenIn
from tests.conformance import playing
from tests.conformance.playing import DAY_MS, DEADLINE, consumer, drain, ids_of, push, settle, states, take
from tests.conformance.stores import QUEUE, Store

KEY = Traits(unique="k")
BEGUN = Traits(unique="k", until_begun=True)
DAY = Traits(unique="k", until_ms=DAY_MS)
REPLACE = Traits(unique="k", replace=True)
HIGH, LOW = Traits(priority=5), Traits(priority=-5)
ENDS = [playing.FAIL, playing.PARK]


def put(driver: Driver, id: str, traits: Traits, delay_ms: int = 0) -> Answer:
    (answer,) = driver.push(QUEUE, [Entry(id, playing.body_of(id), delay_ms, traits=traits)])
    return answer


def expired(driver: Driver, id: str) -> None:
    """Push a message that has expired when this returns."""
    put(driver, id, Traits(expires_ms=1))
    (stored,) = [one for one in driver.messages(QUEUE, State.WAITING, 0, 999) if one.id == id]
    while time.time() * 1000 < stored.pushed_ms + 2:
        pass


# unique


@pytest.mark.parametrize("traits", [KEY, BEGUN, DAY])
@pytest.mark.parametrize("delay_ms", [0, DAY_MS])
def test_a_key_is_taken_while_its_message_is_waiting_or_delayed(
    driver: Driver, traits: Traits, delay_ms: int
) -> None:
    assert put(driver, "a", traits, delay_ms) is Pushed.QUEUED

    assert put(driver, "b", KEY) == Locked("a")
    assert put(driver, "c", Traits(unique="another")) is Pushed.QUEUED
    assert driver.push("images", [Entry("d", b"", traits=KEY)]) == [Pushed.QUEUED]
    assert set(states(driver)) == {"a", "c"}


@pytest.mark.parametrize(("traits", "free"), [(KEY, False), (BEGUN, True), (DAY, False)])
def test_a_key_is_free_when_its_message_is_handed_out_only_if_that_was_asked_for(
    driver: Driver, traits: Traits, free: bool
) -> None:
    put(driver, "a", traits)
    take(driver, consumer(driver))

    assert (put(driver, "b", KEY) is Pushed.QUEUED) == free


@pytest.mark.parametrize("verdict", [playing.ACK, *ENDS])
@pytest.mark.parametrize(("traits", "free"), [(KEY, True), (BEGUN, True), (DAY, False)])
def test_a_key_is_free_when_its_message_is_done_failed_or_parked(
    driver: Driver, traits: Traits, free: bool, verdict: playing.Verdict
) -> None:
    put(driver, "a", traits)
    who = consumer(driver)
    settle(driver, who, take(driver, who), verdict)

    assert put(driver, "b", KEY) == (Pushed.QUEUED if free else Locked("a"))


def test_a_key_stays_taken_over_a_release_and_a_return(driver: Driver) -> None:
    put(driver, "a", KEY)
    who = consumer(driver)
    for verdict in (playing.RELEASE, UNTOUCHED, playing.RELEASE_LATER):
        settle(driver, who, take(driver, who), verdict)
        assert put(driver, "b", KEY) == Locked("a")


def test_a_key_is_free_when_its_message_is_forgotten_or_cleared(driver: Driver) -> None:
    put(driver, "a", KEY)
    driver.forget(QUEUE, ["a"])
    assert put(driver, "b", KEY) is Pushed.QUEUED
    driver.clear(QUEUE, State.WAITING)
    assert put(driver, "c", KEY) is Pushed.QUEUED


def test_a_key_that_is_taken_for_a_time_is_free_after_it(store: Store) -> None:
    driver = store.open()
    put(driver, "a", DAY)
    drain(driver, consumer(driver))
    store.age(2 * DAY_MS)

    assert put(driver, "b", KEY) is Pushed.QUEUED
    driver.promote(QUEUE)  # which forgets what is over, and nothing else
    assert put(driver, "c", KEY) == Locked("b")
    drain(driver, "emails:0")
    assert put(driver, "d", DAY) is Pushed.QUEUED


def test_a_key_that_is_over_is_forgotten(store: Store) -> None:
    driver = store.open()
    put(driver, "a", DAY)
    drain(driver, consumer(driver))
    store.age(2 * DAY_MS)

    driver.promote(QUEUE)

    assert put(driver, "b", DAY) is Pushed.QUEUED
    assert put(driver, "c", DAY) == Locked("b")


def test_a_failed_message_takes_its_key_again_if_it_is_free(driver: Driver) -> None:
    who = consumer(driver)
    for id in ("a", "b"):
        put(driver, id, KEY)
        settle(driver, who, take(driver, who), playing.FAIL)

    assert driver.retry(QUEUE, State.FAILED, ["b", "a"]) == ["b", "a"]

    assert put(driver, "c", KEY) == Locked("b")
    assert drain(driver, who) == ["b", "a"]
    assert put(driver, "c", KEY) is Pushed.QUEUED


def test_the_end_of_one_that_runs_without_its_key_leaves_that_to_its_holder(driver: Driver) -> None:
    who = consumer(driver)
    put(driver, "a", KEY)
    settle(driver, who, take(driver, who), playing.FAIL)
    put(driver, "b", KEY)
    driver.retry(QUEUE, State.FAILED, ["a"])

    driver.forget(QUEUE, ["a"])

    assert put(driver, "c", KEY) == Locked("b")


@pytest.mark.parametrize("old", [KEY, BEGUN, DAY, Traits(unique="k", priority=3)])
@pytest.mark.parametrize("delay_ms", [0, DAY_MS])
def test_what_waits_gives_way_to_one_that_replaces_it(driver: Driver, old: Traits, delay_ms: int) -> None:
    put(driver, "a", old, delay_ms)
    push(driver, "x")

    assert put(driver, "b", REPLACE) is Pushed.QUEUED

    assert put(driver, "c", KEY) == Locked("b")
    assert drain(driver, consumer(driver)) == ["x", "b"]
    assert states(driver) == {}
    assert push(driver, "a") == [Pushed.QUEUED]


def test_what_runs_does_not_give_way(driver: Driver) -> None:
    put(driver, "a", KEY)
    take(driver, consumer(driver))

    assert put(driver, "b", REPLACE) == Locked("a")


def test_what_is_done_does_not_give_way_while_its_key_is_taken(driver: Driver) -> None:
    put(driver, "a", DAY)
    drain(driver, consumer(driver))

    assert put(driver, "b", REPLACE) == Locked("a")


def test_an_id_that_exists_replaces_nothing(driver: Driver) -> None:
    put(driver, "a", KEY)
    push(driver, "b")

    assert put(driver, "b", REPLACE) is Pushed.DUPLICATE
    assert ids_of(driver, State.WAITING) == ["a", "b"]


def test_keys_hold_within_one_chunk(driver: Driver) -> None:
    entries = [
        Entry("a", b"a", traits=KEY),
        Entry("b", b"b"),
        Entry("c", b"c", traits=KEY),
        Entry("d", b"d", traits=REPLACE),
        Entry("e", b"e", DAY_MS, traits=Traits(unique="k", replace=True, until_ms=DAY_MS, priority=1)),
        Entry("f", b"f", traits=Traits(unique="k", replace=True, priority=2)),
        Entry("g", b"g"),
    ]

    answers = driver.push(QUEUE, entries)

    queued = Pushed.QUEUED
    assert answers == [queued, queued, Locked("a"), queued, queued, queued, queued]
    assert put(driver, "h", KEY) == Locked("f")
    assert states(driver) == dict.fromkeys("bfg", State.WAITING)
    assert drain(driver, consumer(driver)) == ["f", "b", "g"]


def test_d10_a_repeated_chunk_is_told_again_who_has_the_key(driver: Driver) -> None:
    put(driver, "a", KEY)
    push(driver, "c")
    entries = [Entry("b", b"", traits=KEY), Entry("c", b""), Entry("d", b"")]
    assert driver.push(QUEUE, entries, Lane("s", 1)) == [Locked("a"), Pushed.DUPLICATE, Pushed.QUEUED]
    drain(driver, consumer(driver))

    assert driver.push(QUEUE, entries, Lane("s", 1)) == [
        Locked("a"),
        Pushed.DUPLICATE,
        Pushed.STORED_ALREADY,
    ]


def test_a_document_whose_key_is_taken_is_dropped(store: Store) -> None:
    driver = store.open()
    put(driver, "a", KEY)
    store.drop(b"doc")

    answers = driver.take_inbox(QUEUE, lambda raw: TakenIn(raw, Entry("b", raw, traits=KEY)))

    assert [answer for _, answer in answers] == [Locked("a")]
    assert driver.counts(QUEUE).inbox == 0 and states(driver) == {"a": State.WAITING}


@pytest.mark.parametrize("key", ["two words", "7 8 9", "ключ", "%s^$(%d+)", "a:b", "-", "x" * 250])
def test_any_key_is_only_a_key(driver: Driver, key: str) -> None:
    put(driver, "a", Traits(unique=key, priority=-2))
    who = consumer(driver)

    assert put(driver, "b", Traits(unique=key)) == Locked("a")
    settle(driver, who, take(driver, who), playing.RELEASE)
    assert put(driver, "b", Traits(unique=key)) == Locked("a")
    assert drain(driver, who) == ["a"]
    assert put(driver, "b", Traits(unique=key)) is Pushed.QUEUED


# priority


def test_the_higher_priority_goes_first_and_pushes_of_one_priority_in_their_order(driver: Driver) -> None:
    for id, priority in (("a", 0), ("b", -1), ("c", 9), ("d", 1), ("e", -9), ("f", 9), ("g", 0), ("h", -1)):
        put(driver, id, Traits(priority=priority))
    order = list("cfdagbhe")

    assert ids_of(driver, State.WAITING) == order
    assert states(driver) == dict.fromkeys("abcdefgh", State.WAITING)
    assert [one.id for start in range(8) for one in driver.messages(QUEUE, State.WAITING, start, 1)] == order
    assert [one.id for one in driver.messages(QUEUE, State.WAITING, 1, 5)] == order[1:6]
    assert drain(driver, consumer(driver)) == order


def test_a_few_at_a_time_come_in_the_same_order(driver: Driver) -> None:
    for number in range(60):
        put(driver, f"m{number}", Traits(priority=number % 5 - 2))
    order = ids_of(driver, State.WAITING)
    who, came = consumer(driver), []

    while held := take(driver, who, 7):
        came += [one.id for one in held]
        settle(driver, who, held)

    assert came == order
    assert came == sorted(came, key=lambda id: (-(int(id[1:]) % 5), int(id[1:])))


@pytest.mark.parametrize("traits", [HIGH, LOW])
def test_a_priority_is_kept_over_returns_releases_retries_and_dues(driver: Driver, traits: Traits) -> None:
    put(driver, "a", traits)
    put(driver, "b", traits)
    who = consumer(driver)

    settle(driver, who, take(driver, who), UNTOUCHED)
    push(driver, "x")
    assert [id for id in ids_of(driver, State.WAITING) if id != "x"] == ["a", "b"]
    driver.forget(QUEUE, ["x"])
    settle(driver, who, take(driver, who), playing.RELEASE)
    push(driver, "x")
    assert [id for id in ids_of(driver, State.WAITING) if id != "x"] == ["b", "a"]
    driver.forget(QUEUE, ["x"])
    settle(driver, who, take(driver, who), playing.FAIL)
    driver.retry(QUEUE, State.FAILED, ["b"])
    put(driver, "c", traits, 1)
    playing.wait_due(driver)
    push(driver, "x")

    expected = ["a", "b", "c", "x"] if traits is HIGH else ["x", "a", "b", "c"]
    assert ids_of(driver, State.WAITING) == expected
    assert drain(driver, who) == expected


def test_who_waits_is_woken_for_any_priority(store: Store) -> None:
    driver, waiter = store.open(), store.open()
    who = consumer(waiter)
    for id, traits in (("a", HIGH), ("b", LOW)):
        while waiter.wait([QUEUE], 0.01, []):
            pass
        put(driver, id, traits)

        assert waiter.wait([QUEUE], DEADLINE, [])
        assert drain(waiter, who) == [id]


def test_the_age_of_the_oldest_is_that_of_the_head(driver: Driver) -> None:
    put(driver, "low", LOW)
    while (driver.oldest_ms(QUEUE) or 0) < 3:
        pass
    push(driver, "plain")
    young = driver.oldest_ms(QUEUE)
    assert young is not None
    while (driver.oldest_ms(QUEUE) or 0) < 60:
        pass
    put(driver, "high", HIGH)

    younger = driver.oldest_ms(QUEUE)
    assert younger is not None and younger < 60


def test_clear_forget_and_message_find_those_of_a_priority(driver: Driver) -> None:
    for id, traits in (("a", HIGH), ("b", LOW), ("c", HIGH), ("d", LOW)):
        put(driver, id, traits)
    push(driver, "e")

    found = driver.message(QUEUE, "a")
    assert found is not None and (found.state, found.due_ms) == (State.WAITING, None)
    assert driver.forget(QUEUE, ["a", "d"]) == {"a": State.WAITING, "d": State.WAITING}
    assert set(states(driver)) == {"b", "c", "e"}
    assert sum(driver.clear(QUEUE, State.WAITING) for _ in range(3)) == 3
    assert states(driver) == {} and driver.clear(QUEUE, State.WAITING) == 0


# expires


def test_what_did_not_begin_in_time_is_gone_counted_and_told_of(driver: Driver) -> None:
    expired(driver, "a")
    push(driver, "b")
    who = consumer(driver)

    assert [one.id for one in take(driver, who, 9)] == ["b"]

    assert states(driver) == {"b": State.RESERVED}
    assert (driver.counts(QUEUE).expired, driver.counts(QUEUE).notices) == (1, 1)
    (notice,) = take(driver, who, 9)
    assert notice.is_notice and notice.id.startswith("!a:")
    assert dropped_for(notice.body) == "expired" and notice.body.endswith(b"\n" + playing.body_of("a"))
    settle(driver, who, [notice])
    assert driver.counts(QUEUE).notices == 0 and driver.counts(QUEUE).expired == 1
    assert push(driver, "a") == [Pushed.QUEUED]


def test_more_than_a_consumer_takes_at_once_expire_in_its_way(driver: Driver) -> None:
    for number in range(30):
        expired(driver, f"old{number}")
    push(driver, "fresh")

    assert [one.id for one in take(driver, consumer(driver), 16)] == ["fresh"]

    assert driver.counts(QUEUE).expired == 30


def test_what_has_begun_once_does_not_expire(driver: Driver) -> None:
    who = consumer(driver)
    put(driver, "a", Traits(expires_ms=200))
    settle(driver, who, take(driver, who), playing.RELEASE)
    put(driver, "b", Traits(expires_ms=200))
    settle(driver, who, [one for one in take(driver, who, 2) if one.id == "b"], playing.FAIL)
    driver.retry(QUEUE, State.FAILED, ["b"])
    driver.leave(QUEUE, who)
    while (found := driver.message(QUEUE, "b")) and time.time() * 1000 < found.pushed_ms + 210:
        pass

    held = take(driver, consumer(driver, "emails:1"), 9)

    assert {one.id for one in held} == {"a", "b"}
    assert [one.counters for one in held if one.id == "b"] == [NO_COUNTERS]  # as new, and yet


def test_what_expires_gives_its_key_back(driver: Driver) -> None:
    put(driver, "a", Traits(unique="k", expires_ms=1))
    who = consumer(driver)
    deadline = time.monotonic() + DEADLINE
    while not driver.counts(QUEUE).expired and time.monotonic() < deadline:
        settle(driver, who, take(driver, who), UNTOUCHED)

    assert put(driver, "b", KEY) is Pushed.QUEUED


def test_a_paused_queue_drops_nothing(driver: Driver) -> None:
    expired(driver, "a")
    driver.pause(QUEUE, None)

    assert take(driver, consumer(driver), 9) == ()
    assert states(driver) == {"a": State.WAITING}
