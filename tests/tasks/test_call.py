"""When and where a push goes: delays, moments, ids, and receipts that are true when queued."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from procqueue.tasks.call import Placed, Receipt, delay_seconds, moment_ms, placed


@pytest.mark.parametrize(
    ("delay", "expected"), [(0, 0.0), (1.5, 1.5), ("10m", 600.0), (timedelta(hours=1), 3600.0), ("", 0.0)]
)
def test_a_delay_is_seconds_a_duration_or_a_timedelta(delay: Any, expected: float) -> None:
    assert delay_seconds(delay) == expected


@pytest.mark.parametrize(
    ("delay", "reason"),
    [
        (-1, "negative"),
        (timedelta(seconds=-1), "negative"),
        ("-1s", "negative"),
        (101 * 366 * 86400, "more than 100 years"),
        (float("inf"), "more than 100 years"),
        (float("nan"), "NaN"),
        ("soon", "is not a duration"),
        (None, "is not a duration"),
        (True, "is not a duration"),
    ],
)
def test_an_absurd_delay_is_refused(delay: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        delay_seconds(delay)


def test_a_moment_is_milliseconds_since_1970_whatever_its_time_zone() -> None:
    rome = timezone(timedelta(hours=2))

    assert moment_ms(datetime(2026, 1, 2, 3, 4, 5, 678_900, UTC)) == 1_767_323_045_678
    assert moment_ms(datetime(2026, 1, 2, 5, 4, 5, 678_900, rome)) == 1_767_323_045_678


def test_a_moment_before_1970_is_1970() -> None:
    assert moment_ms(datetime(1, 1, 1, tzinfo=UTC)) == 0


def test_a_moment_without_time_zone_is_refused_and_says_so() -> None:
    with pytest.raises(ValueError, match=r"at=: .* has no time zone, so it names no moment"):
        placed(None, datetime(2026, 1, 2), None, None)


def test_a_moment_in_the_far_future_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 100 years away"):
        moment_ms(datetime(9999, 1, 1, tzinfo=UTC))


def test_only_a_datetime_is_a_moment() -> None:
    with pytest.raises(TypeError, match="at=: 5 is not a datetime"):
        placed(None, 5, None, None)  # type: ignore[arg-type]


def test_delay_and_at_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="give one of them"):
        placed(1, datetime(2026, 1, 2, tzinfo=UTC), None, None)


@pytest.mark.parametrize("id", ["", "!x", "a b", "x" * 129])
def test_an_id_of_other_characters_is_refused(id: str) -> None:
    with pytest.raises(ValueError, match="is not 1 to 128 of the characters"):
        placed(None, None, None, id)


def test_what_is_not_said_is_left_open() -> None:
    assert placed(None, None, None, None) == Placed()
    assert placed("10m", None, "emails", "order-7") == Placed("emails", "order-7", 600_000)


def test_a_receipt_is_true_if_the_message_was_queued() -> None:
    assert Receipt("1", "emails", "queued")
    assert not Receipt("1", "emails", "duplicate")


def test_an_id_is_remembered_for_a_duration() -> None:
    assert placed(None, None, None, "order-7", "1h") == Placed(id="order-7", remember_ms=3_600_000)


def test_only_a_given_id_can_be_remembered() -> None:
    with pytest.raises(ValueError, match="give id= as well"):
        placed(None, None, None, None, "1h")
    with pytest.raises(ValueError, match="remember=: -1 is negative"):
        placed(None, None, None, "order-7", -1)
