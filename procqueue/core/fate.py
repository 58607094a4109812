"""Fate: what becomes of everything that a dead consumer owned, from the board's word and the cause of death.

Pure: the driver says what was owned (ids and tickets), the board says how each stood, the master says why
the process died. The board is never trusted for ids: a slot counts only for a ticket that the driver
confirms. Without a board nothing is known, and `lost` decides (law D7).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from procqueue.core.message import Charge, Counters, Owned
from procqueue.core.policy import MAX_SUSPECTS
from procqueue.core.verdict import ACK, SUSPECTED, UNTOUCHED, Kind, Verdict

#: However many were lost, and however often: none of them waits longer (ms).
MAX_LOST_DELAY_MS = 300_000


class Code(IntEnum):
    """How a slot of the board stands. The numbers are stored: append, never renumber."""

    FREE = 0
    HELD = 1  # reserved, not begun: can be taken back
    RUNNING = 2  # written before anything of the message is touched
    TAKEN = 3  # taken back by the scheduler; the consumer passes over it
    OWING = 4  # ended, its hook is running: the verdict stands, the hook is owed
    ENDED = 5  # ended, nothing owed


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of a board, as read."""

    ticket: int
    code: Code
    if_killed: Verdict
    if_dead: Verdict
    if_interrupted: Verdict
    ended: Verdict


class Cause(StrEnum):
    """Why a consumer is dead, as far as its messages are concerned."""

    CRASH = "crash"  # nobody asked it to
    MEMORY = "memory"  # max_memory_hard: counts as a crash
    TIMEOUT = "timeout"  # killed at the deadline of one message
    STOPPED = "stopped"  # stop, recycle, scale, --now: ours
    UNWATCHED = "unwatched"  # it died while no master watched: after its master, or before the present one
    LOST = "lost"  # its whole host is dead, or seems so to all others


@dataclass(frozen=True, slots=True)
class Fate:
    """A verdict, whether the run had begun, and whether its hook is still owed."""

    verdict: Verdict
    begun: bool  # or counts as begun, where nothing is known
    owes: bool


def fates(
    owned: Sequence[Owned],
    board: Mapping[int, Slot] | None,
    cause: Cause,
    overdue: int | None = None,
    *,
    begins_once: bool = False,
    lost_before: int = 0,
) -> dict[int, Fate]:
    """Return ticket → fate for everything in `owned`.

    `board`: ticket → slot, None if there is no board: then the queue's settings hold, of which `begins_once`
    is what counts (Policy.begins_once), and `lost_before`, how many were lost with others of its host.
    `overdue`: the ticket whose deadline was enforced.
    """
    if board is None:
        return {
            one.ticket: lost(one.counters, place, begins_once=begins_once)
            for place, one in enumerate(owned, lost_before + 1)
        }
    running = [one for one in owned if one.ticket in board and board[one.ticket].code is Code.RUNNING]
    culprit = _culprit(running, cause)
    return {one.ticket: _fate(one, board.get(one.ticket), cause, overdue, culprit) for one in owned}


def lost(counters: Counters, place: int, *, begins_once: bool = False) -> Fate:
    """Return the fate of a message of which only the owner is known: its host, or its board, is gone.

    `place`: its number, from 1, among those that were lost together. They come back one after the other, and
    later each time: what ended a whole host must not run beside the same others again, nor end the next one
    at once.
    """
    verdict = _suspected(counters, begins_once=begins_once)
    if not verdict.is_final:
        delay_ms = min(place * 1000 << counters.suspects, MAX_LOST_DELAY_MS)
        verdict = Verdict(Kind.RELEASE, Charge.SUSPECT, delay_ms)
    return Fate(verdict, begun=True, owes=verdict.is_final)


def _suspected(counters: Counters, *, begins_once: bool = False) -> Verdict:
    if begins_once or counters.suspects + 1 >= MAX_SUSPECTS:
        return Verdict(Kind.FAIL, Charge.SUSPECT)
    return SUSPECTED


def _culprit(running: Sequence[Owned], cause: Cause) -> int | None:
    """Return the ticket that has to answer for a death that nobody asked for; None if that cannot be known.

    A suspect among others answers for them: it runs alone where that can be had.
    """
    if cause in (Cause.UNWATCHED, Cause.LOST):
        return None
    suspects = [one.ticket for one in running if one.counters.suspects]
    if len(suspects) == 1:
        return suspects[0]
    return running[0].ticket if len(running) == 1 else None


def _fate(one: Owned, slot: Slot | None, cause: Cause, overdue: int | None, culprit: int | None) -> Fate:
    if slot is None or slot.code in (Code.FREE, Code.HELD, Code.TAKEN):
        return Fate(UNTOUCHED, begun=False, owes=False)
    if slot.code is not Code.RUNNING:
        return Fate(slot.ended, begun=True, owes=slot.code is Code.OWING and slot.ended != ACK)
    verdict = _verdict_of_running(one, slot, cause, overdue, culprit)
    return Fate(verdict, begun=True, owes=verdict.is_final)


def _verdict_of_running(
    one: Owned, slot: Slot, cause: Cause, overdue: int | None, culprit: int | None
) -> Verdict:
    if cause is Cause.TIMEOUT:
        return slot.if_killed if one.ticket == overdue else slot.if_interrupted
    if cause is Cause.STOPPED:
        return slot.if_interrupted
    if culprit is not None:
        return slot.if_dead if one.ticket == culprit else slot.if_interrupted
    # Whose fault it was cannot be known: it will run alone next time.
    return slot.if_interrupted if slot.if_interrupted.is_final else _suspected(one.counters)
