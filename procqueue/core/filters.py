"""Filters: which of many stored messages are meant. Pure: moments come in, nothing is asked.

The texts are those of the command line (`--task`, `--error`, `--kind`, `--older-than`, `--arg`) and of
`procqueue.queue(…).retry(task=…)`. Next to read: stored/walk.py, which goes through the messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from procqueue.core import wire
from procqueue.core.message import State, Stored
from procqueue.core.record import Record

#: What differs from one failure to the next although the error is the same.
_VARYING = re.compile(
    r"0x[0-9a-fA-F]+"
    r"|\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"
    r"|\b[0-9A-HJKMNP-TV-Z]{26}\b"
    r"|\b[0-9a-f]{16,}\b"
    r"|[0-9]+"
)
_LONGEST_ERROR = 200


@dataclass(frozen=True, slots=True)
class Filters:
    """All that is given has to be true of a message.

    `task`: its exact name. `error`: a part of its last error, in any case. `kind`: exactly what `kind_of`
    makes of that error, as groups are called. `older_than`: seconds since it failed or was parked, since its
    push if it waits. `args`: names, or places as "0", and what stands there.
    """

    task: str = ""
    error: str = ""
    older_than: float = 0.0
    args: Mapping[str, Any] = field(default_factory=dict)
    kind: str = ""

    def __bool__(self) -> bool:
        return bool(self.task or self.error or self.older_than or self.args or self.kind)

    def match(self, one: Stored, now_ms: int) -> bool:
        """Return whether `one` is meant; `now_ms` is the moment of asking by the driver's clock."""
        if self.older_than and now_ms - since_ms(one) < self.older_than * 1000:
            return False
        if self.error and self.error.casefold() not in error_of(one).casefold():
            return False
        if self.kind and self.kind != kind_of(error_of(one)):
            return False
        if not (self.task or self.args):
            return True
        try:
            document = wire.decode(one.body)
        except wire.Unreadable:
            return False
        if self.task and document.task != self.task:
            return False
        return all(_has(document, name, wanted) for name, wanted in self.args.items())


def since_ms(one: Stored) -> int:
    """Return since when a message is what it is: failed, parked, or, if it waits, pushed."""
    return one.pushed_ms if one.ended_ms is None else one.ended_ms


def is_in_time(one: Stored, until_ms: int) -> bool:
    """Return whether a message came to where it stands no later than `until_ms`."""
    return since_ms(one) <= until_ms


def error_of(one: Stored) -> str:
    """Return the error of the last run, "" if there is none."""
    for line in reversed(one.history):
        try:
            return Record.decode(line).error
        except (ValueError, TypeError):
            continue
    return ""


def task_of(one: Stored) -> str:
    """Return the name of the task, "" if the message is unreadable."""
    try:
        return wire.decode(one.body).task
    except wire.Unreadable:
        return ""


def kind_of(error: str) -> str:
    """Return the last line of an error without what varies (numbers, ids, addresses): what groups share."""
    lines = error.strip().splitlines()
    return _VARYING.sub("#", lines[-1][: 4 * _LONGEST_ERROR])[:_LONGEST_ERROR] if lines else ""


#: Which states each change may be asked for; what is reserved belongs to its consumer.
RETRYABLE = (State.FAILED, State.TIMEOUT)
REMOVABLE = (State.WAITING, State.DELAYED, State.TIMEOUT, State.FAILED)


def _has(document: wire.Document, name: str, wanted: Any) -> bool:
    if name in document.kwargs:
        return _is(document.kwargs[name], wanted)
    return name.isdecimal() and int(name) < len(document.args) and _is(document.args[int(name)], wanted)


def _is(value: Any, wanted: Any) -> bool:
    """Return whether an argument is what was asked for; text also stands for the JSON that it spells."""
    if value == wanted and isinstance(value, bool) == isinstance(wanted, bool):
        return True
    if not isinstance(wanted, str) or isinstance(value, str):
        return False
    try:
        spelt = json.loads(wanted)
    except ValueError:
        return False
    return bool(spelt == value) and isinstance(spelt, bool) == isinstance(value, bool)
