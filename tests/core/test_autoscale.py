"""How many consumers a queue gets: bounds, calm, quick up, slow down, no flapping; in simulated seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from procqueue.core.autoscale import CALM_SECONDS, Sample, Scaling, scaled
from procqueue.core.settings.model import Scale

SCALE = Scale(min=1, max=6, target_wait=2.0)
PLENTY = 10_000
unhurried = settings(deadline=None)

samples = st.builds(
    Sample,
    at=st.just(0.0),
    waiting=st.integers(0, 10_000),
    oldest=st.floats(0, 10_000),
    ready=st.integers(0, 20),
    busy=st.integers(0, 20),
    handled=st.integers(0, 10_000),
    room=st.integers(0, 20),
)


class Line:
    """A queue and its consumers, second by second: messages of `seconds` each, `arrivals(second)` of them."""

    def __init__(self, seconds: float, arrivals: Callable[[int], float], scale: Scale = SCALE) -> None:
        self.seconds, self.arrivals, self.scale = seconds, arrivals, scale
        self.scaling = Scaling(scale.min)
        self.pushed: list[tuple[float, float]] = []  # when, and how much of them still waits
        self.room = PLENTY

    def run(self, until: int) -> Iterator[int]:
        for second in range(until):
            if came := self.arrivals(second):
                self.pushed.append((float(second), came))
            count = self.scaling.count
            left = can = count / self.seconds
            while self.pushed and left > 0:
                at, number = self.pushed[0]
                took = min(number, left)
                left -= took
                self.pushed[0] = (at, number - took)
                if number - took < 1e-9:
                    self.pushed.pop(0)
            done = can - left
            self.scaling = scaled(
                self.scale,
                self.scaling,
                Sample(
                    at=float(second + 1),
                    waiting=int(sum(number for _, number in self.pushed)),
                    oldest=second + 1 - self.pushed[0][0] if self.pushed else 0.0,
                    ready=count,
                    busy=round(done * self.seconds),
                    handled=round(done),
                    room=self.room,
                ),
            )
            yield self.scaling.count


def turns(trace: list[int]) -> int:
    """How often the number changed its direction."""
    steps = [b - a for a, b in pairwise(trace) if a != b]
    return sum((a > 0) != (b > 0) for a, b in pairwise(steps))


@unhurried
@given(st.lists(st.tuples(st.floats(0.01, 30), samples), max_size=60), st.integers(0, 3), st.integers(3, 9))
def test_it_never_leaves_its_bounds_nor_the_room_there_is(
    looks: list[tuple[float, Sample]], least: int, most: int
) -> None:
    scale = Scale(min=least, max=most, target_wait=2.0)
    known, at = Scaling(least), 0.0
    for gap, sample in looks:
        at += gap
        new = scaled(scale, known, replace(sample, at=at))
        assert least <= new.count <= most
        assert new.count <= known.count + sample.room
        assert new.count <= 2 * max(1, known.count)
        known = new


@unhurried
@given(st.floats(0.001, 1.5), st.integers(1, 6))
def test_calm_when_calm(seconds: float, count: int) -> None:
    """Consumers that keep up with messages that wait for nobody stay as few as configured."""
    line = Line(seconds, lambda _: 0.5 * count / seconds, Scale(min=count, max=9, target_wait=2.0))

    assert set(line.run(120)) == {count}


def test_a_burst_scales_up_within_seconds_and_down_afterwards() -> None:
    line = Line(0.05, lambda second: 5000 if second == 5 else 0)

    trace = list(line.run(120))

    assert trace[:5] == [1] * 5
    assert max(trace[5:13]) == 6
    assert trace[-1] == 1 and turns(trace) == 1


@unhurried
@given(st.sampled_from([0.3, 0.8, 1.2, 1.7, 2.2, 2.8, 3.3, 4.5, 5.5]), st.floats(0.01, 0.5))
def test_a_steady_load_finds_its_number_and_stays(load: float, seconds: float) -> None:
    line = Line(seconds, lambda _: load / seconds)

    trace = list(line.run(400))

    assert len(set(trace[-200:])) == 1 and trace[-1] >= load
    assert turns(trace) <= 2


def test_long_messages_scale_up_before_the_first_is_finished() -> None:
    line = Line(60.0, lambda second: 20 if second == 0 else 0)

    assert max(line.run(15)) == 6


def test_an_old_message_that_came_back_is_no_reason() -> None:
    """One that was due, or is tried again, was pushed long ago and waits for a moment only."""
    known = Scaling(1)
    for second in range(100):
        waiting = second % 2
        sample = Sample(float(second), waiting, 3600.0 * waiting, 1, 1, 20, PLENTY)
        known = scaled(SCALE, known, sample)

        assert known.count == 1


def test_no_memory_no_more_and_it_says_so() -> None:
    line = Line(0.05, lambda second: 5000 if second == 0 else 0)
    line.room = 0

    assert set(line.run(20)) == {1}
    assert "no memory or CPU" in line.scaling.why


def test_it_says_why() -> None:
    known = Scaling(3, at=0.0, nonempty=-9.0)
    known = scaled(SCALE, known, Sample(1.0, 40, 7.0, 3, 3, 0, PLENTY))

    assert known.why == "3 → 6: oldest waits 7s, target 2s"


def test_none_become_some_as_soon_as_something_waits_and_none_again() -> None:
    line = Line(0.1, lambda second: 1 if second == 5 else 0, Scale(min=0, max=4, target_wait=2.0))

    trace = list(line.run(40))

    assert trace[:5] == [0] * 5 and trace[6] == 1 and trace[-1] == 0


def test_a_new_minimum_or_maximum_holds_at_once() -> None:
    idle = Sample(1.0, 0, 0.0, 6, 0, 0, PLENTY)

    assert scaled(Scale(min=1, max=4), Scaling(6), idle).count == 4
    assert scaled(Scale(min=2, max=4), Scaling(1), idle).count == 2


def test_it_is_calm_for_a_while_before_there_are_fewer() -> None:
    known = Scaling(4)
    for second in range(int(CALM_SECONDS)):
        known = scaled(SCALE, known, Sample(float(second), 0, 0.0, 4, 0, 0, PLENTY))
        assert known.count == 4
    assert scaled(SCALE, known, Sample(CALM_SECONDS, 0, 0.0, 4, 0, 0, PLENTY)).count == 2
