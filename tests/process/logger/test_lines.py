"""Bytes into lines, and lines into what terminals, files and programs read."""

import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procqueue.process.logger import lines
from procqueue.process.logger.lines import Batch, batch_at, first_half, traceback_begins, visible, whole

BEGIN = b"Traceback (most recent call last):\n"


def batch(data: bytes, *, continued: bool = False) -> Batch:
    return Batch("q:0", "err", data, "12:34:56", "2026-01-02T03:04:05.678Z", continued)


@pytest.mark.parametrize(
    ("data", "full", "last", "taken"),
    [
        (b"one\ntwo", False, False, 4),
        (b"one\ntwo", True, True, 4),
        (b"two", False, False, 0),
        (b"two", True, False, 3),
        (b"two", False, True, 3),
        (b"", False, True, 0),
    ],
)
def test_only_whole_lines_are_taken_unless_nothing_more_can_come(
    data: bytes, full: bool, last: bool, taken: int
) -> None:
    assert whole(data, full=full, last=last) == taken


@pytest.mark.parametrize(
    ("data", "begin"),
    [
        (BEGIN, 0),
        (b"before\n" + BEGIN + b"  File x\n", 7),
        (BEGIN + b"  File x\nValueError: y\n", None),
        (
            BEGIN
            + b"  File x\nE: y\n\nDuring handling of the above exception, another exception occurred:\n\n",
            0,
        ),
        (b"  + Exception Group " + BEGIN + b"  |   File x\n", 0),
        (b"nothing of the kind\n", None),
    ],
)
def test_the_beginning_of_a_traceback_is_found_where_its_end_is_missing(data: bytes, begin: int) -> None:
    assert traceback_begins(data) == begin


def test_a_half_has_whole_lines_and_a_single_line_has_no_half() -> None:
    assert first_half(b"aa\nbb\ncc\ndd\n") == b"aa\nbb\n"
    assert first_half(b"a\n" + b"b" * 50 + b"\n") == b"a\n"
    assert first_half(b"single\n") == b"single\n"
    assert first_half(b"piece") == b"piece"


def test_each_target_has_its_own_head() -> None:
    one = batch(b"a\nb\n")

    assert lines.for_terminal(one) == b"12:34:56 q:0 | a\n12:34:56 q:0 | b\n"
    assert lines.for_file(one).startswith(b"2026-01-02T03:04:05.678Z q:0 | a\n")
    assert lines.for_ring(one).startswith(b"2026-01-02T03:04:05.678Z q:0 err | a\n")


def test_the_rest_of_a_long_line_is_marked_once() -> None:
    one = batch(b"rest\nnext", continued=True)

    assert lines.for_terminal(one) == b"12:34:56 q:0 + rest\n12:34:56 q:0 | next\n"
    assert [json.loads(line).get("continued") for line in lines.as_json(one).splitlines()] == [True, None]
    assert one.count == 2


def test_our_own_lines_are_told_apart_by_time_and_name() -> None:
    one = batch(b"01:02:03 q:0 ready\n01:02:03 q:1 ready\nx 01:02:03 q:0 y\n")

    assert lines.for_terminal(one).splitlines() == [
        b"12:34:56 q:0 ready", b"12:34:56 q:0 | 01:02:03 q:1 ready", b"12:34:56 q:0 | x 01:02:03 q:0 y",
    ]  # fmt: skip
    assert b" q:0 own | ready\n" in lines.for_ring(one)


def test_a_moment_is_local_for_people_and_utc_for_files() -> None:
    one = batch_at(1_700_000_000.1239, "q:0", "out", b"x\n")

    assert one.moment == "2023-11-14T22:13:20.123Z"
    assert re.fullmatch(r"\d\d:\d\d:20", one.clock)


@given(st.binary(max_size=200))
def test_nothing_that_is_shown_can_move_a_cursor(data: bytes) -> None:
    shown = visible(data).decode()

    without_colours = re.sub("\x1b\\[[0-9;:]*m", "", shown)
    assert all(character.isprintable() or character in "\n\t" for character in without_colours)
    assert visible(data).count(b"\n") == data.count(b"\n")


def test_what_prints_is_shown_as_it_is() -> None:
    for text in ("plain\n", "tab\tand é 漢字\n", "\x1b[1;31mred\x1b[0m\n"):
        assert visible(text.encode()) == text.encode()
    assert visible(b"dos\r\n") == b"dos\n"
    assert visible(b"10%\r20%\n") == b"10%\\r20%\n"


@given(st.binary(max_size=300))
def test_every_line_is_one_json_object_whatever_is_in_it(data: bytes) -> None:
    one = batch(data + b"\n")

    found = [json.loads(line) for line in lines.as_json(one).splitlines()]

    assert len(found) == one.count


def test_the_bytes_of_a_line_are_untouched_in_a_file() -> None:
    data = os.urandom(5000).replace(b"\n", b"")

    assert lines.for_file(batch(data + b"\n")).endswith(b" | " + data + b"\n")
