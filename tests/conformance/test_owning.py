"""Who owns what: laws D4, D5, D7, D13, and the growth of tickets."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from procqueue.core.errors import Gone, Unknown
from procqueue.core.message import NO_COUNTERS, Charge, Counters, Owned, State
from procqueue.core.verdict import ACK, CHARGES, SUSPECTED, UNTOUCHED, Kind, Settlement, Verdict
from procqueue.drivers.contract import MAX_HISTORY, Compared, Driver
from tests.conformance import playing
from tests.conformance.playing import HOST, consumer, ids_of, push, settle, states, take, verdicts
from tests.conformance.stores import QUEUE, Store

EVERY_VERDICT = [Verdict(kind, Charge.CRASH) for kind in Kind]


# D4


@pytest.mark.parametrize("verdict", EVERY_VERDICT, ids=lambda verdict: verdict.kind.name)
def test_d4_a_settlement_by_another_consumer_is_refused(driver: Driver, verdict: Verdict) -> None:
    push(driver, "m")
    owner, thief = consumer(driver, "owner"), consumer(driver, "thief")
    (held,) = take(driver, owner)

    turn = driver.turn(QUEUE, thief, verdicts([held], verdict), 5)

    assert (turn.refused, turn.taken, turn.owned) == ((held.ticket,), (), 0)
    assert driver.owned(QUEUE, owner) == [Owned("m", held.ticket, NO_COUNTERS)]
    assert states(driver) == {"m": State.RESERVED}


@pytest.mark.parametrize("verdict", EVERY_VERDICT, ids=lambda verdict: verdict.kind.name)
def test_d4_a_settlement_with_an_older_ticket_is_refused(driver: Driver, verdict: Verdict) -> None:
    push(driver, "m")
    who = consumer(driver)
    old = take(driver, who)
    settle(driver, who, old, UNTOUCHED)
    (now,) = take(driver, who)

    turn = driver.turn(QUEUE, who, verdicts(old, verdict), 0)

    assert (turn.refused, turn.owned) == ((old[0].ticket,), 1)
    assert driver.owned(QUEUE, who) == [Owned("m", now.ticket, NO_COUNTERS)]


def test_d4_a_settlement_under_another_messages_ticket_is_refused(driver: Driver) -> None:
    push(driver, "a", "b")
    who = consumer(driver)
    a, b = take(driver, who, 2)

    turn = driver.turn(QUEUE, who, verdicts([replace(a, ticket=b.ticket)]), 0)

    assert (turn.refused, turn.owned) == ((b.ticket,), 2)
    assert states(driver) == {"a": State.RESERVED, "b": State.RESERVED}


def test_d4_a_second_settlement_is_refused_also_within_one_turn(driver: Driver) -> None:
    push(driver, "m")
    who = consumer(driver)
    held = take(driver, who)

    turn = driver.turn(QUEUE, who, verdicts([*held, *held], playing.FAIL), 0)

    assert turn.refused == (held[0].ticket,)
    assert settle(driver, who, held) == (held[0].ticket,)
    assert states(driver) == {"m": State.FAILED}


def test_d4_what_is_refused_does_not_hinder_the_rest(driver: Driver) -> None:
    push(driver, "a", "b", "c", "d")
    who = consumer(driver)
    a, b, c = take(driver, who, 3)
    settle(driver, who, [b])

    turn = driver.turn(QUEUE, who, verdicts([a, b, c]), 1)

    assert turn.refused == (b.ticket,)
    assert [one.id for one in turn.taken] == ["d"]
    assert turn.owned == 1
    assert states(driver) == {"d": State.RESERVED}


def test_owned_counts_what_is_held_now(driver: Driver) -> None:
    push(driver, "a", "b", "c")
    who = consumer(driver)

    first = driver.turn(QUEUE, who, (), 2)
    second = driver.turn(QUEUE, who, verdicts(first.taken[:1]), 5)
    third = driver.turn(QUEUE, who, (), 5)

    assert [first.owned, second.owned, third.owned] == [2, 2, 2]
    assert [one.id for one in driver.owned(QUEUE, who)] == ["b", "c"]


# D5


def test_d5_a_reclaimed_consumer_is_dead_for_ever(driver: Driver) -> None:
    push(driver, "m")
    who = consumer(driver)
    held = take(driver, who)
    driver.reclaim(QUEUE, who, ())

    with pytest.raises(Gone):
        driver.turn(QUEUE, who, (), 1)
    with pytest.raises(Gone):
        driver.turn(QUEUE, who, verdicts(held), 1)
    with pytest.raises(Gone):
        driver.compare(QUEUE, who, ())
    with pytest.raises(Gone):
        driver.register(QUEUE, who, HOST)
    assert states(driver) == {"m": State.WAITING}


def test_d5_a_consumer_reclaimed_before_it_registered_is_dead_too(driver: Driver) -> None:
    assert driver.reclaim(QUEUE, "early", ()) == 0

    with pytest.raises(Gone):
        driver.register(QUEUE, "early", HOST)


def test_d5_a_consumer_never_heard_of_is_unknown(driver: Driver) -> None:
    push(driver, "m")

    with pytest.raises(Unknown):
        driver.turn(QUEUE, "stranger", (), 1)
    with pytest.raises(Unknown):
        driver.turn(QUEUE, "stranger", [Settlement("m", 1, ACK)], 1)
    with pytest.raises(Unknown):
        driver.compare(QUEUE, "stranger", ())
    assert states(driver) == {"m": State.WAITING}


def test_d5_who_left_is_no_consumer_any_more(driver: Driver) -> None:
    push(driver, "a", "b", "c")
    who = consumer(driver)
    take(driver, who, 2)

    driver.leave(QUEUE, who)

    assert driver.consumers(QUEUE, HOST) == []
    assert ids_of(driver, State.WAITING) == ["a", "b", "c"]
    with pytest.raises((Gone, Unknown)):
        driver.turn(QUEUE, who, (), 1)


def test_consumers_are_listed_by_host(driver: Driver) -> None:
    for name, host in (("a", "h1"), ("b", "h2"), ("c", "h1"), ("a", "h1")):
        driver.register(QUEUE, name, host)

    assert sorted(driver.consumers(QUEUE, "h1")) == ["a", "c"]
    assert driver.consumers(QUEUE, "h2") == ["b"]
    driver.reclaim(QUEUE, "a", ())
    assert driver.consumers(QUEUE, "h1") == ["c"]


def test_a_consumer_that_registers_again_keeps_what_it_owns(driver: Driver) -> None:
    push(driver, "m")
    who = consumer(driver)
    held = take(driver, who)

    consumer(driver)

    assert settle(driver, who, held) == ()


# D7


@pytest.mark.parametrize("charge", CHARGES)
@pytest.mark.parametrize("into", [Kind.RETURN, Kind.RELEASE, Kind.FAIL, Kind.PARK])
def test_d7_a_verdict_charges_its_counter(driver: Driver, into: Kind, charge: Charge) -> None:
    push(driver, "m")
    who = consumer(driver)
    first = take(driver, who)
    assert first[0].counters == NO_COUNTERS
    settle(driver, who, first, SUSPECTED)

    settle(driver, who, take(driver, who), Verdict(into, charge))

    stored = driver.message(QUEUE, "m")
    assert stored and stored.counters == Counters(suspects=1).charged(charge)


def test_d7_a_reservation_tells_the_counters(driver: Driver) -> None:
    push(driver, "m", "other")
    who = consumer(driver)
    for charge in CHARGES[1:]:
        settle(driver, who, take(driver, who), Verdict(Kind.RETURN, charge))

    held = take(driver, who, 2)

    assert [one.counters for one in held] == [Counters(1, 1, 1, 1, 1), NO_COUNTERS]
    assert [one.counters for one in driver.owned(QUEUE, who)] == [Counters(1, 1, 1, 1, 1), NO_COUNTERS]


def test_d7_reclaim_settles_what_is_named_and_returns_the_rest_uncharged(driver: Driver) -> None:
    push(driver, "done", "crashed", "failed", "untouched", "after")
    who = consumer(driver)
    done, crashed, failed, _ = take(driver, who, 4)

    count = driver.reclaim(
        QUEUE,
        who,
        [
            Settlement("done", done.ticket, ACK),
            Settlement("crashed", crashed.ticket, Verdict(Kind.RETURN, Charge.CRASH), record=b'{"n":1}'),
            Settlement("failed", failed.ticket, playing.FAIL, record=b'{"n":2}'),
        ],
    )

    assert count == 4
    assert ids_of(driver, State.WAITING) == ["crashed", "untouched", "after"]
    assert ids_of(driver, State.FAILED) == ["failed"]
    stored = {id: driver.message(QUEUE, id) for id in ("crashed", "untouched", "failed")}
    assert [one.counters for one in stored.values() if one] == [
        Counters(crashes=1),
        NO_COUNTERS,
        Counters(attempts=1),
    ]
    assert [one.history for one in stored.values() if one] == [(b'{"n":1}',), (), (b'{"n":2}',)]


def test_d7_a_reclaim_repeated_charges_nobody(driver: Driver) -> None:
    push(driver, "m")
    who = consumer(driver)
    (held,) = take(driver, who)
    crash = [Settlement("m", held.ticket, Verdict(Kind.RETURN, Charge.CRASH))]
    assert driver.reclaim(QUEUE, who, crash) == 1

    assert driver.reclaim(QUEUE, who, crash) == 0
    take(driver, heir := consumer(driver, "heir"))
    assert driver.reclaim(QUEUE, who, crash) == 0

    assert driver.owned(QUEUE, heir)[0].counters == Counters(crashes=1)


def test_d7_a_reclaim_ignores_settlements_of_what_was_not_owned(driver: Driver) -> None:
    push(driver, "mine", "theirs", "free")
    who, other = consumer(driver, "dead"), consumer(driver, "alive")
    (mine,) = take(driver, who)
    (theirs,) = take(driver, other)

    count = driver.reclaim(
        QUEUE,
        who,
        [
            Settlement("theirs", theirs.ticket, playing.FAIL),
            Settlement("free", 1, playing.FAIL),
            Settlement("mine", mine.ticket - 1, playing.FAIL),
        ],
    )

    assert count == 1
    assert states(driver) == {"mine": State.WAITING, "theirs": State.RESERVED, "free": State.WAITING}


def test_history_keeps_every_record_in_its_order(driver: Driver) -> None:
    push(driver, "m")
    who = consumer(driver)

    for line in (b'{"n":1}', b"", b'{"n":2,"text":"\\n"}'):
        (held,) = take(driver, who)
        driver.turn(QUEUE, who, [Settlement("m", held.ticket, UNTOUCHED, record=line)], 0)

    stored = driver.message(QUEUE, "m")
    assert stored and stored.history == (b'{"n":1}', b'{"n":2,"text":"\\n"}')


def test_history_is_bounded_by_dropping_the_oldest_records_whole(driver: Driver) -> None:
    push(driver, "m")
    who = consumer(driver)
    lines = [b'{"n":%d,"x":"%s"}' % (number, b"x" * (500 + number)) for number in range(100)]

    for line in lines:
        (held,) = take(driver, who)
        driver.turn(QUEUE, who, [Settlement("m", held.ticket, UNTOUCHED, record=line)], 0)

    stored = driver.message(QUEUE, "m")
    assert stored is not None
    kept = len(stored.history)
    assert stored.history == tuple(lines[-kept:])
    assert MAX_HISTORY - 1_000 < sum(map(len, stored.history)) <= MAX_HISTORY


# D13


def test_d13_compare_returns_what_the_consumer_does_not_hold(driver: Driver) -> None:
    push(driver, "a", "b", "c", "d")
    who = consumer(driver)
    a, b, c = take(driver, who, 3)

    compared = driver.compare(QUEUE, who, [b.ticket])

    assert compared == Compared(returned=2, lost=())
    assert ids_of(driver, State.WAITING) == ["a", "c", "d"]
    assert [one.ticket for one in driver.owned(QUEUE, who)] == [b.ticket]
    assert settle(driver, who, [a, c]) == (a.ticket, c.ticket)
    assert all(one.counters == NO_COUNTERS for one in driver.messages(QUEUE, State.WAITING, 0, 9))


def test_d13_compare_names_the_tickets_that_are_not_owned(driver: Driver) -> None:
    push(driver, "a", "b")
    who, other = consumer(driver), consumer(driver, "other")
    (a,) = take(driver, who)
    (b,) = take(driver, other)

    compared = driver.compare(QUEUE, who, [a.ticket, b.ticket, 5])

    assert compared == Compared(returned=0, lost=(b.ticket, 5))
    assert states(driver) == {"a": State.RESERVED, "b": State.RESERVED}


# tickets


def test_tickets_grow_with_every_reservation_also_over_a_reopen(store: Store) -> None:
    driver = store.open()
    push(driver, "a", "b", "c")
    seen: list[int] = []
    for name in ("one", "two", "three"):
        who = consumer(driver, name)
        held = take(driver, who, 2)
        seen += [one.ticket for one in held]
        driver.reclaim(QUEUE, who, ())
        driver.close()
        driver = store.open()

    assert len(seen) == 6
    assert seen == sorted(set(seen))
    assert all(ticket < 2**53 for ticket in seen)


def test_a_ticket_is_not_below_the_drivers_clock(driver: Driver) -> None:
    push(driver, "m")
    before = int(time.time() * 1e6) - 1_000

    (held,) = take(driver, consumer(driver))

    assert before <= held.ticket <= time.time() * 1e6 + 1_000


AHEAD = 10**12  # µs: eleven days


def test_tickets_go_on_where_they_were_said_to_have_been(driver: Driver) -> None:
    push(driver, "a", "b", "c")
    who = consumer(driver)
    (first,) = take(driver, who)
    last = first.ticket + AHEAD

    driver.raise_tickets(QUEUE, last)

    assert [one.ticket for one in take(driver, who, 2)] == [last + 1, last + 2]
    assert driver.owned(QUEUE, who)[0].ticket == first.ticket


def test_tickets_are_never_lowered(driver: Driver) -> None:
    push(driver, "a", "b")
    who = consumer(driver)
    last = int(time.time() * 1e6) + AHEAD
    driver.raise_tickets(QUEUE, last)
    (first,) = take(driver, who)

    driver.raise_tickets(QUEUE, last - 1)
    driver.raise_tickets(QUEUE, 1)

    (second,) = take(driver, who)
    assert (first.ticket, second.ticket) == (last + 1, last + 2)


def test_the_tickets_of_a_queue_that_is_not_there_can_be_raised(store: Store) -> None:
    last = int(time.time() * 1e6) + AHEAD

    store.open().raise_tickets(QUEUE, last)

    driver = store.open()
    push(driver, "m")
    (held,) = take(driver, consumer(driver))
    assert held.ticket == last + 1


def test_raised_tickets_are_exact_up_to_the_largest(driver: Driver) -> None:
    push(driver, "m")
    driver.raise_tickets(QUEUE, 2**53 - 2)

    (held,) = take(driver, consumer(driver))

    assert held.ticket == 2**53 - 1
    assert settle(driver, "emails:0", [held]) == ()


def test_the_answer_tells_the_drivers_clock(driver: Driver) -> None:
    who = consumer(driver)
    before = time.time() * 1000 - 1

    assert before <= driver.turn(QUEUE, who, (), 1).now_ms <= time.time() * 1000 + 1


# what one turn hands out


def test_a_turn_takes_no_more_than_asked_for(driver: Driver) -> None:
    push(driver, *"abcde")
    who = consumer(driver)

    assert take(driver, who, 0) == ()
    assert [one.id for one in take(driver, who, 2)] == ["a", "b"]
    assert [one.id for one in take(driver, who, 9)] == ["c", "d", "e"]
    assert take(driver, who, 9) == ()


def test_a_turn_is_bounded_in_bytes_but_hands_out_one(driver: Driver) -> None:
    size = len(playing.body_of("a"))
    push(driver, *"abcde")
    who = consumer(driver)

    assert [one.id for one in driver.turn(QUEUE, who, (), 9, max_bytes=1).taken] == ["a"]
    assert [one.id for one in driver.turn(QUEUE, who, (), 9, max_bytes=2 * size).taken] == ["b", "c"]
    assert [one.id for one in driver.turn(QUEUE, who, (), 9, max_bytes=2 * size - 1).taken] == ["d"]
    assert states(driver) == {id: State.WAITING if id == "e" else State.RESERVED for id in "abcde"}
