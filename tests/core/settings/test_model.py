"""The records of the configuration: delays, graces, and what follows from defaults."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procqueue.core.settings.model import DriverSettings, QueueSettings, RetryDelays


def test_the_last_delay_of_a_list_repeats() -> None:
    delays = RetryDelays(listed=(5.0, 30.0, 300.0))

    assert [delays.delay(before) for before in range(5)] == [5.0, 30.0, 300.0, 300.0, 300.0]


def test_growing_delays_are_multiplied_and_bounded() -> None:
    delays = RetryDelays(base=1, factor=2, max=10)

    assert [delays.delay(before) for before in range(5)] == [1, 2, 4, 8, 10]


def test_growing_delays_survive_any_number_of_attempts() -> None:
    assert RetryDelays(base=1, factor=10, max=60).delay(10**6) == 60
    assert RetryDelays(base=1, factor=10, max=0).delay(10**6) > 0


def test_jitter_takes_away_at_most_its_share() -> None:
    delays = RetryDelays(base=10, factor=1, max=0, jitter=0.5)

    assert delays.delay(0, 0.0) == 10
    assert delays.delay(0, 0.999999) == pytest.approx(5, abs=0.001)


def test_a_list_knows_no_jitter() -> None:
    assert RetryDelays(listed=(7.0,)).delay(0, 0.9) == 7.0


@given(
    st.floats(0, 1e6),
    st.floats(1, 1000),
    st.floats(0, 1e6),
    st.floats(0, 1),
    st.integers(0, 10**9),
    st.floats(0, 0.99),
)
def test_no_delay_is_negative_or_over_its_limit(
    base: float, factor: float, limit: float, jitter: float, before: int, draw: float
) -> None:
    pause = RetryDelays(base=base, factor=factor, max=limit, jitter=jitter).delay(before, draw)

    assert 0 <= pause <= (limit or float("inf"))


def test_grace_is_what_the_longest_run_may_need() -> None:
    assert QueueSettings("emails").effective_grace() == 65.0
    assert QueueSettings("emails", handle_timeout=10, kill_after=2).effective_grace(None) == 12


def test_grace_without_a_handle_timeout_is_25_seconds() -> None:
    assert QueueSettings("emails", handle_timeout=0).effective_grace() == 25.0


def test_a_written_grace_wins_and_a_cap_bounds_all() -> None:
    assert QueueSettings("emails", grace=100).effective_grace() == 100
    assert QueueSettings("emails", grace=100).effective_grace(8) == 8
    assert QueueSettings("emails").effective_grace(25) == 25
    assert QueueSettings("emails", grace=3).effective_grace(25) == 3


def test_a_queue_serves_itself_unless_told_otherwise() -> None:
    assert QueueSettings("emails").serves == ("emails",)
    assert QueueSettings("emails", serves=("urgent", "emails")).serves == ("urgent", "emails")


def test_records_cannot_be_changed() -> None:
    queue = QueueSettings("emails")

    with pytest.raises(dataclasses.FrozenInstanceError):
        queue.processes = 2  # type: ignore[misc]


def test_the_url_of_a_driver_is_not_in_its_repr() -> None:
    assert "hunter2" not in repr(DriverSettings("redis://:hunter2@localhost:6379/0"))
