"""The watch: who is dead is told by the observer's own wake-ups, and by nothing else (law D6)."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procqueue.core.watch import BEATS_PER_TIMEOUT, Watch, beat_interval, scheduler_patience

INTERVAL, TIMEOUT = 2.0, 30.0
START = 1_000.0


def watch() -> Watch:
    return Watch(INTERVAL, TIMEOUT)


def wake(one: Watch, times: int, start: float = START, beat: int = 7, server: str = "s") -> list[list[str]]:
    """Let the observer wake `times` times, an interval apart, and read the same; return its answers."""
    return [one.saw(start + n * INTERVAL, {"h": beat}, server) for n in range(times)]


def test_d6_a_host_that_stands_still_for_host_timeout_is_dead_and_not_before() -> None:
    answers = wake(watch(), BEATS_PER_TIMEOUT + 2)

    assert answers == [[]] * BEATS_PER_TIMEOUT + [["h"]] * 2


def test_d6_who_moves_once_begins_anew() -> None:
    one = watch()
    wake(one, BEATS_PER_TIMEOUT)

    later = START + BEATS_PER_TIMEOUT * INTERVAL
    assert wake(one, BEATS_PER_TIMEOUT, later, beat=8) == [[]] * BEATS_PER_TIMEOUT
    assert one.saw(later + TIMEOUT, {"h": 8}, "s") == ["h"]


def test_d6_a_beat_that_went_back_has_moved_too() -> None:
    one = watch()
    wake(one, BEATS_PER_TIMEOUT)

    assert one.saw(START + TIMEOUT, {"h": 6}, "s") == []


def test_d6_each_host_is_judged_by_itself() -> None:
    one = watch()
    for n in range(BEATS_PER_TIMEOUT + 1):
        beats = {"still": 7, "moving": n} | ({"late": 1} if n > 3 else {})
        dead = one.saw(START + n * INTERVAL, beats, "s")

    assert dead == ["still"]


def test_d6_who_left_and_comes_back_begins_anew() -> None:
    one = watch()
    wake(one, BEATS_PER_TIMEOUT)
    one.saw(START + TIMEOUT, {}, "s")

    assert wake(one, BEATS_PER_TIMEOUT, START + TIMEOUT + INTERVAL) == [[]] * BEATS_PER_TIMEOUT


def test_d6_an_error_begins_anew_although_it_took_no_time() -> None:
    one = watch()
    wake(one, BEATS_PER_TIMEOUT)
    one.failed()

    assert wake(one, BEATS_PER_TIMEOUT, START + TIMEOUT) == [[]] * BEATS_PER_TIMEOUT


def test_d6_another_server_begins_anew() -> None:
    one = watch()
    wake(one, BEATS_PER_TIMEOUT)

    later = START + TIMEOUT
    assert wake(one, BEATS_PER_TIMEOUT, later, server="other") == [[]] * BEATS_PER_TIMEOUT


@pytest.mark.parametrize("slept", [2 * INTERVAL + 0.001, TIMEOUT, 1e6])
def test_d6_an_observer_that_slept_begins_anew(slept: float) -> None:
    one = watch()
    wake(one, BEATS_PER_TIMEOUT)

    later = START + (BEATS_PER_TIMEOUT - 1) * INTERVAL + slept
    assert wake(one, BEATS_PER_TIMEOUT, later) == [[]] * BEATS_PER_TIMEOUT


def test_d6_many_wake_ups_in_a_short_time_are_not_long() -> None:
    one = watch()

    assert all(one.saw(START + n / 100, {"h": 7}, "s") == [] for n in range(1_000))


def test_a_host_beats_fifteen_times_in_its_timeout_and_its_scheduler_is_replaced_well_before() -> None:
    assert beat_interval(30.0) == 2.0
    assert scheduler_patience(30.0) == 5.0
    assert scheduler_patience(600.0) == 5.0
    assert scheduler_patience(3.0) == 1.0


# Properties. A wake-up is: how long after the last one, and what was seen: a beat, or an error.

pauses = st.floats(0.01, 2 * INTERVAL)
sleeps = st.floats(2 * INTERVAL + 0.01, 1e5)


def moments(gaps: Iterable[float]) -> list[float]:
    at, found = START, []
    for gap in gaps:
        at += gap
        found.append(at)
    return found


@given(st.lists(st.one_of(pauses, sleeps), max_size=120))
def test_d6_a_host_whose_beat_moves_is_never_dead(gaps: list[float]) -> None:
    one = watch()

    for n, at in enumerate(moments(gaps)):
        assert one.saw(at, {"h": n % 3}, "s") == []


@given(st.lists(pauses, min_size=1, max_size=200))
def test_d6_a_silent_host_is_dead_after_host_timeout_of_the_observers_time_and_no_sooner(
    gaps: list[float],
) -> None:
    one = watch()
    first = START
    assert one.saw(first, {"h": 7}, "s") == []

    for n, at in enumerate(moments(gaps), 1):
        dead = one.saw(at, {"h": 7}, "s") == ["h"]
        assert dead == (n >= BEATS_PER_TIMEOUT and at - first >= TIMEOUT)


@given(st.lists(st.one_of(pauses, sleeps, st.sampled_from(["error", "server"])), max_size=200))
def test_d6_nobody_is_dead_unless_the_observer_was_awake_and_unhindered_for_host_timeout(
    story: list[float | str],
) -> None:
    one, at, server = watch(), START, 0
    since: float | None = at  # the last moment at which something made the observer unsure
    for event in story:
        if event == "error":
            one.failed()
            since = None
        elif event == "server":
            server += 1
            since = None
        else:
            assert isinstance(event, float)
            at += event
            since = at if since is None or event > 2 * INTERVAL else since
            if one.saw(at, {"h": 7}, str(server)):
                assert at - since >= TIMEOUT
