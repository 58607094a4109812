"""Hosts: who beats, who is buried, and what that means for its consumers. Law D6."""

from __future__ import annotations

import pytest

from procqueue.core.errors import Gone
from procqueue.core.message import NO_COUNTERS, Owned, State
from procqueue.core.verdict import SUSPECTED
from procqueue.drivers.contract import Beat, Driver
from tests.conformance.playing import ids_of, push, settle, states, take, verdicts
from tests.conformance.stores import QUEUE, Store

HERE, THERE = "host-1", "host-2"


def value_of(driver: Driver, host: str) -> int:
    (found,) = [one.value for one in driver.beats(QUEUE).hosts if one.host == host]
    return found


def member(driver: Driver, name: str, host: str) -> str:
    driver.register(QUEUE, name, host)
    return name


def test_d6_a_beat_moves_each_time_and_answers_those_of_all(driver: Driver) -> None:
    driver.beat(QUEUE, THERE, "shop@there")
    first = driver.beat(QUEUE, HERE, "shop@here äöü")
    second = driver.beat(QUEUE, HERE, "shop@here äöü")

    (one, other), (later, same) = first.hosts, second.hosts
    assert (one.host, one.name) == (HERE, "shop@here äöü") == (later.host, later.name)
    assert (other.host, other.name) == (THERE, "shop@there")
    assert later.value != one.value and same == other
    assert driver.beats(QUEUE) == second


def test_d6_a_store_has_an_identity_that_all_its_connections_tell(store: Store) -> None:
    first = store.open().beat(QUEUE, HERE, "")
    other = store.open().beat("another", HERE, "")

    assert first.server and first.server == other.server


def test_d6_beats_are_of_one_queue(driver: Driver) -> None:
    driver.beat(QUEUE, HERE, "")
    driver.bury("another", HERE, 0)

    assert driver.beats("another").hosts == ()
    driver.beat("another", HERE, "")
    driver.bury("another", HERE, 1)
    driver.beat(QUEUE, HERE, "")


def test_d6_a_host_is_watched_from_its_first_consumer_on(driver: Driver) -> None:
    member(driver, "a", HERE)

    assert driver.beats(QUEUE).hosts == (Beat(HERE, "", 0),)
    assert driver.bury(QUEUE, HERE, 0) == ["a"]


def test_d6_another_consumer_moves_no_beat(driver: Driver) -> None:
    seen = driver.beat(QUEUE, HERE, "name")

    member(driver, "a", HERE)

    assert driver.beats(QUEUE) == seen


def test_d6_a_buried_host_is_gone_for_ever(driver: Driver) -> None:
    driver.beat(QUEUE, HERE, "")
    member(driver, "a", HERE)

    assert driver.bury(QUEUE, HERE, value_of(driver, HERE)) == ["a"]

    with pytest.raises(Gone):
        driver.beat(QUEUE, HERE, "")
    with pytest.raises(Gone):
        driver.register(QUEUE, "b", HERE)
    driver.beat(QUEUE, THERE, "")
    member(driver, "c", THERE)


def test_d6_a_buried_hosts_consumers_can_do_nothing_although_they_are_not_reclaimed_yet(
    driver: Driver,
) -> None:
    push(driver, "m", "n")
    who = member(driver, "a", HERE)
    held = take(driver, who)

    driver.bury(QUEUE, HERE, 0)

    for late in (verdicts(held), ()):
        with pytest.raises(Gone):
            driver.turn(QUEUE, who, late, 1)
    with pytest.raises(Gone):
        driver.compare(QUEUE, who, ())
    with pytest.raises(Gone):
        driver.register(QUEUE, who, THERE)
    assert states(driver) == {"m": State.RESERVED, "n": State.WAITING}
    assert driver.owned(QUEUE, who) == [Owned("m", held[0].ticket, NO_COUNTERS)]


def test_d6_a_buried_hosts_consumers_are_known_until_each_is_reclaimed(driver: Driver) -> None:
    push(driver, "m")
    for name in ("a", "b"):
        member(driver, name, HERE)
    member(driver, "other", THERE)
    (held,) = take(driver, "b")

    assert driver.bury(QUEUE, HERE, 0) == ["a", "b"]
    assert driver.bury(QUEUE, HERE, 0) == driver.consumers(QUEUE, HERE) == ["a", "b"]
    driver.reclaim(QUEUE, "a", ())
    assert driver.bury(QUEUE, HERE, 0) == ["b"]
    assert driver.reclaim(QUEUE, "b", verdicts([held], SUSPECTED)) == 1

    assert driver.bury(QUEUE, HERE, 0) == []
    assert ids_of(driver, State.WAITING) == ["m"]
    assert driver.consumers(QUEUE, THERE) == ["other"]


def test_d6_who_moved_since_it_was_seen_is_not_buried(driver: Driver) -> None:
    push(driver, "m")
    driver.beat(QUEUE, HERE, "")
    seen = value_of(driver, HERE)
    who = member(driver, "a", HERE)
    held = take(driver, who)
    driver.beat(QUEUE, HERE, "")

    assert driver.bury(QUEUE, HERE, seen) is None

    driver.beat(QUEUE, HERE, "")
    assert settle(driver, who, held) == ()


def test_d6_who_has_left_is_neither_watched_nor_buried(driver: Driver) -> None:
    driver.beat(QUEUE, HERE, "")
    driver.beat(QUEUE, THERE, "")
    seen = value_of(driver, HERE)

    driver.leave_host(QUEUE, HERE)
    driver.leave_host(QUEUE, "never heard of")

    assert [one.host for one in driver.beats(QUEUE).hosts] == [THERE]
    assert driver.bury(QUEUE, HERE, seen) is None
    driver.beat(QUEUE, HERE, "")  # it comes back as who it was


def test_d6_a_host_with_consumers_does_not_leave_unnoticed(driver: Driver) -> None:
    driver.beat(QUEUE, HERE, "")
    member(driver, "a", HERE)

    driver.leave_host(QUEUE, HERE)
    assert [one.host for one in driver.beats(QUEUE).hosts] == [HERE]
    driver.leave(QUEUE, "a")
    driver.leave_host(QUEUE, HERE)

    assert driver.beats(QUEUE).hosts == ()


def test_d6_a_buried_host_stays_until_its_last_consumer_is_reclaimed(driver: Driver) -> None:
    member(driver, "a", HERE)
    driver.bury(QUEUE, HERE, 0)

    driver.leave_host(QUEUE, HERE)
    assert driver.bury(QUEUE, HERE, 0) == ["a"]
    driver.reclaim(QUEUE, "a", ())
    driver.leave_host(QUEUE, HERE)

    assert driver.beats(QUEUE).hosts == ()
    with pytest.raises(Gone):
        driver.beat(QUEUE, HERE, "")


def test_d6_the_dead_consumer_of_a_buried_host_that_comes_late_stays_dead(driver: Driver) -> None:
    """Its own host reclaims it too, by its board: whoever is first settles, the other finds nothing."""
    push(driver, "m")
    who = member(driver, "a", HERE)
    held = take(driver, who)
    driver.bury(QUEUE, HERE, 0)

    assert driver.reclaim(QUEUE, who, verdicts(held)) == 1

    assert driver.owned(QUEUE, who) == []
    assert driver.reclaim(QUEUE, who, verdicts(held, SUSPECTED)) == 0
    assert states(driver) == {}
