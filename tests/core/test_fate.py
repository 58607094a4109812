"""Fates: what becomes of the messages of a dead consumer, by the board's word and the cause of death (D7)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from procqueue.core.fate import MAX_LOST_DELAY_MS, Cause, Code, Fate, Slot, fates, lost
from procqueue.core.message import Charge, Counters, Owned
from procqueue.core.policy import MAX_SUSPECTS
from procqueue.core.verdict import ACK, INTERRUPTED, SUSPECTED, UNTOUCHED, Kind, Verdict

KILLED = Verdict(Kind.PARK, Charge.ATTEMPT)
DEAD = Verdict(Kind.RETURN, Charge.CRASH)
DEAD_FOR_GOOD = Verdict(Kind.FAIL, Charge.CRASH)
NEVER_AGAIN = Verdict(Kind.FAIL, Charge.INTERRUPT)
RETRIED = Verdict(Kind.RELEASE, Charge.ATTEMPT, 5_000)

ONE, TWO = Owned("one", 11, Counters()), Owned("two", 12, Counters())
SUSPECT = Counters(suspects=1)
NOT_BEGUN = Fate(UNTOUCHED, begun=False, owes=False)


def slot(ticket: int, code: Code, ended: Verdict = ACK) -> Slot:
    return Slot(ticket, code, if_killed=KILLED, if_dead=DEAD, if_interrupted=INTERRUPTED, ended=ended)


def board(*slots: Slot) -> dict[int, Slot]:
    return {one.ticket: one for one in slots}


RUNNING, BESIDE = slot(11, Code.RUNNING), slot(12, Code.RUNNING)


def later(seconds: int) -> Verdict:
    return Verdict(Kind.RELEASE, Charge.SUSPECT, seconds * 1000)


def begun(verdict: Verdict) -> Fate:
    return Fate(verdict, begun=True, owes=verdict.is_final)


# Not begun, and ended: the cause does not matter.


@pytest.mark.parametrize("code", [Code.FREE, Code.HELD, Code.TAKEN])
@pytest.mark.parametrize("cause", [*Cause])
def test_d7_what_was_not_begun_is_returned_untouched(code: Code, cause: Cause) -> None:
    assert fates([ONE], board(slot(11, code)), cause, overdue=11) == {11: NOT_BEGUN}


@pytest.mark.parametrize("cause", [*Cause])
def test_d7_what_the_board_never_saw_was_not_begun(cause: Cause) -> None:
    assert fates([ONE], {}, cause) == {11: NOT_BEGUN}


@pytest.mark.parametrize("ended", [ACK, RETRIED, KILLED, DEAD_FOR_GOOD])
@pytest.mark.parametrize("cause", [*Cause])
def test_d7_finished_but_unsettled_is_settled_not_repeated(ended: Verdict, cause: Cause) -> None:
    assert fates([ONE], board(slot(11, Code.ENDED, ended)), cause, overdue=11) == {
        11: Fate(ended, begun=True, owes=False)
    }


@pytest.mark.parametrize(("ended", "owes"), [(ACK, False), (RETRIED, True), (DEAD_FOR_GOOD, True)])
def test_d15_a_hook_that_was_running_is_owed(ended: Verdict, owes: bool) -> None:
    assert fates([ONE], board(slot(11, Code.OWING, ended)), Cause.CRASH) == {11: Fate(ended, True, owes)}


# Running.


@pytest.mark.parametrize("cause", [Cause.CRASH, Cause.MEMORY])
def test_d7_what_ran_alone_when_its_process_died_pays_for_it(cause: Cause) -> None:
    assert fates([ONE], board(RUNNING), cause) == {11: begun(DEAD)}


def test_d7_what_ran_alone_for_the_last_time_fails_and_its_hook_is_owed() -> None:
    for_good = replace(RUNNING, if_dead=DEAD_FOR_GOOD)

    assert fates([ONE], board(for_good), Cause.CRASH) == {11: Fate(DEAD_FOR_GOOD, begun=True, owes=True)}


@pytest.mark.parametrize("cause", [Cause.CRASH, Cause.MEMORY])
def test_d7_those_that_ran_beside_each_other_are_suspected(cause: Cause) -> None:
    assert fates([ONE, TWO], board(RUNNING, BESIDE), cause) == {11: begun(SUSPECTED), 12: begun(SUSPECTED)}


@pytest.mark.parametrize("cause", [Cause.CRASH, Cause.MEMORY])
def test_d7_a_single_suspect_answers_for_the_death_and_its_neighbours_do_not(cause: Cause) -> None:
    suspect = replace(TWO, counters=SUSPECT)

    assert fates([suspect], board(BESIDE), cause) == {12: begun(DEAD)}
    assert fates([ONE, suspect], board(RUNNING, BESIDE), cause) == {11: begun(INTERRUPTED), 12: begun(DEAD)}


@pytest.mark.parametrize("code", [Code.HELD, Code.ENDED, Code.OWING, Code.TAKEN])
def test_d7_one_that_only_waited_or_had_ended_does_not_share_the_blame(code: Code) -> None:
    found = fates([ONE, TWO], board(RUNNING, slot(12, code)), Cause.CRASH)

    assert found[11] == begun(DEAD)


def test_d4_a_slot_of_a_ticket_that_the_driver_does_not_confirm_counts_for_nothing() -> None:
    settled_long_ago = slot(7, Code.RUNNING)

    assert fates([ONE], board(RUNNING, settled_long_ago), Cause.CRASH) == {11: begun(DEAD)}


def test_d7_the_overdue_one_ends_as_its_policy_says_and_its_neighbours_are_interrupted() -> None:
    assert fates([ONE, TWO], board(RUNNING, BESIDE), Cause.TIMEOUT, overdue=12) == {
        11: begun(INTERRUPTED),
        12: begun(KILLED),
    }


def test_d7_what_ended_just_before_the_kill_at_its_deadline_ends_as_it_ended() -> None:
    assert fates([ONE], board(slot(11, Code.ENDED, ACK)), Cause.TIMEOUT, overdue=11)[11].verdict == ACK


def test_d7_what_we_stopped_is_interrupted_alone_or_not() -> None:
    assert fates([ONE], board(RUNNING), Cause.STOPPED) == {11: begun(INTERRUPTED)}
    assert fates([ONE, TWO], board(RUNNING, BESIDE), Cause.STOPPED)[12] == begun(INTERRUPTED)


@pytest.mark.parametrize("cause", [Cause.UNWATCHED, Cause.LOST])
def test_d7_what_died_unwatched_is_suspected_even_alone(cause: Cause) -> None:
    assert fates([ONE], board(RUNNING), cause) == {11: begun(SUSPECTED)}


@pytest.mark.parametrize("cause", [*Cause])
@pytest.mark.parametrize("beside", [False, True])
def test_d7_what_must_not_be_begun_twice_is_not_returned_whatever_the_cause(
    cause: Cause, beside: bool
) -> None:
    failed = Verdict(Kind.FAIL, Charge.ATTEMPT)
    once = replace(RUNNING, if_killed=failed, if_dead=DEAD_FOR_GOOD, if_interrupted=NEVER_AGAIN)
    owned, slots = ([ONE, TWO], board(once, BESIDE)) if beside else ([ONE], board(once))

    fate = fates(owned, slots, cause, overdue=11)[11]

    assert fate.verdict.kind is Kind.FAIL
    assert fate.owes


# Without a board.


@pytest.mark.parametrize("cause", [*Cause])
def test_d7_without_a_board_everything_is_suspected_and_comes_back_one_after_the_other(cause: Cause) -> None:
    assert fates([ONE, TWO], None, cause) == {11: begun(later(1)), 12: begun(later(2))}
    assert fates([ONE, TWO], None, cause, lost_before=5) == {11: begun(later(6)), 12: begun(later(7))}


def test_d7_what_was_lost_before_waits_longer_each_time() -> None:
    waits = [lost(Counters(suspects=suspects), 3).verdict.delay_ms for suspects in range(9)]

    assert waits == [3_000, 6_000, 12_000, 24_000, 48_000, 96_000, 192_000, *[MAX_LOST_DELAY_MS] * 2]
    assert lost(Counters(), 10_000) == begun(later(300))


def test_d7_what_is_lost_and_must_not_be_begun_twice_fails() -> None:
    failed = Fate(Verdict(Kind.FAIL, Charge.SUSPECT), begun=True, owes=True)

    assert fates([ONE], None, Cause.LOST, begins_once=True) == {11: failed}


def test_d7_the_tenth_suspicion_is_the_last() -> None:
    failed = Fate(Verdict(Kind.FAIL, Charge.SUSPECT), begun=True, owes=True)

    assert MAX_SUSPECTS == 10
    assert not lost(Counters(suspects=8), 1).verdict.is_final
    assert lost(Counters(suspects=9), 1) == failed
    often, other = replace(ONE, counters=Counters(suspects=9)), replace(TWO, counters=SUSPECT)
    assert fates([often, other], board(RUNNING, BESIDE), Cause.CRASH) == {11: failed, 12: begun(SUSPECTED)}


def test_a_consumer_that_owned_nothing_leaves_nothing() -> None:
    assert fates([], board(RUNNING), Cause.CRASH) == {}
    assert fates([], None, Cause.CRASH) == {}


def test_s7_the_codes_on_boards_keep_their_numbers() -> None:
    assert [(code.name, code.value) for code in Code] == [
        ("FREE", 0),
        ("HELD", 1),
        ("RUNNING", 2),
        ("TAKEN", 3),
        ("OWING", 4),
        ("ENDED", 5),
    ]
