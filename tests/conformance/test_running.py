"""max_running: so many messages of a queue are reserved at once, whoever takes them (D1, D3, D8)."""

from __future__ import annotations

import random

import pytest

from procqueue.core.message import Charge, State
from procqueue.core.verdict import SUSPECTED, UNTOUCHED, Kind, Settlement, Verdict
from procqueue.drivers.contract import Driver
from tests.conformance import playing
from tests.conformance.playing import DEADLINE, HOST, push, settle, states, take, verdicts
from tests.conformance.stores import QUEUE, Store


def limited(driver: Driver, most: int, name: str = "emails:0") -> str:
    driver.register(QUEUE, name, HOST, most)
    return name


def ids(taken: tuple[playing.Reservation, ...]) -> list[str]:
    return [one.id for one in taken]


def test_no_more_are_reserved_than_may_run_over_all_consumers(store: Store) -> None:
    one, other = store.open(), store.open()
    limited(one, 3), limited(other, 3, "emails:1")
    push(one, *"abcde")

    held = take(one, "emails:0", 2)
    also = take(other, "emails:1", 9)

    assert (ids(held), ids(also)) == (["a", "b"], ["c"])
    assert take(one, "emails:0") == take(other, "emails:1") == ()
    assert one.counts(QUEUE).reserved == 3


def test_a_settlement_makes_room_in_the_same_step(driver: Driver) -> None:
    who = limited(driver, 1)
    push(driver, *"abc")
    came = []

    held = take(driver, who, 9)
    while held:
        came += ids(held)
        held = driver.turn(QUEUE, who, verdicts(held), 9).taken

    assert came == ["a", "b", "c"]


@pytest.mark.parametrize(
    "verdict",
    [playing.FAIL, playing.PARK, playing.RELEASE_LATER, Verdict(Kind.RELEASE), UNTOUCHED],
    ids=["fail", "park", "later", "tail", "head"],
)
def test_every_way_out_makes_room(driver: Driver, verdict: Verdict) -> None:
    who = limited(driver, 1)
    push(driver, "a", "b")

    settle(driver, who, take(driver, who), verdict)

    assert ids(take(driver, who, 9)) == (["a"] if verdict == UNTOUCHED else ["b"])


def test_what_a_dead_one_holds_counts_until_it_is_reclaimed_and_comes_first_then(store: Store) -> None:
    dies, lives = store.open(), store.open()
    limited(dies, 1), limited(lives, 1, "emails:1")
    push(dies, "a", "b")
    (held,) = take(dies, "emails:0")

    assert take(lives, "emails:1") == ()
    lives.reclaim(QUEUE, "emails:0", [Settlement(held.id, held.ticket, SUSPECTED)])

    assert ids(take(lives, "emails:1", 9)) == ["a"]


def test_notices_count_nothing_and_are_handed_out_beside(driver: Driver) -> None:
    who = limited(driver, 1)
    push(driver, "a", "b")
    (held,) = take(driver, who)
    driver.turn(QUEUE, who, [Settlement("a", held.ticket, playing.FAIL, owes=playing.header("a"))], 0)

    notice, message = take(driver, who, 9)

    assert notice.is_notice and message.id == "b"
    driver.retry(QUEUE, State.FAILED, ["a"])
    assert take(driver, who) == ()
    settle(driver, who, [notice])
    assert take(driver, who) == ()
    settle(driver, who, [message])
    assert ids(take(driver, who)) == ["a"]


def test_other_states_are_not_running(driver: Driver) -> None:
    who = limited(driver, 1)
    push(driver, "later", delay_ms=playing.DAY_MS)
    for id, verdict in (("failed", playing.FAIL), ("parked", playing.PARK)):
        push(driver, id)
        settle(driver, who, take(driver, who), verdict)
    driver.pause(QUEUE, None)
    push(driver, "a")
    assert take(driver, who) == ()

    driver.resume(QUEUE)

    assert ids(take(driver, who)) == ["a"]


def test_who_registers_last_says_it_for_all(driver: Driver) -> None:
    first = limited(driver, 1)
    push(driver, *"abcd")
    take(driver, first, 9)

    second = limited(driver, 2, "emails:1")
    assert ids(take(driver, first, 9)) == ["b"]
    limited(driver, 1, "emails:2")
    assert take(driver, second) == ()
    assert driver.counts(QUEUE).reserved == 2, "what is reserved stays so"
    limited(driver, 0, "emails:3")
    assert ids(take(driver, second, 9)) == ["c", "d"]


def test_a_limit_is_of_one_queue(driver: Driver) -> None:
    driver.register("another", "another:0", HOST, 1)
    who = playing.consumer(driver)
    push(driver, "a", "b")

    assert ids(take(driver, who, 9)) == ["a", "b"]


def test_nobody_is_woken_again_and_again_for_what_may_not_run(store: Store) -> None:
    works, waits = store.open(), store.open()
    limited(works, 1), limited(waits, 1, "emails:1")
    push(works, *"abc")
    take(works, "emails:0", 9)

    woken = 0
    while waits.wait([QUEUE], 0.1, []):
        woken += 1
        assert take(waits, "emails:1", 9) == ()
        works.promote(QUEUE)
        assert woken < 10, "it spins"


@pytest.mark.parametrize("how", ["settled", "reclaimed", "left"])
def test_a_freed_place_wakes(store: Store, how: str) -> None:
    works, waits = store.open(), store.open()
    limited(works, 1), limited(waits, 1, "emails:1")
    push(works, "a", "b")
    held = take(works, "emails:0", 9)
    while waits.wait([QUEUE], 0.01, []):
        assert take(waits, "emails:1") == ()

    match how:
        case "settled":
            settle(works, "emails:0", held)
        case "reclaimed":
            waits.reclaim(QUEUE, "emails:0", ())
        case "left":
            works.leave(QUEUE, "emails:0")

    assert waits.wait([QUEUE], DEADLINE, [])
    assert len(take(waits, "emails:1", 9)) == 1


@pytest.mark.parametrize("seed", range(3))
def test_no_history_goes_beyond_the_limit_or_stands_still(store: Store, seed: int) -> None:
    draw = random.Random(seed)
    drivers = {limited(made := store.open(), 2, f"emails:{n}"): made for n in range(3)}
    held: dict[str, list[playing.Reservation]] = {who: [] for who in drivers}
    first = next(iter(drivers.values()))
    push(first, *(f"m{n}" for n in range(20)))
    ends = [playing.ACK, playing.ACK, UNTOUCHED, Verdict(Kind.RELEASE, Charge.RELEASE), playing.FAIL]

    for _ in range(150):
        who = draw.choice(list(drivers))
        some = [one for one in held[who] if draw.random() < 0.6]
        endings = [Settlement(one.id, one.ticket, draw.choice(ends)) for one in some]
        turn = drivers[who].turn(QUEUE, who, endings, draw.randint(0, 3))
        held[who] = [one for one in held[who] if one not in some] + list(turn.taken)
        assert sum(map(len, held.values())) == first.counts(QUEUE).reserved <= 2

    for who, driver in drivers.items():
        settle(driver, who, held[who])
    left = playing.ids_of(first, State.WAITING)
    assert states(first).keys() >= set(left)
    assert playing.drain(first, "emails:0") == left
