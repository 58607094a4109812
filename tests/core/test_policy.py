"""The policy: from how a run ended, and what the message has been through, to what becomes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from procqueue.core.message import TRANSITIONS, Charge, Counters, State
from procqueue.core.outcome import DONE, Ending, Outcome
from procqueue.core.policy import Policy, if_dead, if_interrupted, if_killed, judge
from procqueue.core.settings.model import OnTimeout, RetryDelays
from procqueue.core.verdict import ACK, Kind, Verdict

POLICY = Policy(
    max_attempts=3,
    retry_seconds=RetryDelays(listed=(5.0, 30.0, 300.0)),
    max_crashes=3,
    on_timeout=OnTimeout.RETRY,
    handle_timeout=60.0,
    kill_after=5.0,
    unknown_task_wait=600.0,
)
ONCE = replace(POLICY, max_attempts=1, max_crashes=1, on_timeout=OnTimeout.FAIL)
FRESH = Counters()
RAISED = Outcome(Ending.RAISED)
FAILED = Verdict(Kind.FAIL, Charge.ATTEMPT)


def retried(seconds: float) -> Verdict:
    return Verdict(Kind.RELEASE, Charge.ATTEMPT, round(seconds * 1000))


def test_done_is_done_whatever_came_before() -> None:
    assert judge(DONE, Counters(9, 9, 9, 9, 9), POLICY) == ACK


# Attempts.


@pytest.mark.parametrize(
    ("attempts", "verdict"), [(0, retried(5)), (1, retried(30)), (2, FAILED), (3, FAILED), (99, FAILED)]
)
def test_what_raised_is_tried_again_after_its_pause_until_its_attempts_are_used_up(
    attempts: int, verdict: Verdict
) -> None:
    assert judge(RAISED, Counters(attempts=attempts), POLICY) == verdict


def test_only_attempts_count_as_attempts() -> None:
    assert judge(RAISED, Counters(crashes=2, suspects=9, interrupts=50, releases=50), POLICY) == retried(5)


def test_for_ever_is_for_ever_and_the_last_pause_repeats() -> None:
    forever = replace(POLICY, max_attempts=0)

    assert judge(RAISED, Counters(attempts=10_000), forever) == retried(300)


def test_a_growing_pause_has_a_limit_and_its_jitter_only_shortens_it() -> None:
    growing = replace(
        POLICY, max_attempts=0, retry_seconds=RetryDelays(base=2, factor=3, max=100, jitter=0.5)
    )

    assert [judge(RAISED, Counters(n), growing, draw=0.0).delay_ms for n in range(5)] == [
        2_000,
        6_000,
        18_000,
        54_000,
        100_000,
    ]
    assert judge(RAISED, Counters(4), growing, draw=0.5).delay_ms == 75_000


def test_a_final_ending_is_not_tried_again() -> None:
    assert judge(Outcome(Ending.RAISED, final=True), FRESH, replace(POLICY, max_attempts=0)) == FAILED


@pytest.mark.parametrize(("asked", "delay_ms"), [(0.0, 0), (1.5, 1_500), (-3.0, 0)])
def test_the_pause_that_the_handler_asked_for_comes_before_the_settings(asked: float, delay_ms: int) -> None:
    outcome = Outcome(Ending.RAISED, after_s=asked)

    assert judge(outcome, FRESH, POLICY) == Verdict(Kind.RELEASE, Charge.ATTEMPT, delay_ms)
    assert judge(outcome, Counters(attempts=2), POLICY) == FAILED


def test_a_release_costs_no_attempt() -> None:
    released = Outcome(Ending.RELEASED, after_s=2.5)

    assert judge(released, Counters(attempts=99), POLICY) == Verdict(Kind.RELEASE, Charge.RELEASE, 2_500)
    assert judge(Outcome(Ending.RELEASED), FRESH, POLICY) == Verdict(Kind.RELEASE, Charge.RELEASE)


# Timeouts.


@pytest.mark.parametrize(
    ("on_timeout", "verdict"),
    [
        (OnTimeout.RETRY, retried(5)),
        (OnTimeout.PARK, Verdict(Kind.PARK, Charge.ATTEMPT)),
        (OnTimeout.FAIL, FAILED),
    ],
)
def test_a_timeout_and_the_kill_that_follows_it_end_alike(on_timeout: OnTimeout, verdict: Verdict) -> None:
    policy = replace(POLICY, on_timeout=on_timeout)

    assert judge(Outcome(Ending.TIMED_OUT), FRESH, policy) == verdict
    assert if_killed(FRESH, policy) == verdict


def test_a_timeout_at_the_last_attempt_fails() -> None:
    assert if_killed(Counters(attempts=2), POLICY) == FAILED


# Deaths of the process (law D7).


@pytest.mark.parametrize(
    ("crashes", "kind"), [(0, Kind.RETURN), (1, Kind.RETURN), (2, Kind.FAIL), (7, Kind.FAIL)]
)
def test_d7_a_crash_goes_to_the_head_at_once_until_its_crashes_are_used_up(crashes: int, kind: Kind) -> None:
    counters = Counters(attempts=99, crashes=crashes)

    assert if_dead(counters, POLICY) == Verdict(kind, Charge.CRASH)
    assert judge(Outcome(Ending.CRASHED), counters, POLICY) == Verdict(kind, Charge.CRASH)


def test_d7_an_interruption_costs_nothing_however_often() -> None:
    often = Counters(interrupts=10_000)

    assert if_interrupted(POLICY) == Verdict(Kind.RETURN, Charge.INTERRUPT)
    assert judge(Outcome(Ending.INTERRUPTED), often, POLICY) == Verdict(Kind.RETURN, Charge.INTERRUPT)


@pytest.mark.parametrize("ending", [e for e in Ending if e not in (Ending.RELEASED, Ending.UNKNOWN_TASK)])
def test_d7_what_must_not_be_begun_twice_is_over_however_its_run_ended(ending: Ending) -> None:
    assert ONCE.begins_once
    assert judge(Outcome(ending), FRESH, ONCE).kind in (Kind.ACK, Kind.FAIL)


@pytest.mark.parametrize("change", [{"max_attempts": 2}, {"max_crashes": 2}, {"on_timeout": OnTimeout.PARK}])
def test_d7_less_than_all_three_settings_is_not_once(change: dict[str, object]) -> None:
    policy = replace(ONCE, **change)  # type: ignore[arg-type]

    assert not policy.begins_once
    assert if_interrupted(policy).kind is Kind.RETURN


# Messages that nobody here can run (law D12).


def test_d12_an_unreadable_message_fails_at_once() -> None:
    assert judge(Outcome(Ending.UNREADABLE), FRESH, replace(POLICY, max_attempts=0)) == FAILED


def test_d12_an_unknown_task_is_released_for_as_long_as_the_settings_say_and_then_fails() -> None:
    unknown, counters, delays = Outcome(Ending.UNKNOWN_TASK), FRESH, []

    while (verdict := judge(unknown, counters, POLICY)).kind is Kind.RELEASE:
        counters = counters.charged(verdict.charge)
        delays.append(verdict.delay_ms / 1000)

    assert delays[:7] == [1, 2, 4, 8, 16, 30, 30]
    assert sum(delays[:-1]) < 600 <= sum(delays)
    assert verdict == FAILED
    assert counters == Counters(releases=len(delays))


def test_d12_an_unknown_task_may_be_told_to_fail_at_once() -> None:
    assert judge(Outcome(Ending.UNKNOWN_TASK), FRESH, replace(POLICY, unknown_task_wait=0)) == FAILED


# Whatever happened, the verdict can be carried out.

policies = st.builds(
    Policy,
    max_attempts=st.integers(0, 5),
    retry_seconds=st.builds(
        RetryDelays,
        listed=st.lists(st.floats(0, 1e6), max_size=3).map(tuple),
        base=st.floats(0, 1e6),
        factor=st.floats(1, 100),
        max=st.floats(0, 1e6),
        jitter=st.floats(0, 1),
    ),
    max_crashes=st.integers(1, 5),
    on_timeout=st.sampled_from(OnTimeout),
    handle_timeout=st.just(60.0),
    kill_after=st.just(5.0),
    unknown_task_wait=st.floats(0, 1e5),
)
outcomes = st.builds(
    Outcome,
    st.sampled_from(Ending),
    final=st.booleans(),
    after_s=st.none() | st.floats(-10, 1e6),
)
counts = st.integers(0, 10_000)


@given(
    outcomes,
    st.builds(Counters, counts, counts, counts, counts, counts),
    policies,
    st.floats(0, 1, exclude_max=True),
)
def test_every_verdict_fits_the_board_and_is_a_change_of_a_reserved_message(
    outcome: Outcome, counters: Counters, policy: Policy, draw: float
) -> None:
    verdict = judge(outcome, counters, policy, draw)

    assert Verdict.unpack(verdict.pack()) == verdict
    assert (State.RESERVED, verdict.change) in TRANSITIONS
    assert (verdict == ACK) == (outcome.ending is Ending.DONE)
    assert verdict.delay_ms >= 0
    assert not (verdict.delay_ms and verdict.kind is not Kind.RELEASE)
