"""Becoming what the configuration asks for: user, group, limits, directory, variables. Runs in the child.

Users are looked up here and never in the master: that may hang (LDAP), and a user who is created later needs
no new master. The order is the law: what needs root comes first, what the new user must be able to reach
comes after it.
"""

from __future__ import annotations

import grp
import os
import pwd
import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from procqueue.core.settings.environment import Environment, Limit
from procqueue.process.programs.envfile import Malformed, parse
from procqueue.process.programs.order import Failure

#: What the service manager said to the master alone: a child must neither speak for it nor take its sockets.
_MASTERS = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class CannotBecome(Exception):
    """A step failed; `failure` says which."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.key} {failure.value}: {failure.why}")
        self.failure = failure


def apply(environment: Environment) -> None:
    """Become it, in a forked child that runs on: os.environ is changed in place.

    To be called before the import of the application. Raises CannotBecome.
    """
    variables = become(environment, os.environ)
    os.environ.clear()
    os.environ.update(variables)


def become(environment: Environment, base: Mapping[str, str]) -> dict[str, str]:
    """Become it; return the variables for an exec: `base`, the login's, env_file, env; the later one wins.

    Raises CannotBecome; what was done up to then stays done.
    """
    variables = {key: value for key, value in base.items() if key not in _MASTERS}
    from_file = _read_env_file(environment.env_file) if environment.env_file else {}
    for limit in environment.limits:
        _set(limit)
    if environment.nice:
        with _step("nice", str(environment.nice)):
            os.setpriority(os.PRIO_PROCESS, 0, environment.nice)
    login = _log_in(environment.user, environment.group)
    if environment.cwd:
        with _step("cwd", environment.cwd):
            os.chdir(environment.cwd)
        variables["PWD"] = environment.cwd
    if environment.umask is not None:
        os.umask(environment.umask)
    if login is not None and environment.login_env:
        variables |= login.variables()
    return variables | from_file | dict(environment.env)


@dataclass(frozen=True, slots=True)
class _Login:
    name: str
    uid: int
    gid: int
    home: str
    shell: str

    def variables(self) -> dict[str, str]:
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name, "SHELL": self.shell}


def _read_env_file(path: str) -> dict[str, str]:
    """Read before the user changes: a file of secrets may well be root's alone."""
    with _step("env_file", path):
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
        try:
            return parse(text)
        except Malformed as error:
            raise CannotBecome(Failure("env_file", f"{path}:{error.line}", str(error))) from None


def _set(limit: Limit) -> None:
    kind = getattr(resource, f"RLIMIT_{limit.name.upper()}")
    shown = f"{limit.name} = [{_shown(limit.soft)}, {_shown(limit.hard)}]"
    with _step("limits", shown):
        try:
            resource.setrlimit(kind, (limit.soft, limit.hard))
        except ValueError:
            most = _shown(resource.getrlimit(kind)[1])
            raise CannotBecome(Failure("limits", shown, f"not permitted: at most {most} here")) from None


def _shown(number: int) -> str:
    return "unlimited" if number == resource.RLIM_INFINITY else str(number)


def _log_in(user: str, group: str) -> _Login | None:
    """Take on user and group; return the login if a user was asked for."""
    gid = gid_of(group) if group else None
    login = _login_of(user, gid) if user else None
    if login is not None:
        gid = login.gid
        # Our own user, without the right to change anything: then nothing is to be changed.
        if login.uid != os.geteuid() or os.geteuid() == 0:
            with _step("user", user):
                os.initgroups(login.name, login.gid)
    if gid is not None and gid != os.getegid():
        with _step("group" if group else "user", group or user):
            os.setgid(gid)
    if login is not None and login.uid != os.geteuid():
        with _step("user", user):
            os.setuid(login.uid)
    return login


def _login_of(user: str, gid: int | None) -> _Login:
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except KeyError:
        if not user.isdecimal():
            raise CannotBecome(Failure("user", user, "no such user")) from None
        if gid is None:
            why = "it has no entry in the user database, so say its group too"
            raise CannotBecome(Failure("user", user, why)) from None
        return _Login(user, int(user), gid, "/", "/bin/sh")
    home, shell = entry.pw_dir or "/", entry.pw_shell or "/bin/sh"
    return _Login(entry.pw_name, entry.pw_uid, entry.pw_gid if gid is None else gid, home, shell)


def gid_of(group: str) -> int:
    """Return the number of a group. Raises CannotBecome where there is none of that name."""
    if group.isdecimal():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise CannotBecome(Failure("group", group, "no such group")) from None


@contextmanager
def _step(key: str, value: str) -> Iterator[None]:
    """Whatever the system refuses in here is a failure of this key."""
    try:
        yield
    except OSError as error:
        raise CannotBecome(Failure(key, value, _words(key, error), error.errno or 0)) from error


def _words(key: str, error: OSError) -> str:
    if isinstance(error, PermissionError) and key in ("user", "group", "nice"):
        return f"not permitted to a master that runs as uid {os.geteuid()}"
    if isinstance(error, FileNotFoundError):
        return "no such directory" if key == "cwd" else "no such file"
    if isinstance(error, PermissionError):
        return f"not permitted to uid {os.geteuid()}"
    return (error.strerror or str(error)).lower()
