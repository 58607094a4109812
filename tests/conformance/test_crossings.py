"""Where two demands on a queue meet: keys, priorities and expiry with cancel, retention and max_running."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from procqueue.core.message import State
from procqueue.core.traits import Traits
from procqueue.core.verdict import UNTOUCHED, Verdict
from procqueue.drivers.contract import Answer, Driver, Entry, Locked, Pushed
from tests.conformance import playing
from tests.conformance.playing import DEADLINE, HOST, consumer, header, ids_of, push, settle, states, take
from tests.conformance.stores import QUEUE, Store

KEY = Traits(unique="k")
HIGH, LOW = Traits(priority=5), Traits(priority=-5)
BOTH = Traits(priority=5, unique="k")


def put(driver: Driver, id: str, traits: Traits, delay_ms: int = 0) -> Answer:
    (answer,) = driver.push(QUEUE, [Entry(id, playing.body_of(id), delay_ms, traits=traits)])
    return answer


def limited(driver: Driver, most: int, name: str = "emails:0") -> str:
    driver.register(QUEUE, name, HOST, most)
    return name


def ids(taken: tuple[playing.Reservation, ...]) -> list[str]:
    return [one.id for one in taken]


# cancelling


@pytest.mark.parametrize("traits", [KEY, BOTH, Traits(priority=-5, unique="k")])
@pytest.mark.parametrize("delay_ms", [0, playing.DAY_MS])
def test_what_is_cancelled_before_it_began_frees_its_key(
    driver: Driver, traits: Traits, delay_ms: int
) -> None:
    put(driver, "a", traits, delay_ms)
    push(driver, "other")

    state = driver.cancel(QUEUE, {"a": header("a", "cancelled")})["a"]

    assert state is (State.DELAYED if delay_ms else State.WAITING)
    assert states(driver) == {"other": State.WAITING}
    push(driver, "a")  # it does not inherit the key
    assert put(driver, "b", KEY) is Pushed.QUEUED
    assert driver.counts(QUEUE).notices == 1


@pytest.mark.parametrize(
    "verdict",
    [playing.ACK, playing.FAIL, playing.PARK, playing.RELEASE, playing.RELEASE_LATER, UNTOUCHED],
    ids=["ack", "fail", "park", "tail", "later", "head"],
)
def test_what_is_cancelled_while_it_runs_frees_its_key_with_its_settlement(
    driver: Driver, verdict: Verdict
) -> None:
    who = consumer(driver)
    put(driver, "a", BOTH)
    held = take(driver, who)
    driver.cancel(QUEUE, {"a": header("a", "cancelled")})

    assert put(driver, "b", KEY) == Locked("a")
    settle(driver, who, held, verdict)

    assert states(driver) == {}
    assert put(driver, "b", KEY) is Pushed.QUEUED


@pytest.mark.parametrize("how", ["leave", "reclaim", "compare"])
def test_what_comes_back_cancelled_frees_its_key(driver: Driver, how: str) -> None:
    who = consumer(driver)
    put(driver, "a", BOTH)
    take(driver, who)
    driver.cancel(QUEUE, {"a": header("a", "cancelled")})
    ways: dict[str, Callable[[], object]] = {
        "leave": lambda: driver.leave(QUEUE, who),
        "reclaim": lambda: driver.reclaim(QUEUE, who, []),
        "compare": lambda: driver.compare(QUEUE, who, []),
    }

    ways[how]()

    assert states(driver) == {} and driver.counts(QUEUE).reserved == 0
    assert put(driver, "b", KEY) is Pushed.QUEUED


# retention


@pytest.mark.parametrize(("state", "verdict"), [(State.FAILED, playing.FAIL), (State.TIMEOUT, playing.PARK)])
def test_what_is_dropped_for_its_age_leaves_no_key_and_no_priority_behind(
    driver: Driver, state: State, verdict: Verdict
) -> None:
    who = consumer(driver)
    for id in "abc":
        put(driver, id, Traits(priority=5, unique=id))
    settle(driver, who, take(driver, who, 3), verdict)
    put(driver, "holder", Traits(unique="b"))

    assert driver.trim(QUEUE, state, 1, 0) == 2

    assert put(driver, "a", Traits(unique="a")) is Pushed.QUEUED
    assert put(driver, "b", Traits(unique="b")) == Locked("holder")
    push(driver, "b")
    for _ in range(2):
        held = take(driver, who, 9)
        assert ids(held) == ["holder", "a", "b"], "the priority of the old one is gone with it"
        settle(driver, who, held, playing.RELEASE)
    assert ids_of(driver, state) == ["c"]


# max_running


def test_of_a_priority_no_more_run_than_may(store: Store) -> None:
    one, other = store.open(), store.open()
    limited(one, 3), limited(other, 3, "emails:1")
    put(one, "low", LOW), push(one, "a"), put(one, "high", HIGH), put(one, "higher", Traits(priority=9))

    held = take(one, "emails:0", 2)
    also = take(other, "emails:1", 9)

    assert (ids(held), ids(also)) == (["higher", "high"], ["a"])
    assert take(one, "emails:0", 9) == () and one.counts(QUEUE).reserved == 3
    assert one.counts(QUEUE).waiting == 1
    settle(one, "emails:0", held[:1])
    assert ids(take(other, "emails:1", 9)) == ["low"]


def test_a_higher_priority_takes_the_next_place(driver: Driver) -> None:
    who = limited(driver, 1)
    push(driver, "a", "b")
    held = take(driver, who)
    put(driver, "high", HIGH)
    came = []

    while held:
        came += ids(held)
        held = driver.turn(QUEUE, who, playing.verdicts(held), 9).taken

    assert came == ["a", "high", "b"]


@pytest.mark.parametrize("traits", [HIGH, LOW])
def test_nobody_is_woken_for_one_of_a_priority_that_may_not_run(store: Store, traits: Traits) -> None:
    runs, waits = store.open(), store.open()
    limited(runs, 1), limited(waits, 1, "emails:1")
    push(runs, "a")
    held = take(runs, "emails:0")
    put(runs, "b", traits)

    woken = 0
    while waits.wait([QUEUE], 0.1, []):
        woken += 1
        assert take(waits, "emails:1") == ()
        waits.promote(QUEUE)
        assert woken < 10, "it spins"

    settle(runs, "emails:0", held)
    assert waits.wait([QUEUE], DEADLINE, [])
    assert ids(take(waits, "emails:1")) == ["b"]


# max_running and expires


def late(driver: Driver, *ids: str) -> None:
    """Push messages that have expired when this returns."""
    for id in ids:
        put(driver, id, Traits(expires_ms=1))
    pushed = max(one.pushed_ms for one in driver.messages(QUEUE, State.WAITING, 0, 999))
    while time.time() * 1000 < pushed + 2:
        pass


def test_what_expires_takes_no_place(driver: Driver) -> None:
    who = limited(driver, 2)
    late(driver, "x", "y", "z")
    push(driver, "a", "b", "c")
    came: list[str] = []

    while len(came) < 2 and (held := take(driver, who, 9)):
        came += [one.id for one in held if not one.is_notice]

    assert came == ["a", "b"]
    counts = driver.counts(QUEUE)
    assert (counts.waiting, counts.reserved, counts.expired, counts.notices) == (1, 2, 3, 3)


def test_what_expires_between_two_that_run_takes_no_place(driver: Driver) -> None:
    who = limited(driver, 3)
    push(driver, "a")
    late(driver, "x")
    push(driver, "b")
    late(driver, "y")
    push(driver, "c", "d", "e")

    held = take(driver, who, 9)

    assert ids(held) == ["a", "b", "c"]
    assert driver.counts(QUEUE).reserved == 3


def test_nothing_is_dropped_while_nothing_may_run(driver: Driver) -> None:
    who = limited(driver, 1)
    push(driver, "a")
    held = take(driver, who)
    late(driver, "x")

    assert take(driver, who, 9) == ()
    assert driver.counts(QUEUE).expired == 0

    settle(driver, who, held)
    assert all(one.is_notice for one in take(driver, who, 9))
    assert driver.counts(QUEUE).expired == 1
