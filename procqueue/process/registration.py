"""Under which name a store knows a consumer, and how far the tickets of this state directory have come.

A consumer's id is one process for ever: master, board and log go by it. A store that has never heard of it
(it lost its memory) gets it under a new name, because what is still on its way under the old one must not be
taken for its own (law D5): "ID", then "ID~2", "ID~3" … The number stands on the board, and is written there
before the store hears of it: so whoever compares sees it in time.
"""

from __future__ import annotations

import os
from collections.abc import Container

from procqueue.process.view import NoBoard, View

#: A board that a handler has scribbled on must not use up all tickets there are (2⁵³): no clock in µs gets
#: that far before 2112.
_MOST = 2**52


def name_of(consumer: str, number: int) -> str:
    """Return the name of a consumer's registration, of which the first is number 1."""
    return consumer if number <= 1 else f"{consumer}~{number}"


def split_name(name: str) -> tuple[str, int]:
    """Return the consumer whose registration this is, and its number."""
    consumer, _, number = name.partition("~")
    return (consumer, int(number)) if number.isdecimal() else (name, 1)


def last_tickets(boards: str, queues: Container[str]) -> dict[str, int]:
    """Return for each queue the largest ticket on the boards of a directory; none for one without any.

    A consumer that is another user than the master may not look there: it leaves that to the scheduler.
    """
    found: dict[str, int] = {}
    try:
        entries = os.listdir(boards)
    except PermissionError:
        return found
    for entry in entries:
        if not entry.endswith(".board"):
            continue
        try:
            board = View.open(f"{boards}/{entry}")
        except (NoBoard, OSError):
            continue
        for queue in board.queues:
            last = max((ticket for ticket in board.tickets(queue) if ticket < _MOST), default=0)
            if queue in queues and last > found.get(queue, 0):
                found[queue] = last
        board.close()
    return found
