"""Cancel: what is not begun goes at once, what is reserved goes with its settlement (D3, D15)."""

from __future__ import annotations

import pytest

from procqueue.core.message import State
from procqueue.core.record import read_notice
from procqueue.core.verdict import ACK, SUSPECTED, UNTOUCHED, Kind, Settlement, Verdict
from procqueue.drivers.contract import MAX_NOTICES, Driver
from tests.conformance import playing
from tests.conformance.playing import DEADLINE, bring_to, consumer, header, push, settle, states, take
from tests.conformance.stores import QUEUE, Store

VERDICTS = {
    "head": UNTOUCHED, "suspected": SUSPECTED, "tail": Verdict(Kind.RELEASE), "later": playing.RELEASE_LATER,
    "fail": playing.FAIL, "park": playing.PARK,
}  # fmt: skip


def cancel(driver: Driver, *ids: str) -> dict[str, State | None]:
    return dict(driver.cancel(QUEUE, {id: header(id, "cancelled") for id in ids}))


def notices(driver: Driver) -> list[str]:
    """Take all notices; return of which messages they tell."""
    who = consumer(driver, "pays")
    held = driver.turn(QUEUE, who, (), 100, notices_only=True).taken
    settle(driver, who, held)
    told = [read_notice(one.body) for one in held]
    assert all(head.outcome == "cancelled" and body == playing.body_of(head.id) for head, body in told)
    return [head.id for head, _ in told]


def test_what_waits_or_is_delayed_is_removed_with_a_notice(driver: Driver) -> None:
    push(driver, "a", "b", "c")
    push(driver, "later", delay_ms=playing.DAY_MS)

    answer = cancel(driver, "b", "later", "nowhere")

    assert answer == {"b": State.WAITING, "later": State.DELAYED, "nowhere": None}
    assert states(driver) == {"a": State.WAITING, "c": State.WAITING}
    assert notices(driver) == ["b", "later"]
    assert push(driver, "b") == ["queued"]


@pytest.mark.parametrize("state", [State.FAILED, State.TIMEOUT])
def test_what_ended_badly_stays(driver: Driver, state: State) -> None:
    bring_to(driver, state, "m")

    assert cancel(driver, "m") == {"m": state}
    assert states(driver) == {"m": state}
    assert notices(driver) == [] and driver.cancelling(QUEUE) == frozenset()


@pytest.mark.parametrize("verdict", VERDICTS.values(), ids=VERDICTS)
def test_what_is_reserved_is_gone_when_it_is_settled(driver: Driver, verdict: Verdict) -> None:
    who = consumer(driver)
    push(driver, "a", "b")
    held, other = take(driver, who, 2)

    assert cancel(driver, "a") == {"a": State.RESERVED}
    assert states(driver) == {"a": State.RESERVED, "b": State.RESERVED}
    assert driver.cancelling(QUEUE) == {"a"}
    ends = [Settlement("a", held.ticket, verdict, b'{"n":1}', header("a", "raised"))]
    assert driver.turn(QUEUE, who, [*ends, *playing.verdicts([other], verdict)], 0).refused == ()

    assert states(driver).keys() == {"b"}
    assert driver.cancelling(QUEUE) == frozenset()
    assert notices(driver) == ["a"]


def test_what_is_done_before_it_hears_of_it_leaves_no_notice(driver: Driver) -> None:
    who = consumer(driver)
    push(driver, "a")
    held = take(driver, who)
    cancel(driver, "a")

    assert settle(driver, who, held, ACK) == ()

    assert states(driver) == {} and driver.cancelling(QUEUE) == frozenset()
    assert notices(driver) == []
    push(driver, "a")
    settle(driver, who, take(driver, who), playing.RELEASE)
    assert states(driver) == {"a": State.WAITING}, "the next of that id is another one"


@pytest.mark.parametrize("how", ["reclaimed", "reclaimed, unnamed", "left", "compared"])
def test_it_is_gone_whatever_becomes_of_its_owner(store: Store, how: str) -> None:
    dies, lives = store.open(), store.open()
    who = consumer(dies)
    push(dies, "a", "b")
    held = take(dies, who, 2)
    cancel(lives, "a")

    match how:
        case "reclaimed":
            lives.reclaim(QUEUE, who, [Settlement("a", held[0].ticket, Verdict(Kind.RETURN))])
        case "reclaimed, unnamed":
            lives.reclaim(QUEUE, who, ())
        case "left":
            dies.leave(QUEUE, who)
        case "compared":
            dies.compare(QUEUE, who, ())

    assert states(lives) == {"b": State.WAITING}
    assert lives.cancelling(QUEUE) == frozenset()
    assert notices(lives) == ["a"]


def test_who_is_not_the_owner_any_more_ends_nothing(driver: Driver) -> None:
    who = consumer(driver)
    push(driver, "a")
    (held,) = take(driver, who)
    cancel(driver, "a")

    assert driver.turn(QUEUE, who, [Settlement("a", held.ticket + 1, UNTOUCHED)], 0).refused == (
        held.ticket + 1,
    )

    assert driver.cancelling(QUEUE) == {"a"}


def test_it_makes_room_and_wakes(store: Store) -> None:
    works, waits = store.open(), store.open()
    works.register(QUEUE, "emails:0", playing.HOST, 1)
    waits.register(QUEUE, "emails:1", playing.HOST, 1)
    push(works, "a", "b")
    held = take(works, "emails:0")
    while waits.wait([QUEUE], 0.01, []):
        assert take(waits, "emails:1") == ()
    cancel(works, "a")

    settle(works, "emails:0", held, UNTOUCHED)

    assert waits.wait([QUEUE], DEADLINE, [])
    notice, message = take(waits, "emails:1", 9)
    assert notice.is_notice and message.id == "b"


def test_a_notice_cannot_be_cancelled(driver: Driver) -> None:
    push(driver, "a")
    cancel(driver, "a")
    (notice,) = driver.turn(QUEUE, consumer(driver), (), 9).taken

    assert cancel(driver, notice.id) == {notice.id: None}
    assert driver.counts(QUEUE).notices == 1


def test_no_more_notices_are_kept_than_of_others(driver: Driver) -> None:
    ids = [f"m{n}" for n in range(MAX_NOTICES + 20)]
    for start in range(0, len(ids), 100):
        push(driver, *ids[start : start + 100])
        cancel(driver, *ids[start : start + 100])

    assert driver.counts(QUEUE).notices == MAX_NOTICES
    assert states(driver) == {}
