"""What a scheduler does about other hosts, with a real store and no other process (law D6)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from procqueue.core.errors import DriverError, DriverUnavailable
from procqueue.core.message import Counters, State
from procqueue.core.record import Record
from procqueue.core.repairs import Repair
from procqueue.drivers.contract import Driver, Entry
from procqueue.drivers.sqlite.driver import SqliteDriver
from procqueue.process.hosts import Hosts
from procqueue.process.log import Log

TIMEOUT = 1.5
PATIENCE = 30.0
AWAY = DriverUnavailable("away")
QUEUE, OTHER = "emails", "images"


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[SqliteDriver]:
    driver = SqliteDriver(str(tmp_path / "queue.db"))
    yield driver
    driver.close()


def new_hosts(
    host: str = "here",
    once: tuple[str, ...] = (),
    repaired: Callable[[Repair, int], None] = lambda _kind, _number: None,
) -> Hosts:
    log = Log("test", "error")
    return Hosts(host, "shop", (QUEUE, OTHER), once, TIMEOUT, lambda: None, apart, repaired, log)


@contextmanager
def apart(about: str) -> Iterator[None]:  # noqa: ARG001
    """Let what is wrong with one queue be, as the scheduler does."""
    try:
        yield
    except DriverUnavailable:
        raise
    except DriverError:
        pass


def turn_until(hosts: Hosts, driver: Driver, holds: Callable[[], Any]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up, "waited for too long"
        try:
            hosts.turn(driver)
        except DriverUnavailable:
            hosts.failed()
        time.sleep(min(0.005, hosts.seconds_left()))


def lose(driver: Driver, *consumers: str, each: int = 2) -> None:
    """Let consumers of a host that is never heard of again own messages."""
    for name in consumers:
        driver.push(QUEUE, [Entry(f"{name}{number}", b"body") for number in range(each)])
        driver.register(QUEUE, name, "there")
        assert len(driver.turn(QUEUE, name, (), each).taken) == each


def hosts_of(driver: Driver, queue: str = QUEUE) -> list[str]:
    return [one.host for one in driver.beats(queue).hosts]


def test_d7_what_a_host_had_comes_back_one_after_the_other_over_all_its_consumers(
    driver: SqliteDriver,
) -> None:
    lose(driver, "a", "b", "c")
    hosts = new_hosts()

    turn_until(hosts, driver, lambda: "there" not in hosts_of(driver))

    found = {one.id: one for one in driver.messages(QUEUE, State.DELAYED, 0, 9)}
    assert {one.counters for one in found.values()} == {Counters(suspects=1)}
    waits = [found[f"{name}{number}"].due_ms or 0 for name in "abc" for number in range(2)]
    assert [round((due - waits[0]) / 1000) for due in waits] == [0, 1, 2, 3, 4, 5]
    record = Record.decode(found["a0"].history[-1])
    assert (record.outcome, record.consumer) == ("crashed", "a") and "whole host is lost" in record.error


def test_d6_a_takeover_that_is_interrupted_goes_on_and_charges_nobody_twice(driver: SqliteDriver) -> None:
    lose(driver, "a", "b", "c", each=1)
    hosts = new_hosts()
    flaky = Flaky(driver, "reclaim", {2, 3})

    turn_until(hosts, cast(Driver, flaky), lambda: "there" not in hosts_of(driver))

    assert flaky.calls == 5
    found = driver.messages(QUEUE, State.DELAYED, 0, 9)
    assert [(one.id, one.counters) for one in found] == [(f"{n}0", Counters(suspects=1)) for n in "abc"]


def test_d6_another_observer_finishes_what_the_first_had_begun(driver: SqliteDriver) -> None:
    lose(driver, "a", "b", each=1)
    assert driver.bury(QUEUE, "there", 0) == ["a", "b"]
    driver.reclaim(QUEUE, "a", ())

    turn_until(new_hosts(), driver, lambda: "there" not in hosts_of(driver))

    assert [one.id for one in driver.messages(QUEUE, State.DELAYED, 0, 9)] == ["b0"]
    assert driver.consumers(QUEUE, "there") == []


def test_d7_what_must_not_be_begun_twice_fails_with_its_host(driver: SqliteDriver) -> None:
    lose(driver, "a", each=1)

    turn_until(new_hosts(once=(QUEUE,)), driver, lambda: "there" not in hosts_of(driver))

    assert [one.id for one in driver.messages(QUEUE, State.FAILED, 0, 9)] == ["a0"]
    assert driver.counts(QUEUE).notices == 1


def test_d6_a_host_that_was_buried_in_one_queue_beats_in_none(driver: SqliteDriver) -> None:
    hosts = new_hosts()
    hosts.turn(driver)
    (beat,) = driver.beats(QUEUE).hosts
    driver.bury(QUEUE, "here", beat.value)
    stood = driver.beats(OTHER)

    turn_until(hosts, driver, lambda: hosts.disowned)
    hosts.turn(driver)

    assert driver.beats(OTHER) == stood
    assert hosts.seconds_left() == float("inf")


def test_d6_a_queue_that_is_broken_silences_this_host_in_no_other(driver: SqliteDriver) -> None:
    hosts = new_hosts()

    hosts.turn(cast(Driver, Flaky(driver, "beat", {1}, DriverError("a key of another type"))))

    assert (hosts_of(driver), hosts_of(driver, OTHER)) == ([], ["here"])


def test_d6_what_the_store_refused_to_give_back_is_tried_again_after_another_host_timeout(
    driver: SqliteDriver,
) -> None:
    lose(driver, "a", each=1)
    hosts = new_hosts()
    flaky = Flaky(driver, "reclaim", {1}, DriverError("a key of another type"))

    turn_until(hosts, cast(Driver, flaky), lambda: "there" not in hosts_of(driver))

    assert flaky.calls == 2
    assert [one.id for one in driver.messages(QUEUE, State.DELAYED, 0, 9)] == ["a0"]


def test_a_host_that_leaves_is_watched_in_no_queue(driver: SqliteDriver) -> None:
    hosts = new_hosts()
    hosts.turn(driver)

    hosts.leave(driver)

    assert (hosts_of(driver), hosts_of(driver, OTHER)) == ([], [])


def test_a_host_that_cannot_say_goodbye_leaves_all_the_same(driver: SqliteDriver) -> None:
    hosts = new_hosts()
    hosts.turn(driver)

    hosts.leave(cast(Driver, Flaky(driver, "leave_host", {1})))


class Flaky:
    """A driver one of whose verbs fails at its `when`-th calls."""

    def __init__(self, driver: Driver, verb: str, when: set[int], error: DriverError = AWAY) -> None:
        self._driver = driver
        self._verb = verb
        self._when = when
        self._error = error
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        if name == self._verb:
            self.calls += 1
            if self.calls in self._when:
                raise self._error
        return getattr(self._driver, name)


def test_d13_a_queue_that_comes_back_older_or_empty_is_told_once(driver: SqliteDriver) -> None:
    told: list[tuple[Repair, int]] = []
    hosts = new_hosts(repaired=lambda kind, number: told.append((kind, number)))
    turn_until(hosts, driver, lambda: beat_of(driver, QUEUE) == 3)
    assert told == []

    driver.leave_host(QUEUE, "here")  # as an empty store has no host

    turn_until(hosts, driver, lambda: beat_of(driver, QUEUE) == 3)
    assert told == [(Repair.WENT_BACK, 1)]


def test_s8_an_undertaker_that_leaves_does_not_take_the_next_masters_scheduler_off_the_list(
    driver: SqliteDriver,
) -> None:
    old, new = new_hosts(), new_hosts()
    old.turn(driver)
    new.turn(driver)

    old.leave(driver)
    assert hosts_of(driver) == ["here"]

    turn_until(new, driver, lambda: beat_of(driver, QUEUE) > 4)
    new.leave(driver)
    assert hosts_of(driver) == []


def beat_of(driver: Driver, queue: str) -> int:
    return next((one.value for one in driver.beats(queue).hosts if one.host == "here"), 0)
