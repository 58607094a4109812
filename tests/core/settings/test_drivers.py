"""[drivers.NAME], and queues that name one."""

from __future__ import annotations

import pytest

from procqueue.core.settings.effective import effective
from tests.core.settings.reading import APP, FILE, only_problem, settings

FAST = '[drivers.fast]\nurl = "redis://:${SECRET:-x}@cache/1"\nprefix = "shop"\n'


def test_a_queue_is_stored_at_the_driver_that_it_names_and_the_others_at_the_one_without_a_name() -> None:
    found = settings(APP + FAST + "[queues.a]\n[queues.b]\ndriver = 'fast'", {"SECRET": "a/b"})

    assert found.used_drivers == {"": found.driver, "fast": found.drivers["fast"]}
    assert found.driver_of("a").url == "sqlite:////srv/shop/run/db/queue.db"
    assert found.driver_of("b").url == "redis://:a%2Fb@cache:6379/1"
    assert found.driver_of("b").prefix == "shop"


def test_defaults_name_a_driver_for_all_and_a_queue_may_go_back() -> None:
    found = settings(APP + FAST + "[defaults]\ndriver = 'fast'\n[queues.a]\n[queues.b]\ndriver = ''")

    assert [queue.driver for queue in found.queues.values()] == ["fast", ""]


def test_what_belongs_to_one_driver_looks_like_a_file_of_its_own() -> None:
    cron = "[cron.of-{0}]\ntask = 't'\nschedule = '* * * * *'\nqueue = '{0}'\n"
    text = APP + FAST + "[queues.a]\n[queues.b]\ndriver = 'fast'\n" + cron.format("a") + cron.format("b")
    found = settings(text).of_driver("fast")

    assert found.used_drivers == {"": found.driver}
    assert (found.driver.prefix, list(found.queues), list(found.crons)) == ("shop", ["b"], ["of-b"])


def test_values_in_force_are_told_of_each_with_its_origin_and_without_secrets() -> None:
    found = effective(settings(APP + FAST + "[queues.b]\ndriver = 'fast'", {"SECRET": "hunter2"}))
    told = {(one.table, one.key): (one.value, one.origin) for one in found}

    assert told["drivers.fast", "url"] == ("redis://:***@cache:6379/1", f"{FILE}:3")
    assert told["drivers.fast", "prefix"] == ("shop", f"{FILE}:4")
    assert told["driver", "url"][1] == "default"
    assert told["queues.b", "driver"] == ("fast", f"{FILE}:6")
    assert "hunter2" not in str(found)


QUEUE = "[queues.a]\n[queues.b]\ndriver = 'fast'\n"


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        (FAST + "[queues.a]\n[queues.b]\ndriver = 'fats'", 7, "queues.b.driver", 'no driver "fats"'),
        (FAST + QUEUE + "serves = ['b', 'a']", 8, "queues.b.serves",
         '"a" is stored at [driver], and "b" at [drivers.fast]'),
        ("[drivers.fast]\nprefix = 'x'\n" + QUEUE, 2, "drivers.fast", "says no url"),
        ("[drivers.FAST]\nurl = 'redis://h'\n[queues.a]", 2, "drivers.FAST", "cannot be the name"),
        ("[drivers.fast]\nurl = 'sync://'\n" + QUEUE, 3, "drivers.fast.url", "goes with no other driver"),
        ("[driver]\nurl = 'sync://'\n" + FAST + QUEUE, 3, "driver.url", "goes with no other driver"),
        ("[drivers.fast]\nurl = 'sqlite:///run/db/queue.db'\n" + QUEUE, 2, "drivers.fast", "of [driver]"),
        (FAST + "[drivers.again]\nurl = 'redis://u:p@cache:6379/1'\nprefix = 'shop'\n" + QUEUE, 5,
         "drivers.again", "of [drivers.fast] once more"),
        ("[drivers.fast]\nurl = 'redis://h'\nspeed = 1\n" + QUEUE, 4, "drivers.fast.speed", "unknown key"),
        ("[drivers]\nurl = 'redis://h'\n[queues.a]", 3, "drivers.url", "must be a table"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_where_it_stands(text: str, line: int, key: str, words: str) -> None:
    problem = only_problem(APP + text, {"SECRET": "hunter2"})

    assert (problem.line, problem.key) == (line, key)
    assert words in problem.text


def test_a_mistyped_driver_is_told_the_nearest() -> None:
    assert only_problem(APP + FAST + "[queues.b]\ndriver = 'fats'").hint == 'did you mean "fast"?'


def test_the_store_of_a_driver_that_nobody_means_is_free() -> None:
    found = settings(
        APP + "[drivers.main]\nurl = 'sqlite:///run/db/queue.db'\n[defaults]\ndriver = 'main'\n[queues.a]"
    )

    assert list(found.used_drivers) == ["main"]
    assert found.warnings == ()


def test_a_driver_without_queues_is_warned_of() -> None:
    [warning] = settings(APP + FAST + "[queues.a]").warnings

    assert (warning.key, warning.line) == ("drivers.fast", 2)
