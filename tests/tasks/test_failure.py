"""The failure is the same, whether the run ended here or a notice tells of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from procqueue.core import wire
from procqueue.core.message import Counters, Reservation
from procqueue.core.outcome import Ending, Outcome
from procqueue.core.record import NoticeHeader
from procqueue.tasks.failure import FailedMessage, Failure, failure_of_notice, failure_of_run

PUSHED_MS = 1_767_323_045_000
BODY = wire.encode("shop.welcome", [42], {"lang": "fr"})
MESSAGE = FailedMessage(
    "order-7", "emails", "shop.welcome", [42], {"lang": "fr"}, 3, 1, datetime(2026, 1, 2, 3, 4, 5, 0, UTC)
)


def test_a_run_that_ended_here_brings_its_exception() -> None:
    error = ValueError("boom")
    reservation = Reservation("emails", "order-7", 5, BODY, Counters(attempts=2, crashes=1), PUSHED_MS)

    failure = failure_of_run(
        reservation,
        Outcome(Ending.RAISED, "ValueError: boom"),
        Counters(attempts=3, crashes=1),
        exception=error,
        consumer="emails:0",
    )

    assert failure == Failure(MESSAGE, Ending.RAISED, error, "ValueError: boom", {}, "emails:0")


def test_a_notice_tells_the_same_without_the_exception() -> None:
    header = NoticeHeader(
        id="order-7", queue="emails", outcome="crashed", error="killed by signal 9", counters="3 1 0 0 0",
        consumer="emails:0", cause={"signal": 9},
    )  # fmt: skip

    failure = failure_of_notice(notice(header.encode() + b"\n" + BODY))

    assert failure == Failure(MESSAGE, Ending.CRASHED, None, "killed by signal 9", {"signal": 9}, "emails:0")


def test_an_unreadable_message_fails_without_task_and_arguments() -> None:
    reservation = Reservation("emails", "order-7", 5, b"\xff", Counters(), PUSHED_MS)

    failure = failure_of_run(reservation, Outcome(Ending.UNREADABLE, "not UTF-8"), Counters(attempts=1))

    assert (failure.message.task, failure.message.args, failure.message.kwargs) == ("", [], {})


@pytest.mark.parametrize("body", [b"", b"{}", b"no notice\n{}"])
def test_what_is_no_notice_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        failure_of_notice(notice(body))


def notice(body: bytes) -> Reservation:
    return Reservation("emails", "!order-7:5", 9, body, Counters(), PUSHED_MS)
