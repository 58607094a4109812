"""What differs between the configuration that runs and a new one, and what that asks for. Pure (law S1).

Three kinds of keys: what only the master reads applies at once and touches no process; what a process was
started with needs a fresh one; what everything rests on (the driver, the state directory) needs a new start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from procqueue.core.settings.model import CronSettings, Settings

#: What the master itself reads, at the moment it needs it.
_OF_QUEUES = frozenset({
    "processes", "scale", "surge", "grace", "start_timeout", "start_seconds", "restart_delay_max",
    "max_memory_hard", "preload", "length_levels", "keep_failed", "keep_timeout",
})  # fmt: skip
_OF_PROGRAMS = frozenset({
    "count", "autostart", "after", "essential", "restart", "ok_exit_codes", "start_seconds",
    "start_retries", "start_timeout", "restart_delay_max", "stop_signal", "stop_group", "grace", "health",
    "max_memory", "max_memory_hard", "max_age",
})  # fmt: skip
#: What a running master cannot exchange.
_OF_MASTER = ("state_dir", "socket_mode", "socket_group", "name", "host_timeout")
_OF_DRIVER = ("url", "prefix")


class Need(StrEnum):
    """What a change asks for, the least first."""

    NOTHING = "nothing"  # it applies at once
    FRESH = "fresh"  # new processes for this queue or program
    GONE = "gone"  # its processes leave
    START = "start"  # the master must be stopped and started


@dataclass(frozen=True, slots=True)
class Change:
    """One table that differs, such as "queues.emails". `keys`: whose values differ, () if all is new."""

    table: str
    what: str  # added | removed | changed
    need: Need
    keys: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The queue or program, "" for a table that is none."""
        return self.table.partition(".")[2]

    def words(self) -> str:
        """Say it in a line."""
        keys = f": {', '.join(self.keys)}" if self.keys else ""
        if self.table == "drivers":
            return f"{', '.join(self.keys)} moved: all consumers are replaced, stored messages stay behind"
        then = {
            Need.NOTHING: "applies at once, no process is touched",
            Need.FRESH: "its processes are replaced" if self.what != "added" else "starts",
            Need.GONE: "its processes leave",
            Need.START: "needs stop and start: nothing is applied",
        }[self.need]
        return f"[{self.table}] {self.what}{keys} ({then})"


def changes(old: Settings, new: Settings) -> list[Change]:
    """Return what differs, in the order of the file."""
    found = [*_basics(old, new), *_tables("queues", old.queues, new.queues, _OF_QUEUES)]
    found += _tables("processes", old.programs, new.programs, _OF_PROGRAMS)
    found += _crons(old.crons, new.crons)
    found += _followers(found, new)
    return found


def _basics(old: Settings, new: Settings) -> Iterator[Change]:
    if old.root != new.root:
        yield Change("root", "changed", Need.START)
    if old.needs_driver and new.needs_driver:
        yield from _drivers(old, new)
    elif old.needs_driver != new.needs_driver:
        yield Change("driver", "added" if new.needs_driver else "removed", Need.START)
    keys = _differing(old.master, new.master)
    if keys:
        need = Need.START if set(keys) & set(_OF_MASTER) else Need.NOTHING
        yield Change("master", "changed", need, keys)
    for table in ("app", "path"):
        if getattr(old, table) != getattr(new, table):
            yield Change(table, "changed", Need.FRESH)
    for table in ("groups", "reload", "logging", "hooks", "web"):
        if keys := _differing(getattr(old, table), getattr(new, table)):
            yield Change(table, "changed", Need.NOTHING, keys)


def _drivers(old: Settings, new: Settings) -> Iterator[Change]:
    """Those that queues name. What is stored at one is not taken along when a queue moves to another."""
    before, after = old.used_drivers, new.used_drivers
    for name in {**before, **after}:
        table = f"drivers.{name}" if name else "driver"
        if name not in before or name not in after:
            what, need = ("removed", Need.GONE) if name in before else ("added", Need.NOTHING)
            yield Change(table, what, need)
        elif keys := _differing(before[name], after[name]):
            yield Change(table, "changed", Need.START, keys)
    both = old.queues.keys() & new.queues.keys()
    moved = sorted(name for name in both if old.queues[name].driver != new.queues[name].driver)
    if moved:  # whoever pushes to them has to know
        yield Change("drivers", "changed", Need.FRESH, tuple(moved))


def _tables(
    kind: str, old: Mapping[str, Any], new: Mapping[str, Any], own: frozenset[str]
) -> Iterator[Change]:
    for name in old.keys() - new.keys():
        yield Change(f"{kind}.{name}", "removed", Need.GONE)
    for name, table in new.items():
        if name not in old:
            yield Change(f"{kind}.{name}", "added", Need.FRESH)
        elif keys := _differing(old[name], table):
            yield Change(f"{kind}.{name}", "changed", Need.NOTHING if set(keys) <= own else Need.FRESH, keys)


def _crons(old: Mapping[str, CronSettings], new: Mapping[str, CronSettings]) -> Iterator[Change]:
    """Only the scheduler reads them, and it is made anew."""
    for name in {**old, **new}:
        if name not in old or name not in new:
            yield Change(f"cron.{name}", "removed" if name in old else "added", Need.NOTHING)
        elif keys := _differing(old[name], new[name]):
            yield Change(f"cron.{name}", "changed", Need.NOTHING, keys)


def _followers(found: list[Change], new: Settings) -> Iterator[Change]:
    """Who takes messages of a queue holds its settings too, and is replaced with it."""
    fresh = {
        change.name for change in found if change.table.startswith("queues.") and change.need is Need.FRESH
    }
    changed = {change.name for change in found if change.table.startswith("queues.")}
    for name, queue in new.queues.items():
        if name not in changed and fresh & set(queue.serves):
            yield Change(f"queues.{name}", "changed", Need.FRESH, ("serves",))


def _differing(old: Any, new: Any) -> tuple[str, ...]:
    """Return the keys whose values differ."""
    if isinstance(old, Mapping):
        return tuple(sorted(key for key in {*old, *new} if old.get(key) != new.get(key)))
    return tuple(f.name for f in fields(old) if f.compare and getattr(old, f.name) != getattr(new, f.name))
