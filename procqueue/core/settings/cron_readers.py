"""Parsers of the values of [cron.*], as those in readers.py."""

from __future__ import annotations

from typing import Any

from procqueue.core.settings.readers import text
from procqueue.core.settings.wrong import Wrong
from procqueue.core.units import shown


def filled_text(value: Any) -> str:
    """A string that is not empty."""
    written = text(value)
    if not written:
        raise Wrong("must not be empty")
    return written


def schedule(value: Any) -> str:
    """Five fields, or six with seconds in front; process/crontab.py asks the library what they say."""
    written = " ".join(text(value).split())
    if len(written.split(" ")) not in (5, 6):
        raise Wrong(
            f"must have five fields, not {shown(value)}",
            'minute, hour, day of the month, month, day of the week: "0 3 * * *" is each night at three',
        )
    return written


def json_list(value: Any) -> tuple[Any, ...]:
    """Arguments by their places."""
    if not isinstance(value, list):
        raise Wrong(f"must be a list, not {shown(value)}", "write args = [1, 2]")
    return tuple(value)


def json_table(value: Any) -> dict[str, Any]:
    """Arguments by their names."""
    if not isinstance(value, dict):
        raise Wrong(f"must be a table, not {shown(value)}", "write kwargs = {user = 1}")
    return value
