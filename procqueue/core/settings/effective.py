"""The settings in force, key by key, as the file would write them, each with where it comes from.

For people who ask "why is it 30 s?". Secrets are masked: passwords of URLs, and the values of variables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from procqueue.core.settings.documents import dotted
from procqueue.core.settings.environment import INDEX, UNLIMITED, LogTarget, To
from procqueue.core.settings.keys import (
    CRON,
    DRIVER,
    HOOKS,
    LOGGING,
    MASTER,
    PROGRAM,
    QUEUE,
    RELOAD,
    WEB,
    Keys,
)
from procqueue.core.settings.model import Keep, QueueSettings, RetryDelays, Scale, Settings
from procqueue.core.settings.positions import Origin
from procqueue.core.settings.processes import ENVIRONMENT
from procqueue.core.settings.program import Check, Health, How, ProgramSettings
from procqueue.core.settings.urls import masked
from procqueue.core.settings.web import Listen

_FLAGS = {"always": True, "never": False}
_WORDS: dict[str, dict[Any, Any]] = {
    "max_attempts": {0: "forever"}, "start_retries": {None: "forever"}, "umask": {None: ""},
    "grace": {None: "auto"}, "preload": _FLAGS, "enabled": _FLAGS,
    "listen": {None: ""}, "metrics": {None: ""},
}  # fmt: skip
_OCTAL = ("umask", "mode", "socket_mode")
_MASK = "***"


class Effective(NamedTuple):
    """One value in force. `value` is made of what JSON has; times are seconds, sizes are bytes."""

    table: str  # "", "driver", "queues.emails" …
    key: str
    value: Any
    origin: str  # "default", "etc/queues.toml:4", or "[defaults] etc/queues.toml:4"


def effective(settings: Settings) -> list[Effective]:
    """Every value in force, in the order of the tables; keys that only make up the driver's url are in it."""
    found = [Effective("", key, _plain(key, getattr(settings, key)), _origin(settings.origins.get(key), ""))
             for key in ("app", "root", "path")]  # fmt: skip
    named = [(dotted(("drivers", name)), DRIVER, driver) for name, driver in settings.drivers.items()]
    for table, keys, record in (
        ("driver", DRIVER, settings.driver), *named, ("master", MASTER, settings.master),
        ("logging", LOGGING, settings.logging), ("reload", RELOAD, settings.reload),
        ("hooks", HOOKS, settings.hooks), ("web", WEB, settings.web),
    ):  # fmt: skip
        prefix = f"{table}."
        origins = {key.removeprefix(prefix): origin for key, origin in settings.origins.items()
                   if key.startswith(prefix)}  # fmt: skip
        if keys is DRIVER and origins and "url" not in origins:
            origins["url"] = next(iter(origins.values()))
        found += _of_table(table, keys, record, origins)
    for queue in settings.queues.values():
        found += _of_table(f"queues.{queue.name}", QUEUE, queue, queue.origins)
    for program in settings.programs.values():
        found += _of_table(f"processes.{program.name}", PROGRAM, program, program.origins)
    for cron in settings.crons.values():
        found += _of_table(f"cron.{cron.name}", CRON, cron, cron.origins)
    for group, members in settings.groups.items():
        origin = settings.origins.get(f"groups.{group}")
        found.append(Effective("groups", group, list(members), _origin(origin, "groups")))
    return found


def _of_table(table: str, keys: Keys, record: Any, origins: Mapping[str, Origin]) -> Iterator[Effective]:
    for key in keys.values():
        holder = record
        if key.name in ENVIRONMENT and isinstance(record, (QueueSettings, ProgramSettings)):
            holder = record.environment
        if key.read is None or not hasattr(holder, key.name):
            continue
        value = getattr(holder, key.name)
        if key.name == "processes" and record.scale:
            value = record.scale
        if key.name == "serves" and record.weights:
            value = dict(zip(record.serves, record.weights, strict=True))
        yield Effective(table, key.name, _plain(key.name, value), _origin(origins.get(key.name), table))


def _origin(origin: Origin | None, table: str) -> str:
    if origin is None:
        return "default"
    return f"[{origin.table}] {origin}" if origin.table == "defaults" and table else str(origin)


def _plain(key: str, value: Any) -> Any:
    match key:
        case "url":
            return masked(value)
        case "length_levels":
            return dict(value)
        case "env":
            return {name: _MASK for name, _ in value}
        case "limits":
            return {one.name: [_limit(one.soft), _limit(one.hard)] for one in value}
        case _ if key in _WORDS and value in _WORDS[key]:
            return _WORDS[key][value]
        case _ if key in _OCTAL:
            return f"{value:04o}"
        case _:
            return _plain_of_type(value)


def _plain_of_type(value: Any) -> Any:
    match value:
        case LogTarget():
            return (
                _text(value.path) if value.to is To.FILE else "" if value.to is To.MASTER else str(value.to)
            )
        case Check():
            return _check(value)
        case RetryDelays() if value.listed:
            return list(value.listed)
        case RetryDelays():
            return {name: getattr(value, name) for name in ("base", "factor", "max", "jitter")}
        case Health() | Scale() | Keep():
            return {field.name: _plain_of_type(getattr(value, field.name)) for field in fields(value)}
        case tuple():
            return [_plain_of_type(item) for item in value]
        case Listen():
            return str(value)
        case str():
            return _text(value)
        case _:
            return value


def _check(check: Check) -> str:
    where = masked(check.where) if check.how is How.HTTP else check.where
    return _text(f"{check.how}:{where}" if check.where else str(check.how))


def _limit(number: int) -> int | str:
    return "unlimited" if number == UNLIMITED else number


def _text(text: str) -> str:
    return str(text).replace(INDEX, "${index}")
