"""What people see and change: counts, lists, retry, forget, clear; and the version of the layout (D16)."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from procqueue.core.errors import Newer
from procqueue.core.message import NO_COUNTERS, Counters, Counts, State
from procqueue.core.verdict import Settlement
from procqueue.drivers.contract import MAX_ENTRIES, Driver, Entry, TakenIn
from tests.conformance import playing
from tests.conformance.playing import DAY_MS, bring_to, consumer, ids_of, push, settle, states, take
from tests.conformance.stores import QUEUE, Store

ENDED = [State.FAILED, State.TIMEOUT]


def test_counts_tell_every_state_apart(store: Store, driver: Driver) -> None:
    assert driver.counts(QUEUE) == Counts()
    who = consumer(driver)
    for state, count in ((playing.FAIL, 2), (playing.PARK, 3)):
        push(driver, *(f"{state.kind}{number}" for number in range(count)))
        settle(driver, who, take(driver, who, count), state)
    push(driver, *(f"r{number}" for number in range(4)))
    take(driver, who, 4)
    push(driver, *(f"d{number}" for number in range(5)), delay_ms=DAY_MS)
    push(driver, *(f"w{number}" for number in range(6)))
    store.drop(b"x")

    assert driver.counts(QUEUE) == Counts(inbox=1, waiting=6, delayed=5, reserved=4, timeout=3, failed=2)
    assert driver.counts("another") == Counts()


def test_the_age_of_the_head_counts_from_its_push(driver: Driver) -> None:
    assert driver.oldest_ms(QUEUE) is None
    push(driver, "later", delay_ms=DAY_MS)
    assert driver.oldest_ms(QUEUE) is None
    push(driver, "old")
    deadline = time.monotonic() + playing.DEADLINE
    while (driver.oldest_ms(QUEUE) or 0) < 30:
        assert time.monotonic() < deadline
    before = time.monotonic()
    push(driver, "new")

    age = driver.oldest_ms(QUEUE)
    assert age is not None and age >= 30
    take(driver, consumer(driver))
    young = driver.oldest_ms(QUEUE)
    # Not older than we have known it, by one tick of the driver's clock: so it is not the age of the old one.
    assert young is not None and young <= (time.monotonic() - before) * 1000 + 1


@pytest.mark.parametrize("state", list(State))
def test_lists_are_paged_in_the_order_of_leaving(driver: Driver, state: State) -> None:
    ids = [f"m{number}" for number in range(7)]
    for id in ids if state in ENDED else ():
        bring_to(driver, state, id)
        deadline = time.time_ns() // 1_000_000 + 2  # stores may order these by the millisecond
        while time.time_ns() // 1_000_000 < deadline:
            pass
    if state not in ENDED:
        bring_to(driver, state, *ids)

    pages = [driver.messages(QUEUE, state, offset, 3) for offset in (0, 3, 6, 9)]

    assert [[one.id for one in page] for page in pages] == [ids[:3], ids[3:6], ids[6:], []]
    assert {(one.queue, one.state) for page in pages for one in page} == {(QUEUE, state)}


def test_a_message_shows_everything_that_is_stored(driver: Driver) -> None:
    push(driver, "m")
    who = consumer(driver)
    (held,) = take(driver, who)
    driver.turn(QUEUE, who, [Settlement("m", held.ticket, playing.RELEASE_LATER, record=b'{"n":1}')], 0)

    stored = driver.message(QUEUE, "m")

    assert stored is not None
    assert (stored.queue, stored.id, stored.state) == (QUEUE, "m", State.DELAYED)
    assert (stored.body, stored.counters) == (playing.body_of("m"), Counters(releases=1))
    assert (stored.pushed_ms, stored.history) == (held.pushed_ms, (b'{"n":1}',))
    assert stored.due_ms is not None and stored.due_ms >= held.pushed_ms + DAY_MS
    assert driver.messages(QUEUE, State.DELAYED, 0, 9) == [stored]
    assert driver.message(QUEUE, "nobody") is None


@pytest.mark.parametrize("state", ENDED)
def test_retry_starts_afresh_and_keeps_the_history(driver: Driver, state: State) -> None:
    push(driver, "a", "b")
    who = consumer(driver)
    verdict = playing.FAIL if state is State.FAILED else playing.PARK
    settlements = [Settlement(m.id, m.ticket, verdict, record=b'{"n":1}') for m in take(driver, who, 2)]
    driver.turn(QUEUE, who, settlements, 0)

    assert driver.retry(QUEUE, state, ["b", "nobody"]) == ["b"]

    assert states(driver) == {"a": state, "b": State.WAITING}
    (again,) = take(driver, who, 9)
    assert (again.id, again.counters, again.body) == ("b", NO_COUNTERS, playing.body_of("b"))
    stored = driver.message(QUEUE, "b")
    assert stored and stored.history == (b'{"n":1}',)


def test_retry_moves_only_what_is_in_that_state(driver: Driver) -> None:
    bring_to(driver, State.FAILED, "f")
    bring_to(driver, State.TIMEOUT, "t")

    assert driver.retry(QUEUE, State.FAILED, ["t"]) == []

    assert states(driver) == {"f": State.FAILED, "t": State.TIMEOUT}


def test_forget_answers_the_state_each_had_and_leaves_reserved_ones_alone(driver: Driver) -> None:
    had: dict[str, State | None] = {}
    for state in (State.FAILED, State.TIMEOUT, State.RESERVED, State.DELAYED, State.WAITING):
        bring_to(driver, state, state.value)
        had[state.value] = state

    assert driver.forget(QUEUE, [*had, "nobody"]) == {**had, "nobody": None}

    assert states(driver) == {"reserved": State.RESERVED}
    assert push(driver, "failed")[0].value == "queued"


@pytest.mark.parametrize("state", [state for state in State if state is not State.RESERVED])
def test_clear_removes_one_state_by_bounded_chunks(driver: Driver, state: State) -> None:
    count = MAX_ENTRIES + 5
    who = consumer(driver)
    for start in range(0, count, MAX_ENTRIES):
        ids = [f"m{number}" for number in range(start, min(count, start + MAX_ENTRIES))]
        driver.push(QUEUE, [Entry(id, b"", DAY_MS if state is State.DELAYED else 0) for id in ids])
        if state in ENDED:
            settle(
                driver, who, take(driver, who, 100), playing.FAIL if state is State.FAILED else playing.PARK
            )
    push(driver, "other", delay_ms=0 if state is State.DELAYED else DAY_MS)

    assert [driver.clear(QUEUE, state) for _ in range(3)] == [MAX_ENTRIES, 5, 0]

    assert states(driver) == {"other": State.WAITING if state is State.DELAYED else State.DELAYED}


def test_clear_takes_from_the_head(driver: Driver) -> None:
    for start in range(0, 150, 50):
        push(driver, *(f"m{number}" for number in range(start, start + 50)))

    driver.clear(QUEUE, State.WAITING)

    assert ids_of(driver, State.WAITING) == [f"m{number}" for number in range(100, 150)]


# D16

VERBS: dict[str, Callable[[Driver], object]] = {
    "push": lambda driver: push(driver, "n"),
    "register": lambda driver: driver.register(QUEUE, "c2", playing.HOST),
    "idle turn": lambda driver: driver.turn(QUEUE, "c", (), 0),
    "turn": lambda driver: driver.turn(QUEUE, "c", (), 1),
    "settling turn": lambda driver: driver.turn(QUEUE, "c", [Settlement("m", 1, playing.FAIL)], 1),
    "compare": lambda driver: driver.compare(QUEUE, "c", ()),
    "leave": lambda driver: driver.leave(QUEUE, "c"),
    "reclaim": lambda driver: driver.reclaim(QUEUE, "c", ()),
    "promote": lambda driver: driver.promote(QUEUE),
    "inbox": lambda driver: driver.take_inbox(QUEUE, lambda raw: TakenIn(raw, Entry("x", raw))),
    "owned": lambda driver: driver.owned(QUEUE, "c"),
    "consumers": lambda driver: driver.consumers(QUEUE, playing.HOST),
    "counts": lambda driver: driver.counts(QUEUE),
    "messages": lambda driver: driver.messages(QUEUE, State.WAITING, 0, 9),
    "page": lambda driver: driver.page(QUEUE, State.FAILED, "1 m", 9),
    "notify": lambda driver: driver.notify(QUEUE, "!!e:1", b"{}\n"),
    "message": lambda driver: driver.message(QUEUE, "m"),
    "retry": lambda driver: driver.retry(QUEUE, State.FAILED, ["m"]),
    "forget": lambda driver: driver.forget(QUEUE, ["m"]),
    "clear": lambda driver: driver.clear(QUEUE, State.WAITING),
}


def test_d16_every_verb_refuses_a_newer_layout_also_under_an_open_connection(
    store: Store, driver: Driver
) -> None:
    push(driver, "m")
    consumer(driver, "c")
    store.make_newer()

    accepted = []
    for name, verb in VERBS.items():
        try:
            verb(driver)
            accepted.append(name)
        except Newer:
            pass

    assert accepted == []


def test_d16_a_newer_layout_is_refused_from_the_first_verb_on(store: Store) -> None:
    push(store.open(), "m")
    store.make_newer()

    with pytest.raises(Newer):
        store.open().counts(QUEUE)
