"""Hooks that are owed: law D15."""

from __future__ import annotations

import pytest

from procqueue.core.message import Charge, Counters, Reservation, State
from procqueue.core.record import EventNotice, is_event, notice_id, read_event, read_notice
from procqueue.core.verdict import ACK, Kind, Settlement, Verdict
from procqueue.drivers.contract import MAX_NOTICES, Driver
from tests.conformance import playing
from tests.conformance.playing import body_of, consumer, header, push, settle, states, take
from tests.conformance.stores import QUEUE


def owe(driver: Driver, id: str = "m", verdict: Verdict = playing.FAIL) -> str:
    """Let `id` end outside a consumer and return the id of the notice this leaves."""
    push(driver, id)
    who = consumer(driver, f"died-with-{id}")
    (held,) = (one for one in take(driver, who, 9) if one.id == id)
    driver.reclaim(QUEUE, who, [Settlement(id, held.ticket, verdict, owes=header(id))])
    return notice_id(id, held.ticket)


@pytest.mark.parametrize("verdict", [playing.FAIL, playing.PARK], ids=["fail", "park"])
def test_d15_a_reclaim_leaves_the_notice_with_the_verdict(driver: Driver, verdict: Verdict) -> None:
    owed = owe(driver, "m", verdict)

    assert states(driver) == {"m": State.FAILED if verdict.kind is Kind.FAIL else State.TIMEOUT}
    assert driver.counts(QUEUE).notices == 1
    (notice,) = take(driver, consumer(driver), 9)
    assert notice.id == owed and notice.is_notice and notice.counters == Counters()
    head, body = read_notice(notice.body)
    assert (head.id, head.outcome, body) == ("m", "crashed", body_of("m"))


def test_d15_a_turn_can_leave_a_notice_too(driver: Driver) -> None:
    push(driver, "m")
    who = consumer(driver)
    (held,) = take(driver, who)

    driver.turn(QUEUE, who, [Settlement("m", held.ticket, playing.FAIL, owes=header("m"))], 0)

    assert [one.id for one in take(driver, who)] == [notice_id("m", held.ticket)]


def test_d15_what_was_refused_owes_nothing(driver: Driver) -> None:
    push(driver, "m")
    who, other = consumer(driver), consumer(driver, "other")
    (held,) = take(driver, who)

    driver.turn(QUEUE, other, [Settlement("m", held.ticket, playing.FAIL, owes=header("m"))], 0)

    assert driver.counts(QUEUE).notices == 0


def test_d15_a_notice_keeps_the_message_that_is_forgotten_meanwhile(driver: Driver) -> None:
    owe(driver)
    driver.forget(QUEUE, ["m"])

    (notice,) = take(driver, consumer(driver))

    assert read_notice(notice.body)[1] == body_of("m")


def test_d15_notices_are_taken_before_messages_and_oldest_first(driver: Driver) -> None:
    first, second = owe(driver, "m1"), owe(driver, "m2")
    push(driver, "a", "b")
    who = consumer(driver)

    assert [one.id for one in take(driver, who, 3)] == [first, second, "a"]
    assert driver.turn(QUEUE, who, (), 9).owned == 4


def test_d15_notices_are_no_messages(driver: Driver) -> None:
    owed = owe(driver)

    counts = driver.counts(QUEUE)

    assert (counts.waiting, counts.reserved, counts.failed, counts.notices) == (0, 0, 1, 1)
    assert driver.message(QUEUE, owed) is None
    assert driver.forget(QUEUE, [owed]) == {owed: None}
    assert driver.oldest_ms(QUEUE) is None
    assert driver.clear(QUEUE, State.WAITING) == 0
    assert driver.counts(QUEUE).notices == 1


def test_d15_an_owned_notice_is_still_owed_and_no_reserved_message(driver: Driver) -> None:
    owe(driver)
    who = consumer(driver)
    (notice,) = take(driver, who)

    counts = driver.counts(QUEUE)
    assert (counts.reserved, counts.notices) == (0, 1)
    assert driver.messages(QUEUE, State.RESERVED, 0, 9) == []
    assert [(one.id, one.ticket) for one in driver.owned(QUEUE, who)] == [(notice.id, notice.ticket)]
    assert take(driver, consumer(driver, "other")) == ()


@pytest.mark.parametrize("verdict", [ACK, playing.FAIL, playing.PARK], ids=["ack", "fail", "park"])
def test_d15_a_paid_or_given_up_notice_is_gone(driver: Driver, verdict: Verdict) -> None:
    owe(driver)
    who = consumer(driver)

    assert settle(driver, who, take(driver, who), verdict) == ()

    assert driver.counts(QUEUE).notices == 0
    assert states(driver) == {"m": State.FAILED}
    assert take(driver, who) == ()


@pytest.mark.parametrize(
    "verdict",
    [Verdict(Kind.RETURN, Charge.CRASH), Verdict(Kind.RELEASE, Charge.CRASH)],
    ids=["return", "release"],
)
def test_d15_a_notice_given_back_is_owed_again_and_counts(driver: Driver, verdict: Verdict) -> None:
    owed = owe(driver)
    who = consumer(driver)
    settle(driver, who, take(driver, who), verdict)

    (again,) = take(driver, who)

    assert (again.id, again.counters) == (owed, Counters(crashes=1))
    assert states(driver) == {"m": State.FAILED}


def test_d15_an_owned_notice_returns_with_the_death_of_its_consumer(driver: Driver) -> None:
    owed = owe(driver)
    who = consumer(driver, "dies")
    take(driver, who)

    assert driver.reclaim(QUEUE, who, ()) == 1

    assert [one.id for one in take(driver, consumer(driver))] == [owed]


def test_d15_compare_and_leave_give_notices_back(driver: Driver) -> None:
    owed = owe(driver)
    who = consumer(driver)

    take(driver, who)
    assert driver.compare(QUEUE, who, ()).returned == 1
    (again,) = take(driver, who)
    driver.leave(QUEUE, who)

    assert again.id == owed
    assert [one.id for one in take(driver, consumer(driver, "next"))] == [owed]


def test_d15_only_the_newest_notices_are_kept(driver: Driver) -> None:
    def fail(held: tuple[Reservation, ...]) -> None:
        settlements = [Settlement(m.id, m.ticket, playing.FAIL, owes=header(m.id)) for m in held]
        driver.turn(QUEUE, who, settlements, 0)

    count = MAX_NOTICES + 50
    ids = [f"m{number}" for number in range(count)]
    who = consumer(driver)
    chunks = []
    for start in range(0, count, 50):
        push(driver, *ids[start : start + 50])
        chunks.append(take(driver, who, 50))
    assert {one.is_notice for chunk in chunks for one in chunk} == {False}

    for chunk in chunks:
        fail(chunk)

    assert driver.counts(QUEUE).notices == MAX_NOTICES
    owed = [notice_id(m.id, m.ticket) for chunk in chunks for m in chunk][50:]
    assert [one.id for one in take(driver, who, 50)] == owed[:50]


def test_d15_a_notice_may_belong_to_no_message(driver: Driver) -> None:
    event = EventNotice("consumer_crashed", "c1", QUEUE, "c1", "signal KILL")

    assert driver.notify(QUEUE, event.id, event.encode())
    assert not driver.notify(QUEUE, event.id, b"{}")

    push(driver, "m")
    who = consumer(driver)
    notice, message = take(driver, who, 9)
    assert notice.is_notice and is_event(notice.id) and read_event(notice.body) == event
    assert message.id == "m" and states(driver) == {"m": State.RESERVED}
    settle(driver, who, [notice, message])
    assert driver.counts(QUEUE).notices == 0
    assert driver.notify(QUEUE, event.id, event.encode())


def test_d15_events_are_bounded_too_and_the_oldest_go(driver: Driver) -> None:
    for number in range(MAX_NOTICES + 3):
        driver.notify(QUEUE, f"!!e:{number}", b"{}\n")

    assert driver.counts(QUEUE).notices == MAX_NOTICES
    (first,) = take(driver, consumer(driver))
    assert first.id == "!!e:3"


def test_d15_an_event_wakes_a_consumer_of_a_paused_queue(driver: Driver) -> None:
    who = consumer(driver)
    assert not take(driver, who)
    driver.pause(QUEUE, None)
    push(driver, "m")

    driver.notify(QUEUE, "!!e:1", b"{}\n")

    assert driver.wait([QUEUE], playing.DEADLINE, [])
    assert [one.id for one in take(driver, who, 9)] == ["!!e:1"]
