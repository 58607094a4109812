"""The life of a message: core's TRANSITIONS, each carried out, and nothing that is not listed (law D3)."""

from __future__ import annotations

import contextlib

import pytest

from procqueue.core.message import TRANSITIONS, Change, Reservation, State
from procqueue.core.verdict import ACK, UNTOUCHED, Settlement
from procqueue.drivers.contract import Driver
from tests.conformance import playing
from tests.conformance.playing import DAY_MS, push, states
from tests.conformance.stores import QUEUE

VERDICTS = {
    Change.ACK: ACK,
    Change.RETURN: UNTOUCHED,
    Change.RELEASE: playing.RELEASE,
    Change.RELEASE_LATER: playing.RELEASE_LATER,
    Change.FAIL: playing.FAIL,
    Change.PARK: playing.PARK,
}
NOT_LISTED = [
    (state, change)
    for state in (None, *State)
    for change in Change
    if (state, change) not in TRANSITIONS and change is not Change.DUE
]


@pytest.mark.parametrize(("before", "change"), TRANSITIONS)
def test_d3_every_listed_change_is_carried_out(driver: Driver, before: State | None, change: Change) -> None:
    held = _bring(driver, before, change)

    _ask_for(driver, change, held)

    after = TRANSITIONS[before, change]
    assert states(driver) == ({} if after is None else {"m": after})
    assert getattr(driver.message(QUEUE, "m"), "state", None) is after


@pytest.mark.parametrize(("before", "change"), NOT_LISTED)
def test_d3_what_is_not_listed_changes_nothing(driver: Driver, before: State | None, change: Change) -> None:
    held = playing.bring_to(driver, before, "m") if before else ()
    was = driver.message(QUEUE, "m")

    with contextlib.suppress(ValueError):
        _ask_for(driver, change, held or (Reservation(QUEUE, "m", 1, b"", None, 0),))  # type: ignore[arg-type]

    assert states(driver) == ({} if before is None else {"m": before})
    assert driver.message(QUEUE, "m") == was


@pytest.mark.parametrize("before", [state for state in State if state is not State.DELAYED])
def test_d3_only_what_is_delayed_becomes_due(driver: Driver, before: State) -> None:
    playing.bring_to(driver, before, "m")

    assert driver.promote(QUEUE).moved == 0

    assert states(driver) == {"m": before}


def test_d3_one_turn_settles_in_every_way_at_once(driver: Driver) -> None:
    push(driver, *VERDICTS)
    who = playing.consumer(driver)
    held = playing.take(driver, who, len(VERDICTS))
    assert states(driver) == dict.fromkeys(VERDICTS, State.RESERVED)

    settlements = [Settlement(one.id, one.ticket, VERDICTS[Change(one.id)]) for one in held]
    turn = driver.turn(QUEUE, who, settlements, 0)

    assert (turn.refused, turn.taken, turn.owned) == ((), (), 0)
    assert states(driver) == {
        change: after for change in VERDICTS if (after := TRANSITIONS[State.RESERVED, change])
    }


def _bring(driver: Driver, before: State | None, change: Change) -> tuple[Reservation, ...]:
    if change is Change.DUE:
        push(driver, "m", delay_ms=30)
        return ()
    return playing.bring_to(driver, before, "m") if before else ()


def _ask_for(driver: Driver, change: Change, held: tuple[Reservation, ...]) -> None:
    match change:
        case Change.PUSH:
            push(driver, "m")
        case Change.PUSH_LATER:
            push(driver, "m", delay_ms=DAY_MS)
        case Change.DUE:
            playing.wait_due(driver)
        case Change.RESERVE:
            playing.take(driver, playing.consumer(driver, "takes"), 9)
        case Change.RETRY:
            driver.retry(QUEUE, State.FAILED, ["m"])
            driver.retry(QUEUE, State.TIMEOUT, ["m"])
        case Change.CANCEL:
            driver.cancel(QUEUE, {"m": playing.header("m", "cancelled")})
        case Change.FORGET:
            driver.forget(QUEUE, ["m"])
            for state in State:
                with contextlib.suppress(ValueError):
                    driver.clear(QUEUE, state)
        case _:
            with contextlib.suppress(Exception):  # the consumer may be unknown: then nothing changes either
                playing.settle(driver, "leads", held, VERDICTS[change])
