"""What a configuration asks of the users and groups of this system, looked at before anything runs.

Users are looked up in a child, as always (programs/environment.py), and there it is tried what they may open.
That whoever starts may not become them at all is said later, by who tries it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from procqueue.core.errors import ConfigError, Problem
from procqueue.core.settings.environment import Environment
from procqueue.core.settings.model import QueueSettings, Settings
from procqueue.core.settings.urls import sqlite_path
from procqueue.process.control import Access
from procqueue.process.programs.environment import CannotBecome, become, gid_of


def lets_others_pass(settings: Settings) -> bool:
    """Return whether others than the master's user have something to look for in the state directory."""
    return bool(settings.master.socket_group or any(q.environment.user for q in settings.queues.values()))


def access_to_socket(settings: Settings) -> Access:
    """Return who may ask. Raises ConfigError for a group that does not exist."""
    master = settings.master
    try:
        return Access(master.socket_mode, gid_of(master.socket_group) if master.socket_group else -1)
    except CannotBecome as error:
        raise socket_refused(settings, error.failure.why) from None


def socket_refused(settings: Settings, why: str) -> ConfigError:
    """Return the error of a group that the socket cannot get."""
    return ConfigError(
        [_problem(settings, "master.socket_group", f"{settings.master.socket_group!r}: {why}",
                  "name a group that exists and that the master's user is in, or start the master as root")]
    )  # fmt: skip


def refuse_who_cannot_open(settings: Settings) -> None:
    """Raise ConfigError for queues whose user cannot open the database."""
    if problems := list(who_cannot_open(settings)):
        raise ConfigError(problems)


def who_cannot_open(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each queue whose user cannot open the database, where there is one."""
    for name, driver in settings.used_drivers.items():
        if driver.scheme == "sqlite":
            table = f"[drivers.{name}]" if name else "[driver]"
            yield from _who_cannot_open(settings.of_driver(name), table)


def _who_cannot_open(settings: Settings, table: str) -> Iterator[Problem]:
    for queue in settings.queues.values():
        if queue.enabled and queue.environment.user and (why := _as_its_user(queue, settings)):
            origin = queue.origins["user"]
            text = f"{queue.environment.user!r} cannot open the database: {why}"
            hint = (
                f'with a group of that user in {table} group and {table} mode = "0660" he can; what was '
                "made before keeps its own: chgrp and chmod it (files 0660, their directory 2770)"
            )
            yield Problem(origin.file, origin.line, f"queues.{queue.name}.user", text, hint)


def _as_its_user(queue: QueueSettings, settings: Settings) -> str:
    """Return what is in the way of the queue's user; "" if nothing is, or nobody can tell."""
    read, write = os.pipe2(os.O_CLOEXEC)
    maker = os.geteuid(), os.getegid()
    pid = os.fork()
    if pid == 0:
        try:
            own = queue.environment
            become(Environment(user=own.user, group=own.group, login_env=False), {})
            os.write(write, _obstacle(settings, *maker).encode("utf-8", "replace")[:2000])
        except CannotBecome:
            pass
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        text = told.read().decode()
    os.waitpid(pid, 0)
    return text


def _obstacle(settings: Settings, maker: int, group: int) -> str:
    """Return what keeps this process from the database. `maker`, `group`: who makes what is not there yet."""
    path = os.path.realpath(sqlite_path(settings.driver.url))
    folder = os.path.dirname(path)
    above = ""
    for part in folder.split("/"):
        above = f"{above}{part}/"
        if not os.path.isdir(above):
            return _of_what_is_made(settings, maker, group)
        if not os.access(above, os.X_OK):
            if above.rstrip("/") == settings.master.state_dir:
                return ""  # a start lets others pass
            return f"he may not pass {above}"
    if not os.access(folder, os.W_OK):
        return f"he may not write in {folder}"
    for name in (path, f"{path}-wal", f"{path}-shm", f"{path}.gate"):
        if os.path.exists(name) and not os.access(name, os.R_OK | os.W_OK):
            return f"he may not write {name}"
    return "" if os.path.exists(path) else _of_what_is_made(settings, maker, group)


def _of_what_is_made(settings: Settings, maker: int, group: int) -> str:
    mode = settings.driver.mode
    if settings.driver.group:
        group = gid_of(settings.driver.group)
    if os.geteuid() in (0, maker) or mode & 0o006 == 0o006:
        return ""
    if mode & 0o060 == 0o060 and group in (os.getegid(), *os.getgroups()):
        return ""
    return f"it is to be made with mode {mode:04o} and group {settings.driver.group or group}"


def _problem(settings: Settings, key: str, text: str, hint: str) -> Problem:
    origin = settings.origins.get(key)
    return Problem(origin.file if origin else settings.file, origin.line if origin else 0, key, text, hint)
