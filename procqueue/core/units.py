"""Durations and sizes: from what people write to seconds and bytes, and back for display.

Inside procqueue times are float seconds and sizes are int bytes; only this file knows "1h30m" and "128MiB".
`0`, `""` and `"off"` all mean 0, which every limit reads as "switched off". Bad input is a ValueError with a
sentence. The table of configuration keys that uses these parsers is core/settings/keys.py.
"""

from __future__ import annotations

import math
import re

MAX_SECONDS = 10 * 365 * 86400.0  # ten years: a longer time is a slip of the keyboard, not a wish
MAX_BYTES = 1 << 50  # 1 PiB, for the same reason

# Compiled, and kept, by their first use: who only shows seconds and bytes does not pay for them.
_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_DURATION = "".join(rf"(?:{_NUMBER}{unit})?" for unit in ("d", "h", "m", "s", "ms"))
_DURATION_FACTORS = (86400.0, 3600.0, 60.0, 1.0, 0.001)
_SIZE = "(?i)" + _NUMBER + r" ?([a-z]*)"
_SIZE_FACTORS: dict[str, int] = {
    "b": 1,
    **{prefix + "b": 10 ** (3 * power) for power, prefix in enumerate("kmgt", 1)},
    **{prefix + "ib": 1 << (10 * power) for power, prefix in enumerate("kmgt", 1)},
}
_OFF = ("", "off")
_HOW_DURATION = 'write "500ms", "30s", "5m", "1h30m", "7d", or a number of seconds'
_HOW_SIZE = 'write "128MB" (10^6), "128MiB" (2^20), or a number of bytes'


def seconds(value: object) -> float:
    """The duration `value` in seconds: "500ms", "1h30m", a number of seconds; 0, "" and "off" are 0.0.

    Raises ValueError for anything else, negative, not finite, or over ten years.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{shown(value)} is not a duration: {_HOW_DURATION}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value!r} is not a duration: it has to be finite")
    number = _seconds_written(value) if isinstance(value, str) else value
    if number < 0:
        raise ValueError(f"a duration cannot be negative, and {shown(value)} is")
    if number > MAX_SECONDS:
        raise ValueError(f"{shown(value)} is more than ten years, which cannot be meant: {_HOW_DURATION}")
    return float(number)


def size(value: object) -> int:
    """The size `value` in bytes: "128MB" is 128 * 10^6, "128MiB" is 128 * 2^20; 0, "" and "off" are 0.

    Raises ValueError for anything else, negative, fractions of a byte, or over 1 PiB.
    """
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(f"{shown(value)} is not a size: {_HOW_SIZE}")
    number = _bytes_written(value) if isinstance(value, str) else value
    if number < 0:
        raise ValueError(f"a size cannot be negative, and {shown(value)} is")
    if number > MAX_BYTES:
        raise ValueError(f"{shown(value)} is more than 1 PiB, which cannot be meant: {_HOW_SIZE}")
    return round(number)


def format_seconds(value: float) -> str:
    """`value` seconds for people, in at most two units that `seconds` reads again: "250ms", "1h30m"."""
    if value < 0:
        return "-" + format_seconds(-value)
    if not math.isfinite(value):
        return str(value)
    if 0 < value < 0.9995:
        return f"{value * 1000:.3g}ms"
    if value < 59.95:
        return f"{round(value, 1):g}s"
    rest = round(value)
    if rest >= 86400:
        rest = round(rest / 3600) * 3600
    elif rest >= 3600:
        rest = round(rest / 60) * 60
    parts = []
    for unit, factor in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, factor)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def format_bytes(value: int) -> str:
    """`value` bytes for people: "128MB" where that is exact, else binary units: "52.3MiB", "512B"."""
    if value < 0:
        return "-" + format_bytes(-value)
    for unit, factor in (("GB", 10**9), ("MB", 10**6)):
        if value and value % factor == 0:
            return f"{value // factor}{unit}"
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        factor = _SIZE_FACTORS[unit.lower()]
        if value >= factor:
            return (
                f"{round(value / factor, 1):g}{unit}" if value < 1000 * factor else f"{value // factor}{unit}"
            )
    return f"{value}B"


def shown(value: object) -> str:
    """`value` as an error text shows it: short, on one line, in TOML's words rather than Python's."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() > 128:  # repr of a huge int raises ValueError by itself
            return f"a number of {value.bit_length()} bits"
        case str():
            cut = value if len(value) <= 60 else value[:57] + "..."
            return '"' + repr(cut)[1:-1].replace('"', '\\"') + '"'
        case list() | tuple():
            return "a list" if value else "[]"
        case dict():
            return "a table"
        case _:
            return repr(value)


def _seconds_written(written: str) -> float:
    text = written.strip()
    if text in _OFF:
        return 0.0
    _refuse_minus(text, written, "duration")
    if len(text) <= 64:
        if re.fullmatch(_NUMBER, text):
            return float(text)
        if found := re.fullmatch(_DURATION, text):
            parts = zip(found.groups(), _DURATION_FACTORS, strict=True)
            return math.fsum(float(number) * factor for number, factor in parts if number)
    raise ValueError(f"{shown(written)} is not a duration: {_HOW_DURATION}")


def _bytes_written(written: str) -> float:
    text = written.strip()
    if text in _OFF:
        return 0
    _refuse_minus(text, written, "size")
    found = re.fullmatch(_SIZE, text) if len(text) <= 64 else None
    if found:
        number, unit = found[1], found[2].lower()
        if not unit and "." not in number:
            return int(number)
        if unit in _SIZE_FACTORS and not (unit == "b" and "." in number):
            return float(number) * _SIZE_FACTORS[unit]
    raise ValueError(f"{shown(written)} is not a size: {_HOW_SIZE}")


def _refuse_minus(text: str, written: str, what: str) -> None:
    if text.startswith("-"):
        raise ValueError(f"a {what} cannot be negative, and {shown(written)} is")
