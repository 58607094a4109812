"""What a push may ask for beside where and when: each wrong word named, using() over @task."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from procqueue.core import wire
from procqueue.core.traits import PLAIN, Traits
from procqueue.tasks.call import NOTHING, Asked, asked, placed

BODY = wire.encode("shop.welcome", [42], {"b": 1, "a": [2]})


def using(before: Asked = NOTHING, **written: Any) -> Traits:
    given = {name: written.pop(name, None) for name in ("delay", "at", "queue", "id")}
    return placed(**given, before=before, **written).asked.traits(BODY)


def test_who_asks_for_nothing_gets_plain_messages() -> None:
    assert using() is PLAIN


def test_what_is_asked_for_is_told_to_the_store() -> None:
    assert using(priority=-9, expires="5m", unique="k") == Traits(-9, 300_000, "k")
    assert using(unique="k", until="begun", on_duplicate="replace") == Traits(
        unique="k", until_begun=True, replace=True
    )
    assert using(unique="k", until=timedelta(hours=1)) == Traits(unique="k", until_ms=3_600_000)
    assert using(unique="k", until="done", on_duplicate="raise") == Traits(unique="k")


def test_unique_is_the_task_with_the_same_arguments() -> None:
    key = using(unique=True).unique
    same = wire.encode("shop.welcome", [42], {"a": [2], "b": 1}, id="another", delay_ms=7)

    assert key.startswith("shop.welcome:")
    asks = placed(None, None, None, None, unique=True).asked
    assert asks.traits(same).unique == key
    others = [("shop.other", [42], {}), ("shop.welcome", [43], {}), ("shop.welcome", [42], {"b": "1"})]
    assert len({key, *(asks.traits(wire.encode(*call)).unique for call in others)}) == 4
    long = asks.traits(wire.encode("x" * 250))
    assert using(unique=long.unique).unique == long.unique


def test_using_lies_over_the_task_key_by_key() -> None:
    task = asked(unique=True, until="begun", priority=3)

    assert using(task, unique="k") == Traits(3, 0, "k", until_begun=True)
    assert using(task, until="1h", priority=0, unique="k") == Traits(0, 0, "k", until_ms=3_600_000)


def test_debounce_is_a_delay_that_the_next_push_begins_anew() -> None:
    where = placed(None, None, None, None, debounce="10s")

    assert where.delay_ms == 10_000
    traits = where.asked.traits(BODY)
    assert (traits.until_begun, traits.replace, traits.unique) == (True, True, using(unique=True).unique)
    assert using(debounce=1, unique="k").unique == "k"


@pytest.mark.parametrize(
    ("written", "error", "reason"),
    [
        ({"priority": 10}, ValueError, "priority= is 10, not between -9 and 9"),
        ({"priority": 10**400}, ValueError, "priority= is 1000"),
        ({"priority": 1.0}, TypeError, "priority=1.0 is not a whole number"),
        ({"priority": True}, TypeError, "priority=True is not a whole number"),
        ({"expires": 0}, ValueError, "expires=: 0 is no time"),
        ({"expires": -1}, ValueError, "expires=: -1 is negative"),
        ({"expires": "soon"}, ValueError, "expires=: "),
        ({"expires": 1e99}, ValueError, "expires=: .* is more than 100 years"),
        ({"expires": "5m", "delay": "5m"}, ValueError, "expires= is counted from the push"),
        (
            {"expires": "5m", "at": datetime.now(UTC) + timedelta(days=1)},
            ValueError,
            "expires= is counted from the push",
        ),
        ({"unique": ""}, ValueError, "unique= is '', not 1 to 250 printable characters"),
        ({"unique": "\ud800"}, ValueError, "unique= is .* printable"),
        ({"unique": "x" * 251}, ValueError, "unique= is"),
        ({"unique": 7}, TypeError, "unique=7 is neither True nor a text"),
        ({"until": "begun"}, ValueError, "until= says something about unique="),
        ({"unique": False, "until": "begun"}, ValueError, "until= says something about unique="),
        ({"on_duplicate": "raise"}, ValueError, "on_duplicate= says something about unique="),
        ({"unique": True, "until": "ended"}, ValueError, "until=: "),
        ({"unique": True, "until": 0}, ValueError, "until=: 0 is no time"),
        ({"unique": True, "on_duplicate": "replace+raise"}, ValueError, "is none of drop, replace, raise"),
        (
            {"unique": True, "on_duplicate": ["replace", "raise"]},
            ValueError,
            "is none of drop, replace, raise",
        ),
        ({"debounce": "10s", "delay": 1}, ValueError, "debounce= says delay= itself"),
        ({"debounce": "10s", "on_duplicate": "raise"}, ValueError, "debounce= says on_duplicate= itself"),
        ({"debounce": 0}, ValueError, "debounce=: 0 is no time"),
    ],
)
def test_what_makes_no_sense_is_named(written: dict[str, Any], error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        using(**written)
