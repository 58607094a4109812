"""The switches of a queue: what keeps its messages from being reserved (its pause, and how many may run at
once), the producers' gate, and the mark that makes all hosts restart it.

Every function here is called with a transaction open and leaves the commit to link.py.
"""

from __future__ import annotations

import sqlite3

from procqueue.drivers.contract import OPEN_GATE, Gate, GateState, Pause
from procqueue.drivers.upkeep import RestartMark

RESERVED = "SELECT count(*) FROM messages WHERE queue = ?1 AND owner IS NOT NULL AND state = 'reserved'"

#: Is there something to take? ?1 is the queue, ?2 the time. Of a paused queue only notices are handed out,
#: and so they are of one in which as many run as may.
READY = f"""
  EXISTS (SELECT 1 FROM messages WHERE queue = ?1 AND state = 'notice' AND owner IS NULL)
  OR (EXISTS (SELECT 1 FROM messages WHERE queue = ?1 AND state = 'waiting')
      AND NOT EXISTS (SELECT 1 FROM pauses WHERE queue = ?1 AND (until_ms IS NULL OR until_ms > ?2))
      AND NOT EXISTS (SELECT 1 FROM limits WHERE queue = ?1 AND max_running <= ({RESERVED})))
"""
IS_READY = f"SELECT {READY}"

PAUSED = "SELECT since_ms, until_ms FROM pauses WHERE queue = ? AND (until_ms IS NULL OR until_ms > ?)"
PAUSE = "INSERT OR REPLACE INTO pauses (queue, since_ms, until_ms) VALUES (?, ?, ?)"
RESUME = "DELETE FROM pauses WHERE queue = ?"

GATE = "SELECT state, since_ms FROM gates WHERE queue = ?"
SET_GATE = "INSERT OR REPLACE INTO gates (queue, state, since_ms) VALUES (?, ?, ?)"

RESTART_MARK = "SELECT at_ms FROM restarts WHERE queue = ?"
MARK_RESTART = "INSERT OR REPLACE INTO restarts (queue, at_ms) VALUES (?, ?)"

LIMIT = "INSERT OR REPLACE INTO limits (queue, max_running) VALUES (?, ?)"
NO_LIMIT = "DELETE FROM limits WHERE queue = ?"
FREE = f"SELECT max_running - ({RESERVED}) FROM limits WHERE queue = ?1"


def is_ready(db: sqlite3.Connection, queue: str, now_ms: int) -> bool:
    """Return whether a consumer would be given something."""
    return bool(db.execute(IS_READY, (queue, now_ms)).fetchone()[0])


def limit(db: sqlite3.Connection, queue: str, max_running: int) -> None:
    """Let no more messages be reserved at once; 0: any number."""
    if max_running:
        db.execute(LIMIT, (queue, max_running))
    else:
        db.execute(NO_LIMIT, (queue,))


def places(db: sqlite3.Connection, queue: str, most: int, now_ms: int) -> int:
    """Return how many messages may be reserved now, at most `most`."""
    if paused(db, queue, now_ms):
        return 0
    free = db.execute(FREE, (queue,)).fetchone()
    return max(0, min(most, free[0])) if free else most


def paused(db: sqlite3.Connection, queue: str, now_ms: int) -> Pause | None:
    """Return since and until when the queue is paused."""
    row = db.execute(PAUSED, (queue, now_ms)).fetchone()
    return Pause(*row) if row else None


def pause(db: sqlite3.Connection, queue: str, for_ms: int | None, now_ms: int) -> Pause:
    """Pause the queue; one that is paused stays so since the same moment."""
    known = paused(db, queue, now_ms)
    made = Pause(known.since_ms if known else now_ms, now_ms + for_ms if for_ms else None)
    db.execute(PAUSE, (queue, made.since_ms, made.until_ms))
    return made


def resume(db: sqlite3.Connection, queue: str, now_ms: int) -> bool:
    """Take the pause back; True if there was one."""
    was = paused(db, queue, now_ms) is not None
    db.execute(RESUME, (queue,))
    return was


def gate(db: sqlite3.Connection, queue: str) -> Gate:
    """Return how the gate stands."""
    row = db.execute(GATE, (queue,)).fetchone()
    return Gate(GateState(row[0]), row[1]) if row else OPEN_GATE


def set_gate(db: sqlite3.Connection, queue: str, state: GateState, now_ms: int) -> Gate:
    """Turn the gate; one that stands so already does so since the same moment."""
    known = gate(db, queue)
    if known.state is state:
        return known
    db.execute(SET_GATE, (queue, state, now_ms))
    return Gate(state, now_ms)


def is_shut(db: sqlite3.Connection, queue: str, *, inside: bool) -> bool:
    """Return whether a push finds the gate closed; `inside`: it comes from a handler."""
    match gate(db, queue).state:
        case GateState.OPEN:
            return False
        case GateState.CLOSED:
            return True
        case GateState.DRAINING:
            return not inside


def mark_restart(db: sqlite3.Connection, queue: str, now_ms: int) -> RestartMark:
    """Leave a mark; it only grows, also if the clock went back."""
    known = restart_mark(db, queue, now_ms)
    at = max(known.at_ms + 1 if known else 0, now_ms)
    db.execute(MARK_RESTART, (queue, at))
    return RestartMark(at, 0)


def restart_mark(db: sqlite3.Connection, queue: str, now_ms: int) -> RestartMark | None:
    """Return the last mark, None if there was none."""
    row = db.execute(RESTART_MARK, (queue,)).fetchone()
    return RestartMark(row[0], max(0, now_ms - row[0])) if row else None
