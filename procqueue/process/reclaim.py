"""Reclaim: what a dead consumer owned is settled at once, as its board says it stood (laws S6, D7).

The driver says what was owned, the board how each stood, the master why the process died; core/fate.py puts
the three together. Everything here may be repeated: the driver answers 0 the second time.
"""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from procqueue.core.fate import Cause, Fate, Slot, fates
from procqueue.core.message import Charge, Owned
from procqueue.core.outcome import Ending
from procqueue.core.record import EventNotice, NoticeHeader, Record
from procqueue.core.verdict import ACK, Kind, Settlement
from procqueue.drivers.contract import Driver
from procqueue.process.log import Log
from procqueue.process.notices import leave_event
from procqueue.process.registration import name_of, split_name
from procqueue.process.view import NoBoard, View


@dataclass(frozen=True, slots=True)
class Death:
    """A dead consumer, or one registration of it, and why it is dead.

    `detail`: signal, exit code, memory, limit, for people.
    """

    consumer: str
    queues: tuple[str, ...]
    cause: Cause
    overdue: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Living:
    """A consumer that the master says is alive."""

    consumer: str
    pid: int
    start_time: int | None  # with the pid it names the process for ever
    pool: str
    queues: tuple[str, ...]


def board_path(boards: str, consumer: str) -> str:
    """Return where the board of a consumer lies."""
    return f"{boards}/{consumer}.board"


def reclaim(driver: Driver, boards: str, death: Death, once: Container[str], log: Log) -> int:
    """Settle everything that the dead consumer owned, in all queues it served; return how many there were.

    `once`: the queues whose messages must not be begun twice; it counts where the board is lost.

    The board goes away at the very end: until then this can be interrupted and repeated.
    """
    consumer, number = split_name(death.consumer)
    path = board_path(boards, consumer)
    try:
        board = View.open(path)
    except NoBoard:
        board = None
    if board is not None:
        death = _as_marked(death, board)
    total = 0
    if board is not None and number == 1:
        number = board.registration
    for queue in death.queues:
        slots = board.slots(queue) if board is not None else None
        total += _reclaim_queue(driver, queue, name_of(consumer, number), death, slots, queue in once, log)
    if death.cause in (Cause.CRASH, Cause.MEMORY):
        words = _words(death.detail)
        event = EventNotice("consumer_crashed", death.consumer, death.queues[0], death.consumer, words)
        leave_event(driver, event, log)
    if board is not None:
        board.close()
    for leftover in (path, f"{path}.draft"):
        try:
            os.unlink(leftover)
        except FileNotFoundError:
            pass
    return total


def _as_marked(death: Death, board: View) -> Death:
    """Believe the board if it says why the process was killed: who tells of the death need not know."""
    if board.killed is None:
        return death
    cause, overdue = board.killed
    detail = {"signal": "KILL"} if "unwatched" in death.detail or not death.detail else death.detail
    return replace(death, cause=cause, overdue=overdue, detail=detail)


def reclaim_lost(
    driver: Driver, queue: str, consumer: str, host: str, *, before: int, begins_once: bool, log: Log
) -> int:
    """Settle what a consumer of a dead host owned; return how many there were. Its board is not here.

    `host`: its name, for people. `before`: how many of that host's messages were given back already. One call
    settles all: a consumer holds no more than the slots of its board, which are fewer than MAX_ENTRIES.
    """
    death = Death(consumer, (queue,), Cause.LOST, None, {"unwatched": f"its whole host is lost: {host}"})
    return _reclaim_queue(driver, queue, consumer, death, None, begins_once, log, before)


def give_back(driver: Driver, boards: str, queue: str, name: str, log: Log) -> int:
    """Settle what a registration owned that its consumer, which lives, has given up; return how many.

    The store forgot it, and has it again from an older copy. What the board does not know was not begun, or
    was done at a time that the store knows nothing of.
    """
    consumer, _ = split_name(name)
    death = Death(consumer, (queue,), Cause.STOPPED)
    try:
        board = View.open(board_path(boards, consumer))
    except NoBoard:
        slots: dict[int, Slot] = {}
    else:
        slots = board.slots(queue) or {}
        board.close()
    return _reclaim_queue(driver, queue, name, death, slots, False, log)


def _reclaim_queue(
    driver: Driver,
    queue: str,
    name: str,
    death: Death,
    slots: dict[int, Slot] | None,
    once: bool,
    log: Log,
    before: int = 0,
) -> int:
    owned = driver.owned(queue, name)
    decided = fates(owned, slots, death.cause, death.overdue, begins_once=once, lost_before=before)
    settlements = [_settlement(queue, one, decided[one.ticket], death) for one in owned]
    number = driver.reclaim(queue, name, settlements)
    if number:
        log.warning("reclaimed", queue=queue, consumer=name, cause=death.cause, **_sum(settlements))
    return number


def _sum(settlements: Sequence[Settlement]) -> dict[str, int]:
    """Count what became of them, in the words of a log line."""
    sums: dict[str, int] = {}
    for one in settlements:
        untouched = one.verdict.kind is Kind.RETURN and one.verdict.charge is Charge.NONE
        word = {
            Kind.ACK: "done", Kind.RETURN: "again", Kind.RELEASE: "later", Kind.FAIL: "failed",
            Kind.PARK: "parked",
        }[one.verdict.kind]  # fmt: skip
        word = "not_begun" if untouched else word
        sums[word] = sums.get(word, 0) + 1
    return sums


def _settlement(queue: str, one: Owned, fate: Fate, death: Death) -> Settlement:
    if not fate.begun or fate.verdict == ACK:
        return Settlement(one.id, one.ticket, fate.verdict)
    ending, error = _told(fate, death)
    record = Record(None, None, death.consumer, one.ticket, ending, error, cause=death.detail)
    owes = b""
    if fate.owes:
        counters = one.counters.charged(fate.verdict.charge).pack()
        header = NoticeHeader(one.id, queue, ending, error, counters, death.consumer, death.detail)
        owes = header.encode()
    return Settlement(one.id, one.ticket, fate.verdict, record.encode(), owes)


def _told(fate: Fate, death: Death) -> tuple[str, str]:
    """Return how the run ended, and the sentence for it."""
    match fate.verdict.charge:
        case Charge.CRASH:
            return Ending.CRASHED, f"its process died: {_words(death.detail)}"
        case Charge.SUSPECT:
            return Ending.CRASHED, f"its process died, perhaps not by its fault: {_words(death.detail)}"
        case Charge.INTERRUPT:
            return Ending.INTERRUPTED, "it was stopped before it had ended"
        case Charge.RELEASE:
            return Ending.RELEASED, ""
        case Charge.ATTEMPT if death.cause is Cause.TIMEOUT:
            return Ending.TIMED_OUT, f"killed past its deadline: {_words(death.detail)}"
        case _:
            return Ending.RAISED, "it had ended badly; its error was lost with its process"


def _words(detail: dict[str, Any]) -> str:
    if "unwatched" in detail:
        return str(detail["unwatched"])
    return ", ".join(f"{key} {value}" for key, value in detail.items()) or "cause unknown"
