"""The book of children: what each event changes, and what deaths say about the next start (law S10)."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procqueue.core.book import Book, apply
from procqueue.core.events import (
    UNCAUSED,
    Child,
    Cleared,
    Died,
    Disowned,
    Event,
    Forked,
    ForkFailed,
    KillSent,
    Leaving,
    Life,
    Loaded,
    Overdue,
    OverMemory,
    Proved,
    Ready,
    Reason,
    Silent,
    Spent,
    StopSent,
    Worked,
)

ONE = Child("one", "emails", 0, 1, started=100.0)


def book_of(*events: Event, children: tuple[Child, ...] = (ONE,)) -> Book:
    book = Book({child.id: child for child in children})
    for event in events:
        book = apply(book, event)
    return book


def crash(id: str, at: float, reason: Reason = Reason.CRASH, draw: float = 0.0) -> Died:
    return Died(id, at, reason, delay_max=30.0, draw=draw)


def crash_rounds(book: Book, rounds: int, generation: int = 1) -> list[float]:
    """Start a child and let it die, `rounds` times, as early as the book allows; return the delays."""
    delays, at = [], 1_000.0
    for number in range(rounds):
        child = Child(f"n{number}", "emails", 0, generation, started=at)
        book = apply(apply(book, Forked(child)), crash(child.id, at + 0.5))
        start_at = book.pulse("emails").start_at(generation)
        delays.append(start_at - at - 0.5)
        at = start_at
    return delays


# What events do to a child.


def test_a_fork_brings_a_starting_child_into_the_book() -> None:
    book = apply(Book(), Forked(ONE))

    assert book.of("emails") == [ONE]
    assert book.children["one"].life is Life.STARTING


@pytest.mark.parametrize(
    ("event", "changes"),
    [
        (Loaded("one"), {"loaded": True}),
        (Ready("one", 101.0), {"life": Life.READY, "loaded": True, "ready": 101.0}),
        (Worked("one"), {"worked": True}),
        (Spent("one", Reason.MAX_AGE), {"spent": Reason.MAX_AGE}),
        (Leaving("one", Reason.DISOWNED), {"life": Life.STOPPING, "leaving": Reason.DISOWNED}),
        (Overdue("one"), {"overdue": True}),
        (OverMemory("one"), {"over_memory": True}),
        (Silent("one"), {"silent": True}),
        (Disowned("one"), {"disowned": True}),
        (
            StopSent("one", Reason.SCALE, 126.0),
            {"life": Life.STOPPING, "leaving": Reason.SCALE, "stop_by": 126.0},
        ),
        (
            KillSent("one", Reason.TIMEOUT),
            {"life": Life.STOPPING, "leaving": Reason.TIMEOUT, "killed": True},
        ),
    ],
)
def test_an_event_changes_one_child_and_that_only_so(event: Event, changes: dict[str, object]) -> None:
    other = replace(ONE, id="other")

    book = book_of(event, children=(ONE, other))

    assert book.children["one"] == replace(ONE, **changes)  # type: ignore[arg-type]
    assert book.children["other"] == other


def test_what_had_ended_when_one_looked_again_is_not_overdue() -> None:
    assert book_of(Overdue("one"), Cleared("one")).children["one"] == ONE


@pytest.mark.parametrize("told", [StopSent("one", Reason.STOP, 126.0), Leaving("one", Reason.STOP)])
def test_a_ready_that_comes_after_the_stop_leaves_it_stopping(told: Event) -> None:
    child = book_of(told, Ready("one", 101.0)).children["one"]

    assert child.life is Life.STOPPING
    assert child.ready == 101.0


def test_the_first_reason_to_leave_is_kept_but_a_kill_has_the_last_word() -> None:
    told = book_of(Leaving("one", Reason.MAX_AGE), StopSent("one", Reason.STOP, 126.0))
    killed = apply(told, KillSent("one", Reason.MEMORY_HARD))

    assert told.children["one"].leaving is Reason.MAX_AGE
    assert killed.children["one"].leaving is Reason.MEMORY_HARD


def test_the_first_reason_to_be_spent_is_kept() -> None:
    book = book_of(Spent("one", Reason.MAX_MEMORY), Spent("one", Reason.MAX_AGE))

    assert book.children["one"].spent is Reason.MAX_MEMORY


@pytest.mark.parametrize(
    "event", [Ready("gone", 1.0), Worked("gone"), Leaving("gone", Reason.STOP), crash("gone", 1.0)]
)
def test_news_of_a_child_that_is_not_in_the_book_changes_nothing(event: Event) -> None:
    book = book_of()

    assert apply(book, event) is book


def test_a_book_is_never_changed_in_place() -> None:
    book = book_of()

    apply(book, Ready("one", 101.0))
    apply(book, crash("one", 101.0))
    apply(book, Proved("emails", 1))

    assert book == book_of()


def test_children_are_listed_eldest_first() -> None:
    young, old = replace(ONE, id="a", started=103.0), replace(ONE, id="z", started=99.0)

    assert book_of(children=(ONE, young, old)).of("emails") == [old, ONE, young]


# What deaths say about the next start.


def test_s10_the_delay_doubles_from_a_second_up_to_the_limit() -> None:
    assert crash_rounds(Book(), 8) == [1, 2, 4, 8, 16, 30, 30, 30]


def test_s10_a_thousand_failures_are_no_overflow() -> None:
    assert crash_rounds(Book(), 1_100)[-1] == 30


@given(st.floats(0, 1, exclude_max=True))
def test_s10_the_draw_spreads_a_delay_by_up_to_a_fifth(draw: float) -> None:
    book = book_of(crash("one", 101.0, draw=draw))

    assert 102.0 <= book.pulse("emails").start_at(1) <= 102.2


@pytest.mark.parametrize("reason", sorted(set(Reason) - UNCAUSED - {Reason.MEMORY_HARD}))
def test_s10_a_death_that_we_caused_neither_counts_nor_delays(reason: Reason) -> None:
    pulse = book_of(crash("one", 101.0, reason)).pulse("emails")

    assert pulse.start_at(1) == -math.inf
    assert pulse.deaths == ()


def test_s10_one_that_was_too_large_at_its_very_start_is_started_again_with_a_delay() -> None:
    at_once = book_of(crash("one", 101.0, Reason.MEMORY_HARD)).pulse("emails")
    later = book_of(Ready("one", 101.0), crash("one", 102.0, Reason.MEMORY_HARD)).pulse("emails")

    assert at_once.start_at(1) == 102.0
    assert later.start_at(1) == -math.inf


def test_s10_one_that_was_ready_for_a_second_counts_but_does_not_delay() -> None:
    pulse = book_of(Ready("one", 101.0), crash("one", 102.0)).pulse("emails")

    assert pulse.start_at(1) == -math.inf
    assert pulse.deaths == (102.0,)


def test_s10_one_that_was_ready_for_less_delays() -> None:
    assert book_of(Ready("one", 101.0), crash("one", 101.9)).pulse("emails").start_at(1) == 102.9


def test_s10_one_that_had_finished_a_message_does_not_delay() -> None:
    book = book_of(Ready("one", 101.0), Worked("one"), crash("one", 101.1))

    assert book.pulse("emails").start_at(1) == -math.inf


@pytest.mark.parametrize("reason", [Reason.IMPORT_ERROR, Reason.START_TIMEOUT])
def test_a_start_that_says_it_failed_delays_whatever_came_before(reason: Reason) -> None:
    book = book_of(Ready("one", 101.0), Worked("one"), crash("one", 105.0, reason))

    assert book.pulse("emails").start_at(1) == 106.0


def test_s10_those_that_started_before_the_failure_belong_to_its_round() -> None:
    two, three = replace(ONE, id="two"), replace(ONE, id="three", started=102.5)
    book = book_of(crash("one", 101.0), crash("two", 101.5), children=(ONE, two))
    assert book.pulse("emails").start_at(1) == 102.5

    book = apply(apply(book, Forked(three)), crash("three", 103.0))

    assert book.pulse("emails").start_at(1) == 105.0


def test_s10_a_later_failure_of_a_round_does_not_shorten_its_delay() -> None:
    two = replace(ONE, id="two")
    book = book_of(crash("one", 101.0, draw=0.75), crash("two", 101.01, draw=0.0), children=(ONE, two))

    assert book.pulse("emails").start_at(1) == pytest.approx(102.15)


def test_s10_the_next_one_that_finishes_a_message_ends_the_back_off() -> None:
    second = replace(ONE, id="second")
    book = book_of(crash("one", 101.0), children=(ONE, second))

    book = apply(book, Worked("second"))

    assert book.pulse("emails").start_at(1) == -math.inf
    assert crash_rounds(book, 2) == [1, 2]


def failing_with_a_sibling(ready: float) -> Book:
    """Three rounds of failures, the last at 1004.5, and a sibling that is ready since `ready`."""
    book = book_of()
    for started in (1_000.0, 1_001.5, 1_004.0):
        child = replace(ONE, id=f"from {started}", started=started)
        book = apply(apply(book, Forked(child)), crash(child.id, started + 0.5))
    return apply(book, Ready("one", ready))


@pytest.mark.parametrize(("at", "delay"), [(1_015.0, 1), (1_014.75, 8)])
def test_s10_a_sibling_that_was_ready_for_ten_seconds_ends_the_back_off(at: float, delay: float) -> None:
    book = failing_with_a_sibling(ready=1_005.0)

    book = apply(apply(book, Forked(replace(ONE, id="next", started=1_010.0))), crash("next", at))

    assert book.pulse("emails").start_at(1) == at + delay


def test_s10_a_sibling_from_before_the_failure_does_not_end_the_back_off() -> None:
    book = failing_with_a_sibling(ready=999.0)

    book = apply(apply(book, Forked(replace(ONE, id="next", started=1_010.0))), crash("next", 1_015.0))

    assert book.pulse("emails").start_at(1) == 1_023.0


@pytest.mark.parametrize("reason", [Reason.MAX_AGE, Reason.CRASH])
def test_s10_one_that_was_ready_for_ten_seconds_ended_the_back_off_also_if_it_has_left(
    reason: Reason,
) -> None:
    book = apply(failing_with_a_sibling(ready=1_005.0), crash("one", 5_000.0, reason))

    book = apply(apply(book, Forked(replace(ONE, id="next", started=5_000.0))), crash("next", 5_001.0))

    assert book.pulse("emails").start_at(1) == 5_002.0


def test_s3_each_generation_has_its_own_back_off() -> None:
    book = book_of(Proved("emails", 1), children=())
    canary = replace(ONE, id="canary", generation=2)

    book = apply(apply(book, Forked(canary)), crash("canary", 101.0))

    pulse = book.pulse("emails")
    assert (pulse.start_at(1), pulse.start_at(2), pulse.start_at(3)) == (-math.inf, 102.0, -math.inf)
    assert pulse.deaths == (101.0,)


def test_s3_a_canary_on_trial_delays_its_next_start_though_it_had_worked() -> None:
    canary = replace(ONE, id="canary", generation=2)
    book = book_of(Proved("emails", 1), Ready("canary", 101.0), Worked("canary"), children=(canary,))

    book = apply(book, crash("canary", 104.0))

    assert book.pulse("emails").start_at(2) == 105.0


def test_the_back_off_of_former_generations_is_forgotten_with_them() -> None:
    book = book_of(crash("one", 101.0), Proved("emails", 2))

    assert dict(book.pulse("emails").starts) == {}


def test_refused_forks_delay_all_generations_and_refusals_of_one_moment_are_one() -> None:
    refused = [ForkFailed("emails", at, 30.0) for at in (1.0, 1.0, 1.0, 2.0, 4.0)]

    assert book_of(*refused[:3]).pulse("emails").start_at(7) == 2.0
    assert book_of(*refused[:4]).pulse("emails").start_at(7) == 4.0
    assert book_of(*refused).pulse("emails").start_at(7) == 8.0
    assert book_of(*refused, Forked(ONE)).pulse("emails").start_at(7) == -math.inf


def test_a_pool_does_not_pay_for_another() -> None:
    assert book_of(crash("one", 101.0)).pulse("letters").start_at(1) == -math.inf


def test_s10_five_uncaused_deaths_in_a_minute_are_a_loop_until_the_minute_is_over() -> None:
    children = tuple(replace(ONE, id=f"n{number}") for number in range(5))
    deaths = [crash(child.id, 110.0 + 10 * number) for number, child in enumerate(children)]

    assert not book_of(*deaths[:4], children=children).pulse("emails").loops(140.0)
    pulse = book_of(*deaths, children=children).pulse("emails")
    assert pulse.loops(150.0)
    assert pulse.loops(169.9)
    assert not pulse.loops(170.0)


def test_deaths_of_the_past_are_not_collected() -> None:
    book = Book()
    for number in range(100):
        child = replace(ONE, id=f"n{number}", started=10.0 * number)
        book = apply(apply(book, Forked(child)), crash(child.id, 10.0 * number + 1))

    assert len(book.pulse("emails").deaths) <= 6
