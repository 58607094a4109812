"""The vigil: who was away is told by its own wake-ups, and by nothing else."""

from __future__ import annotations

from procqueue.core.vigil import LATE, Absence, Vigil

BOOT = 5_000.0  # how far CLOCK_BOOTTIME is ahead, from earlier suspensions


def vigil(at: float = 100.0) -> Vigil:
    return Vigil(at, at + BOOT)


def test_who_wakes_when_it_meant_to_was_there_however_long_it_slept_on_purpose() -> None:
    one = vigil()

    assert one.looked(3_700.0, 3_700.0 + BOOT, due=3_700.0) is None
    assert one.looked(3_701.0, 3_701.0 + BOOT, due=7_300.0) is None  # woken early
    assert one.looked(3_701.0 + LATE, 3_701.0 + LATE + BOOT) is None  # a long pass


def test_who_wakes_late_was_away_and_deadlines_keep_what_was_left_at_its_last_look() -> None:
    assert vigil().looked(109.0, 109.0 + BOOT, due=101.0) == Absence(8.0, 9.0, suspended=False)


def test_a_pass_that_takes_too_long_is_an_absence_too() -> None:
    assert vigil().looked(106.0, 106.0 + BOOT) == Absence(6.0, 6.0, suspended=False)


def test_a_moment_that_was_due_long_ago_is_no_absence() -> None:
    assert vigil().looked(100.1, 100.1 + BOOT, due=0.0) is None


def test_a_suspended_machine_is_told_of_and_puts_nothing_off() -> None:
    one = vigil()

    assert one.looked(101.0, 101.0 + BOOT + 3_600.0, due=101.0) == Absence(3_600.0, 0.0, suspended=True)
    assert one.looked(102.0, 102.0 + BOOT + 3_600.0, due=102.0) is None  # said once


def test_suspended_and_late_both_count() -> None:
    away = vigil().looked(110.0, 110.0 + BOOT + 60.0, due=101.0)

    assert away == Absence(69.0, 10.0, suspended=True)


def test_each_absence_is_told_once() -> None:
    one = vigil()

    assert one.looked(120.0, 120.0 + BOOT, due=101.0) is not None
    assert one.looked(120.0, 120.0 + BOOT) is None
