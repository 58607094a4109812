"""The alarm: one real timer for one message after the other, and told is only whose time is over."""

import math
import signal
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from procqueue.process.consumer.alarm import Alarm
from tests.process.actors import PATIENCE


class Rung:
    """An alarm and what it said each time that it rang: (monotonic moment, whether it was for what runs)."""

    def __init__(self) -> None:
        self.alarm = Alarm()
        self.times: list[tuple[float, bool]] = []

    def hear(self, _signum: int, _frame: FrameType | None) -> None:
        due = self.alarm.is_due()
        self.times.append((time.monotonic(), due))

    def wait(self, times: int) -> None:
        """Wait until it has rung so often."""
        give_up = time.monotonic() + PATIENCE
        while len(self.times) < times:
            assert time.monotonic() < give_up, self.times
            time.sleep(0.005)


@pytest.fixture
def rung() -> Iterator[Rung]:
    one = Rung()
    before = signal.signal(signal.SIGALRM, one.hear)
    yield one
    one.alarm.off()
    signal.signal(signal.SIGALRM, before)


def test_a_timer_that_an_earlier_message_has_set_is_set_again_for_what_is_left(rung: Rung) -> None:
    rung.alarm.until(time.monotonic() + 0.05)
    rung.alarm.rest()
    fires = rung.alarm._fires
    rung.alarm.until(fires + 0.005)
    due = rung.alarm._due
    assert rung.alarm._fires == fires  # left alone: it is early by little

    rung.wait(2)

    assert [told for _, told in rung.times] == [False, True]
    assert rung.times[1][0] >= due


def test_a_timer_that_would_be_late_or_much_too_early_is_set_anew(rung: Rung) -> None:
    rung.alarm.until(time.monotonic() + 100)
    rung.alarm.until(time.monotonic() + 50)
    assert 49 < signal.getitimer(signal.ITIMER_REAL)[0] <= 50
    rung.alarm.until(time.monotonic() + 100)
    assert 99 < signal.getitimer(signal.ITIMER_REAL)[0] <= 100

    rung.alarm.until(math.inf)  # this one has no limit

    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_who_has_ended_is_not_told(rung: Rung) -> None:
    rung.alarm.until(time.monotonic() + 0.02)

    rung.alarm.rest()
    rung.wait(1)

    assert [told for _, told in rung.times] == [False]
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.mark.parametrize(("first", "left"), [(60.0, (0.0, 0.0)), (60.0, (50.0, 0.0)), (0.0, (50.0, 0.0))])
def test_a_timer_that_somebody_else_has_set_is_noticed(
    rung: Rung, first: float, left: tuple[float, float]
) -> None:
    rung.alarm.until(time.monotonic() + first)
    assert rung.alarm.off()
    rung.alarm.until(time.monotonic() + first)

    signal.setitimer(signal.ITIMER_REAL, *left)

    assert not rung.alarm.off()
