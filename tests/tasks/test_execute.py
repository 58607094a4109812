"""One run: every way in which a handler can end becomes one outcome, and nothing else leaves `run`."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import date
from types import FrameType
from typing import Any

import pytest

from procqueue import Fail, Retry, SoftTimeout, current, current_or_none, task
from procqueue.core import wire
from procqueue.core.message import NO_COUNTERS, Counters, Reservation
from procqueue.core.outcome import DONE, Ending, Outcome
from procqueue.core.record import MAX_ERROR, MAX_TRACEBACK
from procqueue.core.settings.model import QueueSettings
from procqueue.tasks import registry
from procqueue.tasks.context import deliver_timeout
from procqueue.tasks.execute import Ended, Prepared, prepare, run, run_hook
from procqueue.tasks.failure import failure_of_run

QUEUE = QueueSettings("emails", max_attempts=3, handle_timeout=30.0)


def reserved(body: bytes, counters: Counters = NO_COUNTERS) -> Reservation:
    return Reservation("emails", "order-7", 5, body, counters, 1_767_323_045_678)


def prepared(body: bytes, counters: Counters = NO_COUNTERS) -> Prepared:
    ready = prepare(reserved(body, counters), registry.find, QUEUE)
    assert isinstance(ready, Prepared)
    return ready


def ran(handler: Callable[[], Any], **options: Any) -> Ended:
    """How a run of `handler` ends."""
    declared = task(name="shop.job", **options)(handler)
    ready = prepared(declared.encode((), {}))
    return run(ready, ready.message())


@pytest.fixture
def alarm() -> Iterator[Callable[[], None]]:
    """What a handler calls to have its time be over."""

    def on_alarm(_signum: int, frame: FrameType | None) -> None:
        deliver_timeout(frame)

    before = signal.signal(signal.SIGALRM, on_alarm)
    yield lambda: signal.raise_signal(signal.SIGALRM)
    signal.signal(signal.SIGALRM, before)


# preparing


def test_what_is_no_document_is_unreadable() -> None:
    outcome = prepare(reserved(b"\xff"), registry.find, QUEUE)

    assert isinstance(outcome, Outcome)
    assert outcome.ending is Ending.UNREADABLE
    assert "not UTF-8" in outcome.error


def test_a_task_that_nobody_declared_is_unknown() -> None:
    outcome = prepare(reserved(wire.encode("shop.nowhere")), registry.find, QUEUE)

    assert outcome == Outcome(Ending.UNKNOWN_TASK, error="no task is named 'shop.nowhere' here")


def test_d12_wrong_arguments_are_unreadable_with_the_reason() -> None:
    def handler(day: date) -> None: ...

    task(name="shop.job")(handler)

    outcome = prepare(reserved(wire.encode("shop.job", ["someday"])), registry.find, QUEUE)

    assert isinstance(outcome, Outcome)
    assert outcome.ending is Ending.UNREADABLE
    assert outcome.error.startswith("shop.job: argument 'day': ")


def test_the_message_tells_of_its_first_run() -> None:
    task(name="shop.job", aliases=["shop.old"])(lambda: None)

    message = prepared(b'{"task":"shop.old","meta":{"trace":"x"}}').message()

    assert (message.id, message.queue, message.task, message.ticket) == ("order-7", "emails", "shop.job", 5)
    assert (message.attempt, message.last, message.crashes, message.meta) == (1, False, 0, {"trace": "x"})
    assert message.pushed_at.year == 2026


def test_the_message_tells_of_its_last_attempt() -> None:
    task(name="shop.job")(lambda: None)

    message = prepared(wire.encode("shop.job"), Counters(attempts=2, crashes=1)).message()

    assert (message.attempt, message.last, message.crashes) == (3, True, 1)


def test_no_attempt_is_the_last_where_attempts_go_on_forever() -> None:
    task(name="shop.job", max_attempts="forever")(lambda: None)

    assert not prepared(wire.encode("shop.job"), Counters(attempts=999)).message().last


# ending


def test_a_handler_gets_its_arguments_in_their_types_and_its_message() -> None:
    seen: list[Any] = []

    def handler(day: date, *, lang: str = "en") -> None:
        seen.append((day, lang, current().id))

    declared = task(name="shop.job")(handler)
    ready = prepared(declared.encode((date(2026, 1, 2),), {"lang": "fr"}))

    ended = run(ready, ready.message())

    assert seen == [(date(2026, 1, 2), "fr", "order-7")]
    assert ended == Ended(DONE)
    assert current_or_none() is None


@pytest.mark.parametrize("result", [None, False, "text", 0])
def test_returning_means_done_whatever_is_returned(result: Any) -> None:
    assert ran(lambda: result) == Ended(DONE)


def test_an_exception_is_raised_with_the_frames_from_the_handler_on() -> None:
    def deeper() -> None:
        raise ValueError("no user 42")

    def handler() -> None:
        deeper()

    ended = ran(handler)

    assert ended.outcome.ending is Ending.RAISED
    assert ended.outcome.error == "ValueError: no user 42"
    assert not ended.outcome.final
    assert ended.outcome.after_s is None
    assert isinstance(ended.exception, ValueError)
    lines = ended.outcome.traceback.splitlines()
    assert "in handler" in lines[1]
    assert lines[-1] == "ValueError: no user 42"
    assert "procqueue/tasks" not in ended.outcome.traceback


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), BaseException("odd")])
def test_no_exception_of_a_handler_leaves_run(error: BaseException) -> None:
    def handler() -> None:
        raise error

    ended = ran(handler)

    assert ended.outcome.ending is Ending.RAISED
    assert ended.exception is error


def test_sys_exit_in_a_handler_is_an_exception_like_others() -> None:
    assert ran(lambda: sys.exit(0)).outcome.error == "SystemExit: 0"


def test_a_retry_asks_for_its_delay() -> None:
    def handler() -> None:
        raise Retry(after="10s")

    outcome = ran(handler).outcome

    assert (outcome.ending, outcome.after_s, outcome.final) == (Ending.RAISED, 10.0, False)


def test_a_retry_without_delay_leaves_it_to_the_policy() -> None:
    def handler() -> None:
        raise Retry

    outcome = ran(handler).outcome

    assert (outcome.after_s, outcome.error) == (None, "Retry()")


def test_a_retry_with_an_impossible_delay_leaves_it_to_the_policy_and_says_so() -> None:
    def handler() -> None:
        raise Retry(after="soon")

    outcome = ran(handler).outcome

    assert outcome.after_s is None
    assert "is not a duration" in outcome.error


def test_fail_is_final_and_its_reason_is_the_error() -> None:
    def handler() -> None:
        raise Fail("no such user")

    outcome = ran(handler).outcome

    assert (outcome.ending, outcome.final, outcome.error) == (Ending.RAISED, True, "no such user")


@pytest.mark.parametrize(
    ("options", "final"),
    [
        ({}, False),
        ({"fail_on": OSError}, True),
        ({"fail_on": [KeyError, LookupError]}, False),
        ({"retry_on": OSError}, False),
        ({"retry_on": [KeyError]}, True),
        ({"retry_on": OSError, "fail_on": ConnectionError}, True),
    ],
)
def test_retry_on_and_fail_on_decide_by_the_class(options: dict[str, Any], final: bool) -> None:
    def handler() -> None:
        raise ConnectionError("gone")

    assert ran(handler, **options).outcome.final is final


def test_a_retry_is_tried_again_although_retry_on_names_others() -> None:
    def handler() -> None:
        raise Retry

    assert not ran(handler, retry_on=OSError).outcome.final


def test_a_soft_timeout_is_timed_out_and_shows_where_the_handler_stood(alarm: Callable[[], None]) -> None:
    def handler() -> None:
        alarm()

    ended = ran(handler)

    assert ended.outcome.ending is Ending.TIMED_OUT
    assert isinstance(ended.exception, SoftTimeout)
    assert "SoftTimeout: the handle_timeout of 30s has passed" in ended.outcome.error
    assert "in handler" in ended.outcome.traceback
    assert "context.py" not in ended.outcome.traceback


def test_a_handler_that_raises_something_else_once_told_has_timed_out(alarm: Callable[[], None]) -> None:
    def handler() -> None:
        try:
            alarm()
        except SoftTimeout:
            raise Fail("too slow") from None

    outcome = ran(handler).outcome

    assert (outcome.ending, outcome.final) == (Ending.TIMED_OUT, False)
    assert "the handle_timeout of 30s has passed; then" in outcome.error


def test_a_handler_that_returns_after_its_timeout_is_done(alarm: Callable[[], None]) -> None:
    def handler() -> None:
        with pytest.raises(SoftTimeout):
            alarm()

    assert ran(handler) == Ended(DONE)


def boom() -> None:
    raise ValueError("boom")


@pytest.mark.parametrize("ending", [lambda: None, boom, sys.exit])
def test_a_recorded_verdict_stands_however_the_handler_ends(ending: Callable[[], None]) -> None:
    def handler() -> None:
        current().release("10s")
        ending()

    assert ran(handler).outcome == Outcome(Ending.RELEASED, after_s=10.0)


def test_a_recorded_verdict_stands_over_a_timeout(alarm: Callable[[], None]) -> None:
    def handler() -> None:
        current().delete()
        alarm()

    ended = ran(handler)

    assert ended.outcome == DONE
    assert isinstance(ended.exception, SoftTimeout)


def test_the_first_of_two_verdicts_stands() -> None:
    def handler() -> None:
        current().fail("first")
        current().release()

    outcome = ran(handler).outcome

    assert (outcome.ending, outcome.error, outcome.final) == (Ending.RAISED, "first", True)


def test_a_handler_that_returns_a_coroutine_has_run_nothing_and_is_told() -> None:
    outcome = ran(lambda: asyncio.sleep(0)).outcome

    assert outcome.ending is Ending.RAISED
    assert "returned a coroutine" in outcome.error


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_an_exception_whose_text_fails_is_an_outcome_all_the_same() -> None:
    def handler() -> None:
        raise Unspeakable

    ended = ran(handler)

    assert ended.outcome.ending is Ending.RAISED
    assert "Unspeakable" in ended.outcome.error


def test_long_texts_are_cut_and_the_end_of_the_traceback_is_kept() -> None:
    def handler() -> None:
        raise ValueError("x" * 100_000 + "the end")

    outcome = ran(handler).outcome

    assert len(outcome.error) <= MAX_ERROR
    assert len(outcome.traceback) <= MAX_TRACEBACK
    assert outcome.traceback.endswith("the end\n")


def test_endless_recursion_is_an_exception_like_others() -> None:
    def handler() -> None:
        handler()

    outcome = ran(handler).outcome

    assert outcome.error.startswith("RecursionError: ")


# hooks


def test_the_hook_of_a_task_gets_the_failure_and_can_decide_nothing() -> None:
    seen: list[Any] = []
    declared = task(name="shop.job")(boom)

    @declared.on_failed
    def tell(failure: Any) -> None:
        seen.append((failure.message.id, failure.exception, current().id))
        current().release()

    body = declared.encode((), {})
    error = ValueError("boom")
    outcome = Outcome(Ending.RAISED, "ValueError: boom")
    failure = failure_of_run(reserved(body), outcome, Counters(attempts=3), exception=error)

    raised = run_hook(declared, failure, 6)

    assert seen == [("order-7", error, "order-7")]
    assert type(raised).__name__ == "AlreadyDecided"
    assert current_or_none() is None


def test_a_task_without_a_hook_needs_none() -> None:
    declared = task(name="shop.job")(boom)
    failure = failure_of_run(reserved(declared.encode((), {})), Outcome(Ending.RAISED), NO_COUNTERS)

    assert run_hook(declared, failure, 6) is None


def test_a_soft_timeout_comes_to_a_hook_too(alarm: Callable[[], None]) -> None:
    declared = task(name="shop.job")(boom)
    declared.on_failed(lambda _: alarm())
    failure = failure_of_run(reserved(declared.encode((), {})), Outcome(Ending.RAISED), NO_COUNTERS)

    assert isinstance(run_hook(declared, failure, 6), SoftTimeout)
