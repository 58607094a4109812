"""At which level a queue stands: reached at once, left only when clearly below."""

import pytest

from procqueue.core.lengths import level_of

LEVELS = (("info", 10), ("warning", 50), ("error", 500))


@pytest.mark.parametrize(
    ("length", "present", "level"),
    [
        (0, "", ""), (9, "", ""), (10, "", "info"), (50, "", "warning"), (499, "", "warning"),
        (500, "", "error"), (9, "info", "info"), (8, "info", "info"), (7, "info", ""), (500, "info", "error"),
        (45, "info", "info"), (400, "error", "error"), (399, "error", "warning"), (40, "error", "warning"),
        (8, "error", "info"),
        (0, "error", ""),
    ],
)  # fmt: skip
def test_a_level_is_reached_at_its_length_and_left_below_four_fifths(
    length: int, present: str, level: str
) -> None:
    assert level_of(length, LEVELS, present) == level


def test_a_length_that_swings_is_one_level() -> None:
    level, changes = "", 0
    for length in [9, 10, 9, 10, 8, 11, 9, 10] * 5:
        before, level = level, level_of(length, LEVELS, level)
        changes += before != level

    assert changes == 1


def test_without_levels_there_are_none() -> None:
    assert level_of(10**6, ()) == ""
    assert level_of(10**6, (("warning", 5),), "error") == "warning"
