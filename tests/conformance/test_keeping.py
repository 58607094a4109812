"""Retention: what stands in failed or timeout is dropped by number and by age, the oldest first."""

from __future__ import annotations

import pytest

from procqueue.core.message import State
from procqueue.drivers.contract import MAX_ENTRIES, Driver, Entry
from tests.conformance import playing
from tests.conformance.playing import FAIL, PARK, consumer, ids_of, push, settle, states, take
from tests.conformance.stores import QUEUE, Store

WAYS = [(State.FAILED, FAIL), (State.TIMEOUT, PARK)]
HOUR_MS = 3_600_000


def end_badly(driver: Driver, verdict: playing.Verdict, *ids: str) -> None:
    push(driver, *ids)
    settle(driver, who := consumer(driver), take(driver, who, len(ids)), verdict)


@pytest.mark.parametrize(("state", "verdict"), WAYS)
def test_the_oldest_beyond_the_number_go(driver: Driver, state: State, verdict: playing.Verdict) -> None:
    end_badly(driver, verdict, "a", "b")
    end_badly(driver, verdict, "c")

    assert driver.trim(QUEUE, state, 3, 0) == 0
    assert driver.trim(QUEUE, state, 1, HOUR_MS) == 2

    assert states(driver) == {"c": state}
    assert driver.message(QUEUE, "a") is None


@pytest.mark.parametrize(("state", "verdict"), WAYS)
def test_what_is_too_old_goes_and_what_came_later_stays(
    store: Store, state: State, verdict: playing.Verdict
) -> None:
    driver = store.open()
    end_badly(driver, verdict, "a")
    assert driver.trim(QUEUE, state, 0, HOUR_MS) == 0
    store.age(2 * HOUR_MS)
    end_badly(driver, verdict, "b")

    assert driver.trim(QUEUE, state, 0, HOUR_MS) == 1

    assert ids_of(driver, state) == ["b"]


def test_no_limit_keeps_all(driver: Driver) -> None:
    end_badly(driver, FAIL, "a", "b")

    assert driver.trim(QUEUE, State.FAILED, 0, 0) == 0
    assert ids_of(driver, State.FAILED) == ["a", "b"]


def test_only_the_state_that_is_named_is_touched(store: Store) -> None:
    driver = store.open()
    end_badly(driver, FAIL, "failed")
    end_badly(driver, PARK, "parked")
    push(driver, "waits", "held")
    take(driver, consumer(driver))
    push(driver, "later", delay_ms=playing.DAY_MS)
    before = states(driver)

    store.age(HOUR_MS)
    assert driver.trim(QUEUE, State.FAILED, 0, 1) == 1

    assert states(driver) == {id: state for id, state in before.items() if id != "failed"}


@pytest.mark.parametrize("state", [State.WAITING, State.DELAYED, State.RESERVED])
def test_what_may_still_run_is_never_dropped(driver: Driver, state: State) -> None:
    playing.bring_to(driver, state, "m")

    with pytest.raises(ValueError, match="only failed and timeout"):
        driver.trim(QUEUE, state, 0, 1)


def test_one_call_drops_so_many_and_the_next_goes_on(driver: Driver) -> None:
    ids = [f"m{n}" for n in range(MAX_ENTRIES + 5)]
    for some in (ids[:MAX_ENTRIES], ids[MAX_ENTRIES:]):
        end_badly(driver, FAIL, *some)

    assert driver.trim(QUEUE, State.FAILED, 1, 0) == MAX_ENTRIES
    assert driver.trim(QUEUE, State.FAILED, 1, 0) == 4
    assert ids_of(driver, State.FAILED) == ids[-1:]


def test_the_id_of_what_was_dropped_is_free_unless_it_is_remembered(driver: Driver) -> None:
    for id, remember in (("kept", HOUR_MS), ("free", 0), ("last", 0)):
        driver.push(QUEUE, [Entry(id, b"{}", remember_ms=remember)])
    settle(driver, who := consumer(driver), take(driver, who, 2), FAIL)
    settle(driver, who, take(driver, who), FAIL)

    assert driver.trim(QUEUE, State.FAILED, 1, 0) == 2

    assert push(driver, "kept", "free", "last") == ["duplicate", "queued", "duplicate"]
