"""Crons: which ticks a schedule has, and which of those that were missed are pushed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from procqueue.core.errors import ConfigError
from procqueue.core.message import State
from procqueue.core.settings.decode import decode_text
from procqueue.core.settings.model import CronSettings
from procqueue.drivers.contract import Driver, GateState
from procqueue.drivers.sqlite.driver import SqliteDriver
from procqueue.drivers.upkeep import Tick
from procqueue.process import crontab
from procqueue.process.crontab import LATE_MS, Crontab, Schedule, refuse_bad_crons
from procqueue.process.log import Log

MINUTE = 60_000
BERLIN = ZoneInfo("Europe/Berlin")


def ms(*moment: int, zone: Any = UTC) -> int:
    return int(datetime(*moment, tzinfo=zone).timestamp()) * 1000  # type: ignore[misc]


def local(at: int | None) -> str:
    assert at is not None
    return datetime.fromtimestamp(at / 1000, BERLIN).strftime("%m-%d %H:%M%z")


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    driver = SqliteDriver(str(tmp_path / "db" / "queue.db"))
    yield driver
    driver.close()


def crontab_of(schedule: str, **more: Any) -> Crontab:
    cron = CronSettings("c", task="t", schedule=schedule, queue="q", **more)
    return Crontab({"c": cron}, Log("test", "error"))


def pushed(driver: Driver) -> list[str]:
    return [one.id.partition("@")[2] for one in driver.messages("q", State.WAITING, 0, 1000)]


def written(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def minute_now() -> int:
    return crontab._now_ms() // MINUTE * MINUTE


def came_to(driver: Driver, at: int, schedule: str = "* * * * * UTC") -> None:
    driver.push_tick("q", "c", Tick(at, schedule), None, alone=False)


# schedules


def test_a_tick_is_after_the_moment_and_until_includes_it() -> None:
    nightly = Schedule("0 3 * * *", "UTC")
    three = ms(2026, 11, 21, 3)

    assert nightly.after(three) == three + 24 * 60 * MINUTE
    assert nightly.after(three - 1) == nightly.until(three) == nightly.until(three + 1) == three
    assert nightly.until(three - 1) == three - 24 * 60 * MINUTE


def test_an_hour_that_is_left_out_in_spring_ticks_after_it() -> None:
    nightly = Schedule("30 2 * * *", "Europe/Berlin")

    first = nightly.after(ms(2026, 3, 29, 0, zone=BERLIN))

    assert local(first) == "03-29 03:00+0200"
    assert local(nightly.after(first or 0)) == "03-30 02:30+0200"


def test_an_hour_that_comes_twice_in_autumn_ticks_once_a_day_and_each_half_hour() -> None:
    nightly, half = Schedule("30 2 * * *", "Europe/Berlin"), Schedule("*/30 * * * *", "Europe/Berlin")
    midnight = ms(2026, 10, 25, 0, zone=BERLIN)

    first = nightly.after(midnight)
    assert local(first) == "10-25 02:30+0200"
    assert local(nightly.after(first or 0)) == "10-26 02:30+0100"
    ticks = [midnight]
    while len(ticks) < 10:
        ticks.append(half.after(ticks[-1]) or 0)
    assert ticks == [midnight + n * 30 * MINUTE for n in range(10)], "none twice, none left out"


# what is due


def test_a_cron_that_the_store_does_not_know_begins_with_its_next_tick(driver: Driver) -> None:
    table = crontab_of("* * * * *", catch_up="all")

    table.push_due(driver, "q")

    assert pushed(driver) == []
    assert driver.ticks("q")["c"].schedule == "* * * * * UTC"
    assert 0 < table.seconds_left() <= 60


@pytest.mark.parametrize("catch_up", ["last", "all", "none"])
def test_one_that_is_only_late_is_pushed(driver: Driver, catch_up: str) -> None:
    now = minute_now()
    came_to(driver, now - MINUTE)

    crontab_of("* * * * *", catch_up=catch_up).push_due(driver, "q")

    assert written(now) in pushed(driver)


@pytest.mark.parametrize(("catch_up", "number"), [("none", 0), ("last", 1), ("all", 5)])
def test_of_what_was_missed_is_pushed_what_catch_up_says(driver: Driver, catch_up: str, number: int) -> None:
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    twelve_hours_off = day.replace(hour=(datetime.now(UTC).hour + 12) % 24)  # never within LATE of now
    newest = (
        twelve_hours_off if twelve_hours_off < datetime.now(UTC) else twelve_hours_off - timedelta(days=1)
    )
    schedule = f"0 {newest.hour} * * *"
    last = int((newest - timedelta(days=5)).timestamp()) * 1000
    came_to(driver, last, f"{schedule} UTC")

    for _ in range(2):
        crontab_of(schedule, catch_up=catch_up, overlap="allow").push_due(driver, "q")

    missed = [written(int((newest - timedelta(days=d)).timestamp()) * 1000) for d in (4, 3, 2, 1, 0)]
    assert pushed(driver) == missed[5 - number :]
    assert driver.ticks("q")["c"].ms == int(newest.timestamp()) * 1000


def test_two_hosts_push_each_tick_once(driver: Driver) -> None:
    start = minute_now() - 20 * MINUTE
    came_to(driver, start)
    tables = [crontab_of("* * * * *", catch_up="all", overlap="allow") for _ in range(2)]

    for table in (*tables, *tables):
        table.push_due(driver, "q")

    found = pushed(driver)
    assert len(set(found)) == len(found)
    assert found[:20] == [written(start + n * MINUTE) for n in range(1, 21)]


def test_with_skip_the_next_is_left_out_while_the_former_is_to_be_handled(driver: Driver) -> None:
    start = minute_now() - 5 * MINUTE
    came_to(driver, start)

    crontab_of("* * * * *", catch_up="all").push_due(driver, "q")

    assert pushed(driver) == [written(start + MINUTE)]
    assert driver.ticks("q")["c"].ms >= start + 5 * MINUTE


def test_with_another_schedule_nothing_of_before_was_missed(driver: Driver) -> None:
    came_to(driver, minute_now() - 60 * MINUTE, "0 3 * * * UTC")

    crontab_of("* * * * *", catch_up="all").push_due(driver, "q")

    assert pushed(driver) == []


def test_a_clock_that_goes_back_pushes_nothing_twice(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    del monkeypatch
    came_to(driver, minute_now() + 60 * MINUTE)

    table = crontab_of("* * * * *")
    table.push_due(driver, "q")

    assert pushed(driver) == []
    assert table.seconds_left() > 60 * 60
    assert LATE_MS == MINUTE


# what is refused


@pytest.mark.parametrize(
    ("lines", "key", "text"),
    [
        ('schedule = "61 * * * *"', "schedule", "not a schedule"),
        ('schedule = "a b c d e"', "schedule", "not a schedule"),
        ('schedule = "0 0 30 2 *"', "schedule", "not a schedule"),
        ('schedule = "* * * * *"\ntimezone = "Mars/Olympus"', "timezone", "no time zone"),
        ('schedule = "* * * * *"\ntimezone = "../etc/passwd"', "timezone", "no time zone"),
    ],
)
def test_what_only_the_library_and_the_host_know_is_refused_with_its_line(
    lines: str, key: str, text: str
) -> None:
    settings = decode_text(
        f'app = ["a"]\n[queues.default]\n[cron.c]\ntask = "t"\n{lines}', file="/x/q.toml", environ={}
    )

    with pytest.raises(ConfigError) as caught:
        refuse_bad_crons(settings)

    (problem,) = caught.value.problems
    assert (problem.key, text in problem.text) == (f"cron.c.{key}", True)
    assert problem.line == (5 if key == "schedule" else 6)


def test_a_tick_behind_a_closed_gate_is_late_when_it_opens_and_hurries_nobody_before(driver: Driver) -> None:
    now = minute_now()
    came_to(driver, now - MINUTE)
    driver.set_gate("q", GateState.CLOSED)
    table = crontab_of("* * * * *", catch_up="all")

    table.push_due(driver, "q")
    assert pushed(driver) == [] and table.seconds_left() == float("inf")

    driver.set_gate("q", GateState.OPEN)
    table.push_due(driver, "q")
    assert written(now) in pushed(driver)
    assert 0 < table.seconds_left() <= 60
