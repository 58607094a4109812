"""Parsers of keys that only programs and hooks have: commands, checks, signals, exit codes.

As in readers.py: each takes one value and returns it or raises ValueError. Strings may hold INDEX.
"""

from __future__ import annotations

import re
import shlex
from typing import Any
from urllib.parse import urlsplit

from procqueue.core.settings import readers
from procqueue.core.settings.environment import numbered
from procqueue.core.settings.environment_readers import template
from procqueue.core.settings.expand import Fed
from procqueue.core.settings.program import Check, Health, How
from procqueue.core.settings.wrong import Wrong, nearest
from procqueue.core.units import shown

#: With their numbers on x86 and ARM.
_SIGNALS = {
    "HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8, "KILL": 9, "USR1": 10,
    "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "CHLD": 17, "CONT": 18, "TSTP": 20,
    "TTIN": 21, "TTOU": 22, "URG": 23, "XCPU": 24, "XFSZ": 25, "VTALRM": 26, "PROF": 27, "WINCH": 28,
    "IO": 29, "PWR": 30, "SYS": 31,
}  # fmt: skip
_REAL_TIME = re.compile(r"RTMIN(\+([1-9]|[12][0-9]|30))?")
_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_PORT = re.compile(r"[0-9]{1,5}")
_HOW_COMMAND = 'write "python -m shop.clock" or ["python", "-m", "shop.clock"]'
_HOW_URL = 'write "http:http://127.0.0.1:8000/health"'
_REFERENCE = re.compile(r"\$\{[^}]*\}")
_FORMS = 'write "time", "notify", "line:REGEX", "tcp:PORT", "tcp:HOST:PORT" or "http:URL"'


def command(value: Any) -> tuple[str, ...]:
    """A command as its arguments: a list of them, or a string that is split as a shell would, without one."""
    if isinstance(value, str):
        value = (
            readers.fed(value) if isinstance(value, Fed) and value.lstrip().startswith("[") else _split(value)
        )
    if not isinstance(value, list):
        raise Wrong(f"must be a string or a list of strings, not {shown(value)}", _HOW_COMMAND)
    if any(not isinstance(word, str) for word in value):
        raise Wrong("each argument must be a string", "put it in quotes")
    if not value or not value[0]:
        raise Wrong("names no command", _HOW_COMMAND)
    return tuple(map(str, value))


def split_command(value: Any) -> Any:
    """A written command in words, before references are replaced: what one stands for stays one word."""
    return _split(value) if isinstance(value, str) and not _REFERENCE.fullmatch(value) else value


def split_commands(value: Any) -> Any:
    """The same for a list of commands, or one."""
    if isinstance(value, list):
        return [split_command(item) for item in value]
    return [split_command(value)] if isinstance(value, str) else value


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise Wrong(
            f"cannot be split into words: {str(error).lower()}", "close the quotes, or write a list"
        ) from None


def commands(value: Any) -> tuple[tuple[str, ...], ...]:
    """Several commands, each a string or a list; a string alone is one command."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list):
        raise Wrong(f"must be a list of commands, not {shown(value)}", 'write ["notify-send procqueue"]')
    return tuple(command(item) for item in items)


def target(value: Any) -> str:
    """A callable, "module:function"."""
    written = readers.text(value)
    if not _TARGET.fullmatch(written):
        raise Wrong(f"{shown(written)} is not a callable", 'write target = "shop.clock:main"')
    return written


def names(value: Any) -> tuple[str, ...]:
    """Names, each once; whether they exist is checked when all are known."""
    found = readers.texts(value, 'write a list of names: ["api", "ws"]')
    if twice := [name for name in found if found.count(name) > 1]:
        raise Wrong(f"names {shown(twice[0])} twice", "keep one of them")
    return tuple(found)


def exit_codes(value: Any) -> tuple[int, ...]:
    """Exit codes that are no failure, sorted."""
    if isinstance(value, Fed):
        fed = readers.fed(value)
        value = [Fed(item) for item in fed] if isinstance(fed, list) and "[" not in value else fed
    items = value if isinstance(value, list) else [Fed(value) if isinstance(value, str) else value]
    return tuple(sorted({readers.whole(0, 255)(item) for item in items}))


_retries = readers.whole(0, 1_000_000)


def start_retries(value: Any) -> int | None:
    """Starts that may fail after the first one; None for "forever"."""
    if value == "forever":
        return None
    try:
        return int(_retries(value))
    except Wrong as wrong:
        raise Wrong(wrong.text.replace(", not", ', or "forever", not'), wrong.hint) from None


def stop_signal(value: Any) -> str:
    """A signal by its name, with or without SIG, or its number; without SIG it is returned."""
    if isinstance(value, Fed) and value.isdigit() and len(value) < 3:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if name := next((name for name, number in _SIGNALS.items() if number == value), None):
            return name
    elif isinstance(value, str):
        name = value.upper().removeprefix("SIG")
        if name in _SIGNALS or _REAL_TIME.fullmatch(name):
            return name
        if name == "STOP":
            raise Wrong("STOP stops a process without ending it", 'write "TERM"')
        raise Wrong(f"{shown(value)} is not a signal", _near_signal(name))
    raise Wrong(f"is not a signal: {shown(value)}", 'write a name such as "TERM", "INT" or "QUIT"')


def _near_signal(name: str) -> str:
    """A hint for a signal that there is not."""
    found = nearest(name, [known.lower() for known in _SIGNALS])
    return found.upper().replace("DID YOU MEAN", "did you mean") or 'write a name such as "TERM"'


def ready(value: Any) -> Check:
    """How a program shows that it is ready."""
    written = template(value)
    if written in ("time", "notify"):
        return Check(How(written))
    if written.startswith(("http://", "https://")):
        return _checked(Check(How.HTTP, written))
    form, colon, where = written.partition(":")
    if not colon or form not in ("line", "tcp", "http"):
        raise Wrong(f"is not a check: {shown(written)}", nearest(form, How) or _FORMS)
    return _checked(Check(How(form), where))


def _checked(check: Check) -> Check:
    check_where(check, 0)
    return check


def check_where(check: Check, index: int) -> None:
    """Raises Wrong if the copy with this index could not be checked in this way."""
    where = numbered(check.where, index)
    match check.how:
        case How.LINE:
            _check_expression(where)
        case How.TCP:
            _check_address(where)
        case How.HTTP:
            _check_url(where)


def _check_expression(where: str) -> None:
    if not where:
        raise Wrong("names no expression", 'write "line:ready to serve"')
    try:
        re.compile(where)
    except (re.error, RecursionError, OverflowError) as error:
        raise Wrong(
            f"is not a regular expression: {error}", "for a literal mark write \\\\ in front of it"
        ) from None


def _check_address(where: str) -> None:
    host, _, port = where.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not _PORT.fullmatch(port) or (":" in bare) != (bare != host):
        raise Wrong(
            f"is not an address: {shown(where)}", 'write "tcp:8000", "tcp:HOST:8000" or "tcp:[::1]:8000"'
        )
    _check_port(int(port))
    if where.startswith(":") or any(mark.isspace() for mark in host):
        raise Wrong(f"names no host: {shown(where)}", 'write "tcp:8000" for this host')


def _check_url(where: str) -> None:
    # The URL is not quoted: it may hold a password.
    try:
        parts = urlsplit(where)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Wrong("is not the URL of a server", _HOW_URL) from None
    if parts.scheme not in ("http", "https") or not host or any(mark.isspace() for mark in where):
        raise Wrong("is not the URL of a server", _HOW_URL)
    if port is not None:
        _check_port(port)


def _check_port(port: int) -> None:
    if not 1 <= port <= 65535:
        raise Wrong(f"the port {port} is not from 1 to 65535", "write one of those")


def health(value: Any) -> Health:
    """A check that is repeated: {check, every, failures, timeout}, or the check alone."""
    if isinstance(value, str) and not (isinstance(value, Fed) and value.startswith("{")):
        return Health(_repeated(value))
    return Health(**_health(value))


def _repeated(value: Any) -> Check:
    check = ready(value)
    if check.how not in (How.TCP, How.HTTP):
        text = f'"{check.how}" cannot be asked again and again'
        raise Wrong(text, 'write "tcp:PORT", "tcp:HOST:PORT" or "http:URL"')
    return check


_health = readers.table(
    "check",
    check=_repeated,
    every=readers.needed_duration(0.1),
    failures=readers.whole(1, 1000),
    timeout=readers.needed_duration(0.05),
)


def grace(value: Any) -> float:
    """Seconds between soft stop and hard kill: there is nothing that it could be derived from."""
    found = readers.grace(value)
    if found is None:
        raise Wrong("a program's grace is a duration", 'the default is "10s"')
    return found


def count(value: Any) -> int:
    """A number of copies."""
    return int(readers.whole(0, readers.MOST_PROCESSES)(value))
