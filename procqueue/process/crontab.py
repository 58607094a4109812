"""The crons: which ticks are due by the clock, and which of those that nobody was there for are pushed.

A tick is a moment of the schedule, the same on every host, and the store takes each once (push_tick): so it
does not matter how many schedulers there are, nor whose clock is ahead. Read on in drivers/contract.py.
"""

from __future__ import annotations

import time
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from procqueue.core import wire
from procqueue.core.errors import ConfigError, Problem
from procqueue.core.settings.model import CronSettings, Settings
from procqueue.core.units import shown
from procqueue.drivers.contract import MAX_ENTRIES, Driver
from procqueue.drivers.upkeep import Tick, Ticked
from procqueue.process.log import Log

if TYPE_CHECKING:
    from cronsim import CronSim

#: A tick that is older was missed: then `catch_up` says what becomes of it. Until then it is only late, be it
#: that a scheduler was replaced or that the store was away for a moment.
LATE_MS = 60_000


def refuse_bad_crons(settings: Settings) -> None:
    """Look at schedules and time zones. Raises ConfigError with all that is wrong with them."""
    problems = [problem for cron in settings.crons.values() for problem in _wrong_with(cron)]
    if problems:
        raise ConfigError(problems)


def _wrong_with(cron: CronSettings) -> list[Problem]:
    try:
        import cronsim  # noqa: F401
    except ImportError:
        text = "crons need the package cronsim, which cannot be imported here"
        return [Problem(*cron.place("schedule"), f"cron.{cron.name}", text, 'pip install "procqueue[cron]"')]
    found = []
    try:
        zoneinfo.ZoneInfo(cron.timezone)
    except (OSError, ValueError, KeyError):  # no file, not a name of one, no such zone
        text, hint = f"there is no time zone {shown(cron.timezone)} here", 'such as "UTC" or "Europe/Berlin"'
        found.append(Problem(*cron.place("timezone"), f"cron.{cron.name}.timezone", text, hint))
    try:
        if Schedule(cron.schedule, "UTC").after(0) is None:
            text, hint = f"{shown(cron.schedule)} never comes", "name a day that there is"
            found.append(Problem(*cron.place("schedule"), f"cron.{cron.name}.schedule", text, hint))
    except ValueError as error:
        text = f"{shown(cron.schedule)} is not a schedule: {error}"
        hint = 'minute, hour, day of the month, month, day of the week: "0 3 * * *" is each night at three'
        found.append(Problem(*cron.place("schedule"), f"cron.{cron.name}.schedule", text, hint))
    return found


class Schedule:
    """The ticks of one schedule in one time zone, in ms since 1970. Raises ValueError if it is none."""

    def __init__(self, text: str, timezone: str) -> None:
        self._text = text
        self._zone = zoneinfo.ZoneInfo(timezone)
        self._ticks(0)

    def after(self, ms: int) -> int | None:
        """Return the first tick after a moment; None if there will be none."""
        return self._first(self._ticks(ms // 1000))

    def until(self, ms: int) -> int | None:
        """Return the last tick at a moment or before it."""
        return self._first(self._ticks(ms // 1000 + 1, backwards=True))

    def _ticks(self, seconds: int, *, backwards: bool = False) -> CronSim:
        from cronsim import CronSim, CronSimError

        try:
            return CronSim(self._text, datetime.fromtimestamp(seconds, self._zone), reverse=backwards)
        except CronSimError as error:
            raise ValueError(str(error)) from None

    @staticmethod
    def _first(ticks: CronSim) -> int | None:
        tick = next(ticks, None)
        return None if tick is None else int(tick.timestamp()) * 1000


@dataclass(slots=True)
class _Clock:
    """One cron: `next_ms` is its next tick, None as long as the store was not asked how far it has come."""

    cron: CronSettings
    schedule: Schedule
    next_ms: int | None = None

    @property
    def words(self) -> str:
        """The schedule as the store keeps it: with another, nothing of before counts as missed."""
        return f"{self.cron.schedule} {self.cron.timezone}"


class Crontab:
    """All crons, as the scheduler pushes them. Its times are the wall clock's."""

    def __init__(self, crons: Mapping[str, CronSettings], log: Log) -> None:
        self._clocks = [_Clock(cron, Schedule(cron.schedule, cron.timezone)) for cron in crons.values()]
        self._log = log

    def push_due(self, driver: Driver, queue: str) -> None:
        """Push what is due in a queue."""
        now = _now_ms()
        for clock in self._clocks:
            if clock.cron.queue == queue:
                self._push_due(driver, clock, now)

    def seconds_left(self) -> float:
        """Return how long it is until the next tick; infinite if none is known."""
        nexts = [clock.next_ms for clock in self._clocks if clock.next_ms is not None]
        return max(0.0, (min(nexts) - _now_ms()) / 1000) if nexts else float("inf")

    def next_ticks(self) -> dict[str, float]:
        """Return when each cron ticks next, in seconds since 1970."""
        return {c.cron.name: c.next_ms / 1000 for c in self._clocks if c.next_ms is not None}

    def _push_due(self, driver: Driver, clock: _Clock, now: int) -> None:
        if clock.next_ms is None:
            self._find_place(driver, clock, now)
        for _ in range(MAX_ENTRIES):
            if clock.next_ms is None or clock.next_ms > now:
                return
            tick, is_pushed = self._choose(clock, clock.next_ms, now)
            match self._push(driver, clock, tick, is_pushed):
                case Ticked.KNOWN:
                    self._find_place(driver, clock, now)  # another host was here first
                case Ticked.CLOSED:
                    clock.next_ms = None  # each round asks anew, until it may be pushed or is missed
                    return
                case _:
                    clock.next_ms = clock.schedule.after(tick)

    def _find_place(self, driver: Driver, clock: _Clock, now: int) -> None:
        """Go on where the store says that this cron has come to; one that it does not know begins now."""
        last = driver.ticks(clock.cron.queue).get(clock.cron.name)
        if last is None or last.schedule != clock.words:
            driver.push_tick(clock.cron.queue, clock.cron.name, Tick(now, clock.words), None, alone=False)
            clock.next_ms = clock.schedule.after(now)
        else:
            clock.next_ms = clock.schedule.after(last.ms)

    def _choose(self, clock: _Clock, tick: int, now: int) -> tuple[int, bool]:
        """Return the tick to take now, and whether it is pushed. Those before it go without a message."""
        if now - tick <= LATE_MS or clock.cron.catch_up == "all":
            return tick, True
        newest = clock.schedule.until(now) or tick
        return newest, clock.cron.catch_up == "last" or now - newest <= LATE_MS

    def _push(self, driver: Driver, clock: _Clock, ms: int, is_pushed: bool) -> Ticked:
        cron = clock.cron
        id = f"{cron.name}@{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
        body = wire.encode(cron.task, cron.args, dict(cron.kwargs), id=id) if is_pushed else None
        tick = Tick(ms, clock.words, id)
        ticked = driver.push_tick(cron.queue, cron.name, tick, body, alone=cron.overlap == "skip")
        match ticked:
            case Ticked.DONE:
                event = "cron" if is_pushed else "cron_missed"
                self._log.info(event, name=cron.name, queue=cron.queue, id=id, task=cron.task)
            case Ticked.SKIPPED:
                why = "the message of the tick before is still to be handled"
                self._log.warning("cron_skipped", name=cron.name, queue=cron.queue, id=id, why=why)
            case Ticked.DUPLICATE:
                self._log.warning("cron_duplicate", name=cron.name, queue=cron.queue, id=id)
        return ticked


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
