"""Failures in groups: how often each task failed with the same kind of error. Their number is bounded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from procqueue.core.filters import error_of, kind_of, since_ms, task_of
from procqueue.core.message import Stored

#: So many groups are told apart; what else comes is counted under OTHERS.
MAX_GROUPS = 1000
OTHERS = "(other errors)"


@dataclass(slots=True)
class Group:
    """Messages of one task with one kind of error. `first_ms`, `last_ms`: when they came to where they stand.

    `task` is "" where it cannot be read. `error` has # where texts differ. `example`: the id of the last.
    """

    task: str
    error: str
    count: int
    first_ms: int
    last_ms: int
    example: str


def groups(messages: Iterable[Stored]) -> list[Group]:
    """Return the groups, the largest first."""
    found: dict[tuple[str, str], Group] = {}
    for one in messages:
        key = task_of(one), kind_of(error_of(one))
        if key not in found and len(found) >= MAX_GROUPS:
            key = "", OTHERS
        at = since_ms(one)
        group = found.get(key)
        if group is None:
            group = found[key] = Group(*key, 0, at, at, one.id)
        group.count += 1
        group.first_ms = min(group.first_ms, at)
        if at >= group.last_ms:
            group.last_ms, group.example = at, one.id
    return sorted(found.values(), key=lambda group: (-group.count, group.task, group.error))
