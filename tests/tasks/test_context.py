"""The current message: what it tells, its verdicts, and the soft timeout that comes only to user code."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Any

import pytest

import procqueue
from procqueue import AlreadyDecided, NoMessage, SoftTimeout, current, current_or_none
from procqueue.core.outcome import DONE, Ending, Outcome
from procqueue.tasks.context import Message, call, deliver_timeout


@pytest.fixture
def alarm() -> Iterator[Callable[[], None]]:
    """What a handler calls to have its time be over: the signal comes at once, as it would from a timer."""

    def on_alarm(_signum: int, frame: FrameType | None) -> None:
        deliver_timeout(frame)

    before = signal.signal(signal.SIGALRM, on_alarm)
    yield lambda: signal.raise_signal(signal.SIGALRM)
    signal.signal(signal.SIGALRM, before)


def message(**about: Any) -> Message:
    return Message(**{"id": "order-7", "queue": "emails", "task": "shop.welcome", "ticket": 5, **about})


def in_handler(one: Message, handler: Callable[[], Any]) -> Any:
    return call(one, handler, (), {})


def test_outside_a_message_there_is_none() -> None:
    assert current_or_none() is None
    with pytest.raises(NoMessage):
        current()


def test_inside_a_handler_the_current_message_is_its_own() -> None:
    outer, inner = message(), message(id="order-8")

    def handler() -> tuple[str, str, str]:
        before = current().id
        between: str = in_handler(inner, lambda: current().id)
        return before, between, current().id

    assert in_handler(outer, handler) == ("order-7", "order-8", "order-7")
    assert current_or_none() is None


def test_a_handler_that_raises_leaves_no_current_message() -> None:
    def handler() -> None:
        raise OSError

    with pytest.raises(OSError):
        in_handler(message(), handler)

    assert current_or_none() is None


def test_the_moment_of_the_push_is_in_utc() -> None:
    assert message(pushed_ms=1_767_323_045_678).pushed_at == datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)


def test_stopping_asks_the_consumer_each_time() -> None:
    answers = iter([False, True])
    one = message(stopping=lambda: next(answers))

    assert (one.stopping, one.stopping) == (False, True)
    assert message().stopping is False


@pytest.mark.parametrize(
    ("decide", "verdict"),
    [
        (lambda m: m.release(), Outcome(Ending.RELEASED, after_s=0.0)),
        (lambda m: m.release("10s"), Outcome(Ending.RELEASED, after_s=10.0)),
        (lambda m: m.release(at=datetime(2020, 1, 1, tzinfo=UTC)), Outcome(Ending.RELEASED, after_s=0.0)),
        (lambda m: m.delete(), DONE),
        (lambda m: m.fail("no such user"), Outcome(Ending.RAISED, error="no such user", final=True)),
    ],
)
def test_a_verdict_is_recorded_and_a_second_one_is_refused(
    decide: Callable[[Message], None], verdict: Outcome
) -> None:
    one = message()

    decide(one)

    assert one.verdict == verdict
    for again in (one.release, one.delete, one.fail):
        with pytest.raises(AlreadyDecided, match="order-7"):
            again()
    assert one.verdict == verdict


def test_a_release_to_a_moment_waits_until_then() -> None:
    one = message()

    one.release(at=datetime.now(UTC) + timedelta(hours=1))

    assert one.verdict is not None
    assert one.verdict.after_s == pytest.approx(3600, abs=60)


def test_a_wrong_delay_records_nothing() -> None:
    one = message()

    with pytest.raises(ValueError, match="negative"):
        one.release(-1)
    with pytest.raises(ValueError, match="no time zone"):
        one.release(at=datetime(2026, 1, 1))

    assert one.verdict is None


def test_a_soft_timeout_comes_to_a_running_handler(alarm: Callable[[], None]) -> None:
    one = message(handle_timeout=30.0)

    with pytest.raises(SoftTimeout, match="the handle_timeout of 30s has passed"):
        in_handler(one, alarm)

    assert one.timed_out


def test_a_soft_timeout_comes_once(alarm: Callable[[], None]) -> None:
    one = message()

    def handler() -> str:
        with pytest.raises(SoftTimeout):
            alarm()
        alarm()
        return "went on"

    assert in_handler(one, handler) == "went on"


def test_no_soft_timeout_comes_while_no_handler_runs(alarm: Callable[[], None]) -> None:
    one = message()

    alarm()
    in_handler(one, lambda: None)
    alarm()

    assert not one.timed_out


def test_a_signal_before_the_first_and_after_the_last_step_of_a_handler_is_not_told() -> None:
    one = message()
    frames: list[FrameType] = []

    def handler() -> None:
        import sys

        frame = sys._getframe(1)  # where the signal finds the program before it enters, and after it left
        frames.append(frame)
        deliver_timeout(frame)

    in_handler(one, handler)

    assert frames[0].f_code is call.__code__
    assert not one.timed_out


def test_a_shield_defers_the_soft_timeout_to_its_end(alarm: Callable[[], None]) -> None:
    one = message()
    steps: list[str] = []

    def handler() -> None:
        with one.shield():
            with one.shield():
                alarm()
                steps.append("inside both")
            steps.append("inside one")
            assert not one.timed_out
        steps.append("never")

    with pytest.raises(SoftTimeout):
        in_handler(one, handler)

    assert steps == ["inside both", "inside one"]
    assert one.timed_out


def test_a_shield_without_a_timeout_changes_nothing() -> None:
    one = message()

    def handler() -> str:
        with one.shield():
            return "done"

    assert in_handler(one, handler) == "done"


def test_a_shield_works_in_coroutines(alarm: Callable[[], None]) -> None:
    one = message()
    steps: list[str] = []

    async def work() -> None:
        async with procqueue.current().shield():
            alarm()
            await asyncio.sleep(0)
            steps.append("inside")
        steps.append("never")

    with pytest.raises(SoftTimeout):
        in_handler(one, lambda: asyncio.run(work()))

    assert steps == ["inside"]


def test_extend_arms_the_timers_anew_and_allows_another_timeout(alarm: Callable[[], None]) -> None:
    armed: list[float] = []
    one = message(extend=armed.append)

    def handler() -> None:
        with pytest.raises(SoftTimeout):
            alarm()
        one.extend("1m")
        alarm()

    with pytest.raises(SoftTimeout):
        in_handler(one, handler)

    assert armed == [60.0]


def test_extend_inside_a_shield_takes_back_the_timeout_that_came_too_early(alarm: Callable[[], None]) -> None:
    one = message()

    def handler() -> str:
        with one.shield():
            alarm()
            one.extend(60)
        return "done"

    assert in_handler(one, handler) == "done"
    assert not one.timed_out


@pytest.mark.parametrize("seconds", [0, "", -1, "soon"])
def test_extend_needs_some_time(seconds: Any) -> None:
    armed: list[float] = []

    with pytest.raises(ValueError):
        message(extend=armed.append).extend(seconds)

    assert armed == []
