"""Lengths: at which level the waiting of a queue stands, and when that is news. Pure."""

from __future__ import annotations

from collections.abc import Sequence

#: The names of levels, the lowest first; those of log lines.
NAMES = ("info", "warning", "error")

#: A level is left again when fewer than this share of its length wait: a length that swings is told once.
LEFT_BELOW = 0.8


def level_of(length: int, levels: Sequence[tuple[str, int]], present: str = "") -> str:
    """Return the level of a queue in which `length` messages wait, "" below all of them.

    `levels`: names and lengths, growing. `present`: the level so far, which is left only at `LEFT_BELOW`.
    """
    reached = ""
    for name, least in levels:
        if length >= (least * LEFT_BELOW if _is_up_to(name, present) else least):
            reached = name
    return reached


def _is_up_to(name: str, present: str) -> bool:
    return bool(present) and NAMES.index(name) <= NAMES.index(present)
