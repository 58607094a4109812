"""Parsers of what a process is born with and where its output goes, for queues and programs alike.

As in readers.py: each takes one expanded value and returns it or raises ValueError. Strings may hold INDEX
here, so these parsers do not refuse it; sections.py has looked at what was written. No error text repeats a
variable's value: it may be a secret.
"""

from __future__ import annotations

import re
from typing import Any

from procqueue.core.settings import readers
from procqueue.core.settings.environment import MASTERS_OWN, UNLIMITED, WITH_STDOUT, Limit, LogTarget, To
from procqueue.core.settings.expand import Fed
from procqueue.core.settings.readers import MIB, Reader
from procqueue.core.settings.wrong import Wrong, Wrongs
from procqueue.core.units import seconds, shown, size

_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@$-]{0,63}")


def template(value: Any) -> str:
    """A string in which INDEX may stand."""
    if not isinstance(value, str):
        raise Wrong(f"must be a string, not {shown(value)}", "put it in quotes")
    return str(value)


def template_path(value: Any) -> str:
    """A path in which INDEX may stand; "" leaves it to procqueue."""
    written = template(value)
    if written.startswith("~"):
        raise Wrong("~ is not expanded here", 'write "${HOME}/…" or the whole path')
    return written


def account(value: Any) -> str:
    """A Unix user or group, by name or number; whether there is one shows in the child."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32:
        return str(value)
    written = readers.text(value)
    if written and not _ACCOUNT.fullmatch(written):
        raise Wrong(f"{shown(written)} cannot be a name on this system", "write a name, or a number")
    return written


def variables(value: Any) -> tuple[tuple[str, str], ...]:
    """Environment variables, sorted by name; whole numbers may stand without quotes."""
    if not isinstance(value, dict):
        raise Wrong(f"must be a table, not {shown(value)}", 'write env = {NAME = "value"}')
    wrongs = []
    for name, item in value.items():
        if not name or "=" in name or "\0" in name:
            wrongs.append(Wrong(f"{shown(name)} cannot be the name of a variable", "use A-Z 0-9 _", name))
        elif isinstance(item, bool) or not isinstance(item, (str, int)):
            wrongs.append(Wrong("the value of a variable must be a string", "put it in quotes", name))
    if wrongs:
        raise Wrongs(wrongs)
    return tuple(sorted((name, str(item)) for name, item in value.items()))


def umask(value: Any) -> int | None:
    """Permission bits that new files do not get, written as an octal string; None leaves the master's."""
    if value == "":
        return None
    if not isinstance(value, str) or not re.fullmatch(r"0?[0-7]{3}", value):
        raise Wrong(f"is not a umask: {shown(value)}", 'write it as an octal string such as "022" or "0077"')
    return int(value, 8)


def target(*, of_stderr: bool = False) -> Reader:
    """Where output goes: "", "none", "syslog", a path; of stderr also "stdout"."""

    def read(value: Any) -> LogTarget:
        match template(value):
            case "":
                return MASTERS_OWN
            case "stdout" if of_stderr:
                return WITH_STDOUT
            case "none" | "syslog" as word:
                return LogTarget(To(word))
            case "stdout" | "stderr" as word:
                raise Wrong(
                    f"{shown(word)} is not a place", f'"" is the master\'s own; for a file, "./{word}"'
                )
            case path if path.endswith("/"):
                raise Wrong(f"{shown(path)} is a directory", "name a file in it")
            case path:
                return LogTarget(To.FILE, template_path(path))

    return read


def log_size(value: Any) -> int:
    """The size at which a log is rotated, at least 1 KiB; 0 lets it grow."""
    number = size(value)
    if 0 < number < 1024:
        raise Wrong(f"is less than 1KiB: {shown(value)}", 'a number counts bytes; write "50MB"')
    return number


def limits(value: Any) -> tuple[Limit, ...]:
    """Resource limits, sorted by name: a number, [soft, hard], or "unlimited"."""
    found = readers.table(**{name: _limit(name) for name in _LIMITS})(value)
    return tuple(sorted(Limit(name, soft, hard) for name, (soft, hard) in found.items()))


def _limit(name: str) -> Reader:
    def read(value: Any) -> tuple[int, int]:
        if isinstance(value, Fed):
            value = readers.fed(value)
            value = [Fed(item) for item in value] if isinstance(value, list) else Fed(value)
        pair = value if isinstance(value, list) else [value, value]
        if len(pair) != 2:
            raise Wrong("a list has two limits, the soft and the hard one", "write [1024, 4096]")
        soft, hard = (UNLIMITED if item == "unlimited" else _LIMITS[name](item) for item in pair)
        if hard != UNLIMITED and (soft == UNLIMITED or soft > hard):
            raise Wrong("the soft limit is higher than the hard one", "write [soft, hard]")
        return soft, hard

    return read


def _bytes(value: Any) -> int:
    if value in ("", "off"):
        raise Wrong(f"is not a limit: {shown(value)}", '"unlimited" switches it off')
    return size(value)


def _address_space(value: Any) -> int:
    number = _bytes(value)
    if number < MIB:
        raise Wrong(f"is less than 1 MiB of memory: {shown(value)}", 'a number counts bytes; write "2GiB"')
    return number


def _cpu(value: Any) -> int:
    number = seconds(value)
    if number < 1 or number != int(number):
        raise Wrong(f"must be whole seconds, at least one, not {shown(value)}", '"unlimited" switches it off')
    return int(number)


_count = readers.whole(0, (1 << 31) - 1, {"unlimited": UNLIMITED})

_LIMITS: dict[str, Reader] = {
    "nofile": _count, "nproc": _count, "core": _bytes, "as": _address_space, "cpu": _cpu, "fsize": _bytes,
    "memlock": _bytes, "stack": _bytes,
}  # fmt: skip
