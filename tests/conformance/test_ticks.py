"""Crons: a tick is taken once, whoever sees it, and its message is stored in the same step (D1, D2)."""

from __future__ import annotations

import threading

import pytest

from procqueue.core.message import State
from procqueue.core.verdict import ACK
from procqueue.drivers.contract import Driver, GateState
from procqueue.drivers.upkeep import Tick, Ticked
from tests.conformance import playing
from tests.conformance.playing import (
    DEADLINE,
    FAIL,
    PARK,
    RELEASE_LATER,
    consumer,
    push,
    settle,
    states,
    take,
)
from tests.conformance.stores import QUEUE, Store

BODY = b'{"v":1,"task":"report"}'


def tick(driver: Driver, ms: int, *, alone: bool = True, cron: str = "nightly") -> Ticked:
    return driver.push_tick(QUEUE, cron, Tick(ms, "* * * * * UTC", f"{cron}@{ms}"), BODY, alone=alone)


def note(driver: Driver, ms: int) -> Ticked:
    return driver.push_tick(QUEUE, "nightly", Tick(ms, "* * * * * UTC", f"nightly@{ms}"), None, alone=True)


def test_a_tick_is_pushed_and_known_from_then_on(driver: Driver) -> None:
    who = consumer(driver)
    assert driver.ticks(QUEUE) == {}

    assert tick(driver, 1000) is Ticked.DONE

    assert driver.ticks(QUEUE) == {"nightly": Tick(1000, "* * * * * UTC", "nightly@1000")}
    (held,) = take(driver, who, 9)
    assert (held.id, held.body) == ("nightly@1000", BODY)


@pytest.mark.parametrize("ms", [1000, 999])
def test_one_that_is_not_newer_changes_nothing(driver: Driver, ms: int) -> None:
    tick(driver, 1000)
    who = consumer(driver)
    settle(driver, who, take(driver, who))

    assert tick(driver, ms) is Ticked.KNOWN

    assert states(driver) == {}
    assert driver.ticks(QUEUE)["nightly"].ms == 1000


def test_of_many_that_see_a_tick_at_once_one_pushes_it(store: Store) -> None:
    drivers = [store.open() for _ in range(4)]
    answers: list[Ticked] = []
    barrier = threading.Barrier(len(drivers))

    def push_all(driver: Driver) -> None:
        for ms in range(1000, 1020):
            barrier.wait(DEADLINE)
            answers.append(tick(driver, ms, alone=False))

    threads = [threading.Thread(target=push_all, args=(driver,)) for driver in drivers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)

    assert answers.count(Ticked.DONE) == 20 and answers.count(Ticked.KNOWN) == 60
    assert playing.ids_of(drivers[0], State.WAITING) == [f"nightly@{ms}" for ms in range(1000, 1020)]


def test_noted_without_a_message(driver: Driver) -> None:
    assert note(driver, 1000) is Ticked.DONE
    assert note(driver, 1000) is Ticked.KNOWN

    assert states(driver) == {}
    assert driver.ticks(QUEUE) == {"nightly": Tick(1000, "* * * * * UTC", "")}
    assert tick(driver, 1001) is Ticked.DONE


@pytest.mark.parametrize("state", [State.WAITING, State.DELAYED, State.RESERVED])
def test_none_is_pushed_beside_one_that_is_still_to_be_handled(driver: Driver, state: State) -> None:
    tick(driver, 1000)
    if state is not State.WAITING:
        held = take(driver, consumer(driver))
        if state is State.DELAYED:
            settle(driver, "emails:0", held, RELEASE_LATER)

    assert tick(driver, 2000) is Ticked.SKIPPED
    assert tick(driver, 2000) is Ticked.KNOWN
    assert note(driver, 2500) is Ticked.DONE
    assert tick(driver, 3000) is Ticked.SKIPPED

    assert states(driver) == {"nightly@1000": state}
    assert tick(driver, 4000, alone=False) is Ticked.DONE


@pytest.mark.parametrize("verdict", [ACK, FAIL, PARK], ids=["done", "failed", "parked"])
def test_the_next_is_pushed_when_the_former_is_not_to_be_handled_any_more(
    driver: Driver, verdict: playing.Verdict
) -> None:
    tick(driver, 1000)
    settle(driver, who := consumer(driver), take(driver, who), verdict)

    assert tick(driver, 2000) is Ticked.DONE
    assert tick(driver, 3000) is Ticked.SKIPPED


def test_crons_of_a_queue_know_nothing_of_each_other(driver: Driver) -> None:
    assert tick(driver, 2000) is Ticked.DONE

    assert tick(driver, 1000, cron="hourly") is Ticked.DONE
    assert set(driver.ticks(QUEUE)) == {"nightly", "hourly"}


def test_an_id_that_is_taken_is_not_stored_twice(driver: Driver) -> None:
    push(driver, "nightly@1000")

    assert tick(driver, 1000) is Ticked.DUPLICATE
    assert tick(driver, 1000) is Ticked.KNOWN

    message = driver.message(QUEUE, "nightly@1000")
    assert message and message.body == playing.body_of("nightly@1000")


def test_it_wakes(store: Store) -> None:
    driver, waiter = store.open(), store.open()
    consumer(waiter)
    waiter.wait([QUEUE], 0.01, [])

    tick(driver, 1000)

    assert waiter.wait([QUEUE], DEADLINE, [])


@pytest.mark.parametrize("state", [GateState.CLOSED, GateState.DRAINING])
def test_a_tick_behind_a_gate_is_neither_pushed_nor_noted(driver: Driver, state: GateState) -> None:
    tick(driver, 1000)
    driver.set_gate(QUEUE, state)

    assert tick(driver, 2000, alone=False) is Ticked.CLOSED
    assert tick(driver, 1000) is Ticked.KNOWN
    assert driver.ticks(QUEUE)["nightly"].ms == 1000 and driver.counts(QUEUE).waiting == 1

    driver.set_gate(QUEUE, GateState.OPEN)
    assert tick(driver, 2000, alone=False) is Ticked.DONE
    driver.set_gate(QUEUE, state)
    assert note(driver, 3000) is Ticked.DONE
