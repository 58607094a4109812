"""Durations and sizes: what people may write, what is refused and in which words."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procqueue.core.units import MAX_BYTES, MAX_SECONDS, format_bytes, format_seconds, seconds, shown, size


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("500ms", 0.5),
        ("30s", 30.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("7d", 604800.0),
        ("1d2h3m4s5ms", 93784.005),
        ("1.5h", 5400.0),
        ("90", 90.0),
        (" 30s ", 30.0),
        (0.25, 0.25),
        (60, 60.0),
        (0, 0.0),
        ("", 0.0),
        ("off", 0.0),
        ("0s", 0.0),
    ],
)
def test_a_duration_is_read_as_seconds(written: object, expected: float) -> None:
    assert seconds(written) == pytest.approx(expected)
    assert type(seconds(written)) is float


@pytest.mark.parametrize(
    "written",
    ["5 minutes", "1w", "30m1h", "5x", "s", "1,5s", "١s", "1e3", "9" * 5000, True, False, None, [], {}],
)
def test_what_is_no_duration_is_refused_with_the_right_way_to_write_one(written: object) -> None:
    with pytest.raises(ValueError, match=r"is not a duration: write \"500ms\""):
        seconds(written)


@pytest.mark.parametrize("written", [-1, -0.5, "-5s", "-3"])
def test_a_negative_duration_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        seconds(written)


@pytest.mark.parametrize("written", [math.nan, math.inf, -math.inf])
def test_a_duration_has_to_be_finite(written: float) -> None:
    with pytest.raises(ValueError, match="has to be finite"):
        seconds(written)


@pytest.mark.parametrize("written", [1e300, 10**400, "9999999d", MAX_SECONDS * 1.01])
def test_an_absurdly_long_duration_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="more than ten years"):
        seconds(written)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("128MB", 128_000_000),
        ("128MiB", 134_217_728),
        ("128 MiB", 134_217_728),
        ("1.5GB", 1_500_000_000),
        ("1.1MB", 1_100_000),
        ("64kb", 64_000),
        ("2TiB", 2 << 40),
        ("512", 512),
        ("512B", 512),
        (4096, 4096),
        (0, 0),
        ("", 0),
        ("off", 0),
    ],
)
def test_a_size_is_read_as_bytes(written: object, expected: int) -> None:
    assert size(written) == expected
    assert type(size(written)) is int


@pytest.mark.parametrize(
    "written", ["128QB", "128M", "1.5", "1.5B", "MB", "1MB2KB", 1.5, True, None, "9" * 5000]
)
def test_what_is_no_size_is_refused_with_the_right_way_to_write_one(written: object) -> None:
    with pytest.raises(ValueError, match=r"is not a size: write \"128MB\""):
        size(written)


@pytest.mark.parametrize("written", [-1, "-5MB"])
def test_a_negative_size_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        size(written)


@pytest.mark.parametrize("written", [MAX_BYTES + 1, "2000TB", pytest.param(1 << 100_000, id="huge")])
def test_an_absurdly_large_size_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="more than 1 PiB"):
        size(written)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (0.9999, "1s"),
        (1, "1s"),
        (12.34, "12.3s"),
        (59.99, "1m"),
        (60, "1m"),
        (90, "1m30s"),
        (3599.9, "1h"),
        (5400, "1h30m"),
        (3 * 86400 + 4 * 3600 + 59, "3d4h"),
        (86400 * 7, "7d"),
        (-90, "-1m30s"),
    ],
)
def test_seconds_are_shown_in_at_most_two_units(value: float, expected: str) -> None:
    assert format_seconds(value) == expected


@given(st.floats(0.001, MAX_SECONDS / 2))
def test_shown_seconds_are_read_again_as_nearly_the_same(value: float) -> None:
    assert seconds(format_seconds(value)) == pytest.approx(value, rel=0.06)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0B"),
        (512, "512B"),
        (1536, "1.5KiB"),
        (1 << 20, "1MiB"),
        (128_000_000, "128MB"),
        (2_000_000_000, "2GB"),
        (54_841_344, "52.3MiB"),
        (-1024, "-1KiB"),
    ],
)
def test_bytes_are_shown_as_written_where_exact_and_in_binary_units_else(value: int, expected: str) -> None:
    assert format_bytes(value) == expected


@given(st.integers(1024, MAX_BYTES))
def test_shown_bytes_are_read_again_as_nearly_the_same(value: int) -> None:
    assert size(format_bytes(value)) == pytest.approx(value, rel=0.05)


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.integers())))
def test_any_value_is_a_number_or_a_value_error(value: object) -> None:
    for read in (seconds, size):
        try:
            assert read(value) >= 0
        except ValueError as error:
            assert str(error)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "true"),
        ("it's", '"it\'s"'),
        ('say "x"\n', '"say \\"x\\"\\n"'),
        ("x" * 100, '"' + "x" * 57 + '..."'),
        pytest.param(1 << 50_000, "a number of 50001 bits", id="huge"),
        pytest.param([1 << 50_000], "a list", id="list of huge"),
        ({"a": 1}, "a table"),
    ],
)
def test_values_are_shown_short_and_in_the_words_of_toml(value: object, expected: str) -> None:
    assert shown(value) == expected
