"""What the lines and the answers of a program mean."""

import re

import pytest

from procqueue.process.programs.readiness import LineTap, Streak


def test_the_first_line_in_which_the_pattern_is_found_says_ready_once() -> None:
    tap = LineTap(r"listening on :\d+")

    said = ("listening on :x", "[x] listening on :80 now", "listening on :80")

    assert [tap.hear(line) for line in said] == [False, True, False]


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(re.error):
        LineTap("(")


def test_a_program_is_unhealthy_after_so_many_bad_answers_in_a_row() -> None:
    streak = Streak(failures=3)

    seen = []
    for answer in ("", "refused", "refused", "", "refused", "answered 503", "refused"):
        streak = streak.after(answer)
        seen.append(streak.unhealthy)

    assert seen == [False] * 6 + [True]
    assert streak.why == "refused"
