"""Parsers of single values: what TOML or a ${VAR} gave, checked and turned into what the model holds.

Each takes one value that is already expanded, and returns it or raises ValueError (Wrong, where there is a
hint). Which key uses which is the table in keys.py; `retry_delays` and the like also serve @task.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import tomli

from procqueue.core.settings.expand import Fed
from procqueue.core.settings.model import Keep, RetryDelays, Scale
from procqueue.core.settings.texts import filled_path as filled_path
from procqueue.core.settings.texts import path as path
from procqueue.core.settings.texts import text as text
from procqueue.core.settings.wrong import LATER, Wrong, Wrongs, nearest, wrongs_of
from procqueue.core.units import MAX_SECONDS, format_seconds, seconds, shown, size

Reader = Callable[[Any], Any]

MIB = 1 << 20
MOST_PROCESSES = 10_000
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
RESERVED_NAMES = ("all",)

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_FLAGS = {
    "true": True,
    "false": False,
    "1": True,
    "0": False,
    "yes": True,
    "no": False,
    "on": True,
    "off": False,
}


def secret(value: Any) -> str:
    """A string that no error text repeats."""
    if not isinstance(value, str):
        raise Wrong("must be a string", "put it in quotes")
    return str(value)


def label(value: Any) -> str:
    """A name for people to read: at most 64 printable characters."""
    written = text(value)
    if len(written) > 64 or not written.isprintable():
        raise Wrong(f"must be at most 64 printable characters, not {shown(written)}")
    return written


def flag(value: Any) -> bool:
    """true or false."""
    if isinstance(value, Fed) and value.lower() in _FLAGS:
        return _FLAGS[value.lower()]
    if isinstance(value, bool):
        return value
    raise Wrong(f"must be true or false, not {shown(value)}", _unquote_hint(value))


def whole(least: int, most: int, words: Mapping[str, int] | None = None) -> Reader:
    """A whole number from `least` to `most`, or one of `words`, which stand for numbers."""

    def read(value: Any) -> int:
        if isinstance(value, str) and words and value in words:
            return words[value]
        number = int(value) if isinstance(value, Fed) and _WHOLE.fullmatch(value) else value
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            also = "".join(f', or "{word}"' for word in words or () if word)
            must = f"must be a whole number from {least} to {most}{also}, not {shown(value)}"
            raise Wrong(must, _unquote_hint(value))
        return number

    return read


def share(value: Any) -> float:
    """A part of one: 0.1 is ten percent; less than 1."""
    number = _number(value)
    if not 0 <= number < 1:
        raise Wrong(f"must be a number from 0 to below 1, not {shown(value)}", "0.1 means ten percent")
    return number


def duration(value: Any) -> float:
    """A duration in seconds; 0 switches the limit off."""
    return seconds(value)


def needed_duration(least: float) -> Reader:
    """A duration of at least `least` seconds: a limit that cannot be switched off."""

    def read(value: Any) -> float:
        number = seconds(value)
        if number < least:
            raise Wrong(
                f"must be at least {format_seconds(least)}, not {shown(value)}", "it cannot be switched off"
            )
        return number

    return read


def grace(value: Any) -> float | None:
    """Seconds between soft stop and hard kill; None where "" or "auto" leaves it to procqueue."""
    if isinstance(value, str) and value.strip() in ("", "auto"):
        return None
    number = seconds(value)
    if not number:
        raise Wrong(
            "a stop has to end, so there is no grace without a limit",
            "write a duration; to kill at once, stop with --now",
        )
    return number


def memory(value: Any) -> int:
    """A limit of memory in bytes, at least 1 MiB; 0 switches it off."""
    number = size(value)
    if 0 < number < MIB:
        raise Wrong(
            f"is less than 1 MiB of memory: {shown(value)}",
            'a number counts bytes; write "256MB" or "256MiB"',
        )
    return number


def body_size(value: Any) -> int:
    """The largest message in bytes: 1 KiB to 512 MiB (where Redis's strings end)."""
    number = size(value)
    if not 1024 <= number <= 512 * MIB:
        raise Wrong(f"must be from 1KiB to 512MiB, not {shown(value)}", 'the default is "1MiB"')
    return number


def file_mode(value: Any) -> int:
    """Permission bits, written as an octal string: "0600"."""
    hint = 'write it as an octal string such as "0600" or "0660"'
    if not isinstance(value, str) or not re.fullmatch(r"0?[0-7]{3}", value):
        raise Wrong(f"is not a file mode: {shown(value)}", hint)
    mode = int(value, 8)
    if mode & 0o600 != 0o600:
        raise Wrong(f"{shown(value)} would keep its own owner out", hint)
    return mode


def choice(*words: str, later: tuple[str, ...] = ()) -> Reader:
    """One of `words`; those of `later` are known and not here yet."""

    def read(value: Any) -> str:
        if isinstance(value, str) and value in words:
            return str(value)
        if isinstance(value, str) and value in later:
            raise Wrong(f"{shown(value)} {LATER}", f"use {either(words)}")
        hint = nearest(value, words) if isinstance(value, str) else ""
        raise Wrong(f"must be {either(words)}, not {shown(value)}", hint)

    return read


def prefix(value: Any) -> str:
    """The first part of every stored key."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text(value)):
        raise Wrong(f"{shown(value)} is not a prefix", "use 1 to 64 of A-Z a-z 0-9 . _ -")
    return str(value)


def modules(value: Any) -> tuple[str, ...]:
    """Names of Python modules, each once, in the order written."""
    names = texts(value, 'write app = ["shop.tasks"]')
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            dotted = name.removesuffix(".py").strip("/").replace("/", ".")
            hint = f'did you mean "{dotted}"?' if dotted != name else 'write it as in import: "shop.tasks"'
            raise Wrong(f"{shown(name)} is not the name of a module", hint)
    return tuple(dict.fromkeys(names))


def patterns(value: Any) -> tuple[str, ...]:
    """File names or globs."""
    names = texts(value, 'write include = ["queues.d/*.toml"]')
    return tuple(filled_path(name) for name in names)


def paths(value: Any) -> tuple[str, ...]:
    """Paths, or patterns of them."""
    return tuple(filled_path(name) for name in texts(value, 'write a list of strings: ["src", "*.toml"]'))


def serves(value: Any) -> tuple[str, ...] | dict[str, int]:
    """Names of queues in strict order, or their weights; whether they exist is checked when all are known."""
    if isinstance(value, Fed) and value.startswith("{"):
        value = fed(value)
    if isinstance(value, dict) and value:
        return dict(table(**dict.fromkeys(value, whole(1, 1000)))(value))
    names = texts(value, 'write a list of queues: ["urgent", "emails"]')
    if not names:
        raise Wrong(
            "names no queue", "leave the key out to serve the queue itself; processes = 0 starts no consumer"
        )
    if twice := [name for name in names if names.count(name) > 1]:
        raise Wrong(f"names {shown(twice[0])} twice", "keep one of them")
    return tuple(names)


def processes(value: Any) -> int | str | Scale:
    """A number of consumers, a range, or "cpus" as it stands: only decode knows how many there are."""
    if isinstance(value, Fed) and value.startswith("{"):
        value = fed(value)
    if isinstance(value, dict):
        return _scale(value)
    return "cpus" if value == "cpus" else int(_process_count(value))


def _scale(value: dict[str, Any]) -> Scale:
    scale = Scale(
        **table("max", max=whole(1, MOST_PROCESSES), min=_process_count, target_wait=needed_duration(0.1))(
            value
        )
    )
    if scale.min > scale.max:
        raise Wrong(f"min is {scale.min}, more than max, which is {scale.max}", "exchange the two")
    return scale


_process_count = whole(0, MOST_PROCESSES)
max_attempts = whole(1, 1_000_000, {"forever": 0})
count_or_off = whole(0, 10**12, {"": 0, "off": 0})


#: Where handlers run.
EXECUTORS = ("auto", "sync", "threads", "async")


def auto_or_flag(value: Any) -> str:
    """ "auto", true → "always", false → "never"."""
    if isinstance(value, Fed) and value.lower() in ("true", "false"):
        value = value.lower() == "true"
    if value is True:
        return "always"
    if value is False:
        return "never"
    if value == "auto":
        return "auto"
    raise Wrong(f'must be "auto", true or false, not {shown(value)}')


def retry_delays(value: Any) -> RetryDelays:
    """Pauses between attempts: a duration, a list of them (the last repeats), {base, factor, max, jitter}."""
    if isinstance(value, Fed):
        value = fed(value)
    if isinstance(value, dict):
        return _growing_delays(value)
    items = list(value) if isinstance(value, (list, tuple)) else [value]
    if not items:
        raise Wrong("the list is empty", 'write a duration, or a list such as [5, 30, "5m"]')
    return RetryDelays(listed=tuple(seconds(item) for item in items))


def keep(value: Any) -> Keep:
    """How many messages that nobody will run are kept, and how long; what is left out has its default."""
    return Keep(**table(count=count_or_off, age=duration)(value))


def _growing_delays(value: dict[str, Any]) -> RetryDelays:
    return RetryDelays(**table(base=duration, factor=_factor, max=duration, jitter=_jitter)(value))


def table(*needed: str, **readers: Reader) -> Reader:
    """A table whose keys have these readers, `needed` among them; all its problems are told at once."""

    def read(value: Any) -> dict[str, Any]:
        if isinstance(value, Fed):
            value = fed(value)
        if not isinstance(value, dict):
            raise Wrong(f"must be a table, not {shown(value)}", f"write {{{next(iter(readers))} = …}}")
        values: dict[str, Any] = {}
        wrongs = [Wrong(f"says no {key}", f"add {key} = …") for key in needed if key not in value]
        for key, item in value.items():
            if key not in readers:
                hint = nearest(key, readers) or f"one of {', '.join(readers)}"
                wrongs.append(Wrong("unknown key", hint, key))
                continue
            try:
                values[key] = readers[key](item)
            except ValueError as error:
                wrongs += [Wrong(wrong.text, wrong.hint, key) for wrong in wrongs_of(error)]
        if wrongs:
            raise Wrongs(wrongs)
        return values

    return read


def _factor(value: Any) -> float:
    number = _number(value)
    if not 1 <= number <= 1000:
        raise Wrong(f"must be a number from 1 to 1000, not {shown(value)}", "2 doubles the pause each time")
    return number


def _jitter(value: Any) -> float:
    number = _number(value)
    if not 0 <= number <= 1:
        raise Wrong(
            f"must be a number from 0 to 1, not {shown(value)}", "0.5 takes up to half of a pause away"
        )
    return number


def _number(value: Any) -> float:
    if isinstance(value, Fed) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Wrong(f"must be a number, not {shown(value)}", _unquote_hint(value))
    if not abs(value) <= MAX_SECONDS or not math.isfinite(value):
        raise Wrong(f"must be a number of sensible size, not {shown(value)}")
    return float(value)


def texts(value: Any, hint: str) -> list[str]:
    """A list of strings; `hint` says how it is written."""
    items = fed(value) if isinstance(value, Fed) else value
    if isinstance(items, str) and isinstance(value, Fed):
        items = [items] if items else []
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise Wrong(f"must be a list of strings, not {_list_shown(items)}", hint)
    return [text(item) for item in items]


def _list_shown(value: Any) -> str:
    if isinstance(value, list):
        return f"a list with {next(shown(item) for item in value if not isinstance(item, str))}"
    return shown(value)


def fed(value: Fed) -> Any:
    """What a variable means where a list may stand: TOML if it opens a bracket, else parts between commas."""
    written = value.strip()
    if written.startswith(("[", "{")):
        try:
            return tomli.loads(f"value = {written}")["value"]
        except (ValueError, RecursionError):
            raise Wrong(f"{shown(written)} is not a TOML value") from None
    return [part.strip() for part in written.split(",")] if "," in written else written


def either(words: tuple[str, ...]) -> str:
    quoted = [f'"{word}"' for word in words]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else quoted[0]


def _unquote_hint(value: Any) -> str:
    if (
        isinstance(value, str)
        and not isinstance(value, Fed)
        and re.fullmatch(r"[0-9]+(\.[0-9]+)?|true|false", value)
    ):
        return "remove the quotes"
    return ""
