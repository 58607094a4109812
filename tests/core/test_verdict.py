"""The verdict and its word on the board, which the next version must still be able to read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procqueue.core.message import NO_COUNTERS, TRANSITIONS, Change, Charge, Counters, Reservation, State
from procqueue.core.verdict import ACK, CHARGES, INTERRUPTED, SUSPECTED, UNTOUCHED, Kind, Verdict

FIVE = Counters(1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("verdict", "change"),
    [
        (ACK, Change.ACK),
        (UNTOUCHED, Change.RETURN),
        (INTERRUPTED, Change.RETURN),
        (SUSPECTED, Change.RETURN),
        (Verdict(Kind.RELEASE, Charge.RELEASE), Change.RELEASE),
        (Verdict(Kind.RELEASE, Charge.ATTEMPT, 1), Change.RELEASE_LATER),
        (Verdict(Kind.FAIL, Charge.CRASH), Change.FAIL),
        (Verdict(Kind.PARK, Charge.ATTEMPT), Change.PARK),
    ],
)
def test_a_verdict_asks_for_one_change(verdict: Verdict, change: Change) -> None:
    assert verdict.change is change


def test_only_failed_and_parked_messages_wait_for_a_person() -> None:
    assert [kind for kind in Kind if Verdict(kind).is_final] == [Kind.FAIL, Kind.PARK]


# The word on the board (law S7).


@given(st.sampled_from(Kind), st.sampled_from(CHARGES), st.integers(0, (1 << 48) - 1))
def test_s7_a_verdict_is_one_word_and_back(kind: Kind, charge: Charge, delay_ms: int) -> None:
    verdict = Verdict(kind, charge, delay_ms)

    assert 0 < verdict.pack() < 1 << 64
    assert Verdict.unpack(verdict.pack()) == verdict


@pytest.mark.parametrize(
    ("verdict", "word"),
    [
        (ACK, 0x0001),
        (UNTOUCHED, 0x0002),
        (Verdict(Kind.RELEASE, Charge.ATTEMPT, 5_000), 5_000 << 16 | 0x0103),
        (Verdict(Kind.FAIL, Charge.CRASH), 0x0204),
        (SUSPECTED, 0x0302),
        (INTERRUPTED, 0x0402),
        (Verdict(Kind.PARK, Charge.ATTEMPT), 0x0105),
        (Verdict(Kind.RELEASE, Charge.RELEASE), 0x0503),
    ],
)
def test_s7_the_words_on_boards_keep_their_meaning(verdict: Verdict, word: int) -> None:
    assert verdict.pack() == word


def test_s7_every_charge_has_a_number() -> None:
    assert sorted(CHARGES) == sorted(Charge)


def test_s7_a_delay_beyond_all_years_is_cut() -> None:
    endless = Verdict(Kind.RELEASE, Charge.ATTEMPT, 1 << 60)

    assert Verdict.unpack(endless.pack()).delay_ms == (1 << 48) - 1


@pytest.mark.parametrize("word", [0, 0x0006, 0x00FF, 0x0601, 0xFF01, 1 << 63])
def test_s7_a_word_that_is_no_verdict_is_refused(word: int) -> None:
    with pytest.raises(ValueError, match=r"0x|Kind"):
        Verdict.unpack(word)


@given(st.integers(0, (1 << 64) - 1))
def test_s7_any_word_is_a_verdict_or_refused(word: int) -> None:
    try:
        verdict = Verdict.unpack(word)
    except ValueError:
        return
    assert verdict.pack() == word


# Messages: counters and the table of states.


@pytest.mark.parametrize(
    ("charge", "counters"),
    [
        (Charge.NONE, FIVE),
        (Charge.ATTEMPT, Counters(2, 2, 3, 4, 5)),
        (Charge.CRASH, Counters(1, 3, 3, 4, 5)),
        (Charge.SUSPECT, Counters(1, 2, 4, 4, 5)),
        (Charge.INTERRUPT, Counters(1, 2, 3, 5, 5)),
        (Charge.RELEASE, Counters(1, 2, 3, 4, 6)),
    ],
)
def test_a_charge_raises_one_counter_by_one(charge: Charge, counters: Counters) -> None:
    assert FIVE.charged(charge) == counters


def test_counters_are_stored_as_five_numbers_in_this_order() -> None:
    assert FIVE.pack() == "1 2 3 4 5"
    assert NO_COUNTERS.pack() == "0 0 0 0 0"
    assert Counters.unpack("1 2 3 4 5") == FIVE


@pytest.mark.parametrize("text", ["", "1 2 3 4", "1 2 3 4 5 6", "1 2 3 4 x", "1 2 3 4 5.0"])
def test_counters_that_are_not_five_numbers_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"five counters|invalid literal"):
        Counters.unpack(text)


def test_d3_a_message_leaves_reserved_by_a_verdict_only() -> None:
    ways = [(change, after) for (state, change), after in TRANSITIONS.items() if state is State.RESERVED]
    changes = {change for change, after in ways if after is not State.RESERVED}

    assert changes == {Verdict(kind, delay_ms=delay).change for kind in Kind for delay in (0, 1)}


def test_d3_from_every_state_there_is_a_way_to_the_end() -> None:
    ends: set[State | None] = {None}
    for _ in State:
        ends |= {state for (state, _), after in TRANSITIONS.items() if after in ends}

    assert ends == {*State, None}


def test_only_a_notice_has_the_mark_of_a_notice() -> None:
    message = Reservation("emails", "a!b", 1, b"", NO_COUNTERS, 0)

    assert not message.is_notice
    assert Reservation("emails", "!a:1", 1, b"", NO_COUNTERS, 0).is_notice
