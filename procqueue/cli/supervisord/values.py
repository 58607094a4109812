"""The types of Supervisor's values, as its datatypes.py reads them: a text in, a value out, or ValueError."""

from __future__ import annotations

import re
import shlex
import signal

from procqueue.core.units import shown

_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@$-]{0,63}")
_TRUE = ("yes", "true", "on", "1")
_FALSE = ("no", "false", "off", "0")
_SIZES = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
_MOST = 1 << 63  # Python takes more; nobody means it


def integer(text: str) -> int:
    """A whole number, as Python's int() reads it."""
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is not a whole number") from None
    if abs(number) >= _MOST:
        raise ValueError(f"{shown(text)} is too large a number")
    return number


def boolean(text: str) -> bool:
    """yes true on 1, no false off 0, in any case."""
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(f"{shown(text)} is not true or false")


def byte_size(text: str) -> int:
    """Bytes; KB, MB, GB are powers of two."""
    unit = _SIZES.get(text.lower()[-2:])
    return integer(text[:-2]) * unit if unit else integer(text)


def octal(text: str) -> int:
    """Permission bits."""
    try:
        return int(text, 8)
    except ValueError:
        raise ValueError(f"{shown(text)} is not an octal number") from None


def restart(text: str) -> str:
    """Our word for an autorestart."""
    if text.lower() == "unexpected":
        return "on-failure"
    return "always" if boolean(text) else "never"


def signal_name(text: str) -> str:
    """The name of a signal without SIG, from a name or a number."""
    try:
        number = int(text)
    except ValueError:
        name = text.strip().upper()
        found = getattr(signal, name if name.startswith("SIG") else f"SIG{name}", None)
        if not isinstance(found, signal.Signals):
            raise ValueError(f"{shown(text)} is not a signal") from None
        number = found
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        raise ValueError(f"{shown(text)} is not a signal") from None


def exit_codes(text: str) -> list[int]:
    """Exit codes, with commas between them; none at all is allowed."""
    codes = [integer(item) for item in text.split(",")] if text else []
    if any(not 0 <= code <= 255 for code in codes):
        raise ValueError(f"{shown(text)} are not exit codes from 0 to 255")
    return codes


def account(text: str) -> str:
    """A user or group, by name or number; whether there is one is not asked here."""
    if not _ACCOUNT.fullmatch(text):
        raise ValueError(f"{shown(text)} is not a user or group")
    return text


def strings(text: str) -> list[str]:
    """Words, with commas between them."""
    return [item.strip() for item in text.split(",")] if text else []


def variables(text: str) -> dict[str, str]:
    """KEY=value,KEY="value": Supervisor 4.3's reading, with its own rules for quotes.

    Marks of expand.py count as letters of a word.
    """
    lexer = shlex.shlex(text)
    lexer.wordchars += "/.+-():\0"
    tokens = list(lexer)
    found = {}
    for at in range(0, len(tokens), 4):
        pair = tokens[at : at + 3]
        if len(pair) != 3 or pair[1] != "=":
            raise ValueError("is not KEY=value,KEY=value; values with other letters stand in quotes")
        found[pair[0]] = pair[2].strip("'\"")
    return found


def name(text: str) -> str:
    """The name of a program or group."""
    found = text.strip()
    if any(mark in found for mark in " :/"):
        raise ValueError(f"{shown(text)} cannot be a name: it holds a blank, : or /")
    return found
