"""Which messages filters mean, and which errors are of one kind."""

from __future__ import annotations

from typing import Any

import pytest

from procqueue.core import wire
from procqueue.core.filters import Filters, error_of, kind_of, task_of
from procqueue.core.message import NO_COUNTERS, State, Stored
from procqueue.core.record import Record


def stored(
    task: str = "app.bad", *args: Any, error: str = "", ended_ms: int | None = None, **kw: Any
) -> Stored:
    history = (Record(1, 0.1, "c", 1, "raised", error).encode(),) if error else ()
    body = wire.encode(task, args, kw)
    return Stored("emails", "m", State.FAILED, body, NO_COUNTERS, 1000, None, history, ended_ms)


def test_nothing_given_means_all() -> None:
    assert not Filters()
    assert Filters().match(stored(), 0)


def test_a_task_is_meant_by_its_whole_name() -> None:
    assert Filters(task="app.bad").match(stored(), 0)
    assert not Filters(task="app").match(stored(), 0)


def test_an_error_is_meant_by_a_part_in_any_case() -> None:
    assert Filters(error="TIMED out").match(stored(error="OSError: timed out"), 0)
    assert not Filters(error="refused").match(stored(error="OSError: timed out"), 0)
    assert not Filters(error="x").match(stored(), 0)


def test_age_counts_from_the_end_or_else_from_the_push() -> None:
    assert Filters(older_than=1).match(stored(), 2000)
    assert not Filters(older_than=1).match(stored(), 1999)
    assert not Filters(older_than=1).match(stored(ended_ms=5000), 5999)


@pytest.mark.parametrize(
    ("wanted", "is_meant"),
    [
        ({"user_id": 42}, True), ({"user_id": "42"}, True), ({"user_id": "43"}, False),
        ({"0": "Ada"}, True), ({"1": "true"}, True), ({"1": 1}, False), ({"1": "1"}, False),
        ({"2": "x"}, False), ({"nobody": "x"}, False), ({"tags": '["a"]'}, True),
        ({"0": "Ada", "user_id": 1}, False),
    ],
)  # fmt: skip
def test_arguments_are_meant_by_name_or_place(wanted: dict[str, Any], is_meant: bool) -> None:
    assert Filters(args=wanted).match(stored("t", "Ada", True, user_id=42, tags=["a"]), 0) is is_meant


def test_what_is_unreadable_has_no_task_and_no_arguments() -> None:
    broken = Stored("emails", "m", State.FAILED, b"{", NO_COUNTERS, 1000, None, (b"rubbish",))

    assert task_of(broken) == "" and error_of(broken) == ""
    assert not Filters(task="app.bad").match(broken, 0)
    assert Filters(older_than=1).match(broken, 10**9)


def test_errors_of_one_kind_differ_in_numbers_and_ids_only() -> None:
    assert kind_of("first\nKeyError: user 42 at 0xff") == "KeyError: user # at #"
    assert kind_of("no 01ARZ3NDEKTSV4RRFFQ69G5FAV") == kind_of("no 01BX5ZZKBKACTAV9WEVGEMMVRZ") == "no #"
    assert kind_of("KeyError: 'a'") != kind_of("KeyError: 'b'")
    assert kind_of("") == "" and len(kind_of("x" * 10_000)) == 200
