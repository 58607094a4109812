"""What the store knows beside its messages: how far each producer has come, and ids that stay taken.

A session's row says which chunk of it was stored last (law D10); it goes when the session was idle for long.
A remembered id gets its row by a trigger (schema.sql) when its message goes; it goes when its time is over.
Like those of rows.py, the functions here are called with a transaction open.
"""

from __future__ import annotations

import sqlite3

from procqueue.core.errors import Gap, UnknownSession
from procqueue.drivers.contract import SESSION_KEPT_MS, SESSION_NOTED_MS, Answer, Lane, Locked, Pushed

LAST = "SELECT number, doubles FROM sessions WHERE queue = ? AND session = ?"
BEGIN = "INSERT INTO sessions (queue, session, number, doubles, used_ms) VALUES (?, ?, ?, ?, ?)"
GO_ON = "UPDATE sessions SET number = ?, doubles = ? WHERE queue = ? AND session = ?"
NOTE = "UPDATE sessions SET used_ms = ? WHERE queue = ? AND session = ? AND used_ms < ?"

IS_OVER = """
SELECT EXISTS (SELECT 1 FROM sessions WHERE queue = ?1 AND used_ms < ?2)
       OR EXISTS (SELECT 1 FROM remembered WHERE queue = ?1 AND until_ms <= ?3)
"""
FORGET_SESSIONS = """
DELETE FROM sessions WHERE queue = ?1 AND session IN (
  SELECT session FROM sessions WHERE queue = ?1 AND used_ms < ?2 ORDER BY used_ms LIMIT ?3
)
"""
FORGET_IDS = """
DELETE FROM remembered WHERE queue = ?1 AND id IN (
  SELECT id FROM remembered WHERE queue = ?1 AND until_ms <= ?2 ORDER BY until_ms LIMIT ?3
)
"""


def stored_already(db: sqlite3.Connection, queue: str, lane: Lane, entries: int) -> list[Answer] | None:
    """Return the answer to a repeated chunk, None to one that is next. Raises Gap, UnknownSession."""
    row = db.execute(LAST, (queue, lane.session)).fetchone()
    last, doubles = row or (0, "")
    if lane.number <= last:
        answers: list[Answer] = [Pushed.STORED_ALREADY] * entries
        for double in doubles.split() if lane.number == last else ():
            place, _, holder = double.partition(":")
            answers[int(place)] = Locked(holder) if holder else Pushed.DUPLICATE
        return answers
    if lane.number == last + 1:
        return None
    if row is None:
        raise UnknownSession(f"queue {queue!r} has no session {lane.session!r}")
    raise Gap(f"session {lane.session!r} of queue {queue!r} has come to {last}, not {lane.number - 1}", last)


def go_on(db: sqlite3.Connection, queue: str, lane: Lane, answers: list[Answer], now_ms: int) -> None:
    """Note that this chunk is stored; a new session sweeps two old ones, so that they never pile up."""
    doubles = " ".join(filter(None, map(_double, range(len(answers)), answers)))
    if lane.number == 1:
        db.execute(BEGIN, (queue, lane.session, 1, doubles, now_ms))
        _forget_sessions(db, queue, now_ms, 2)
    else:
        db.execute(GO_ON, (lane.number, doubles, queue, lane.session))
        db.execute(NOTE, (now_ms, queue, lane.session, now_ms - SESSION_NOTED_MS))


def _double(place: int, one: Answer) -> str:
    if isinstance(one, Locked):
        return f"{place}:{one.id}"
    return str(place) if one is Pushed.DUPLICATE else ""


def is_over(db: sqlite3.Connection, queue: str, now_ms: int) -> bool:
    """Return whether `sweep` has something to do."""
    return bool(db.execute(IS_OVER, (queue, _idle_since(now_ms), now_ms)).fetchone()[0])


def sweep(db: sqlite3.Connection, queue: str, now_ms: int, most: int) -> None:
    """Forget up to `most` idle sessions and as many ids whose time is over."""
    _forget_sessions(db, queue, now_ms, most)
    forget_ids(db, queue, now_ms, most)


def forget_ids(db: sqlite3.Connection, queue: str, now_ms: int, most: int) -> None:
    """Forget up to `most` ids whose time is over."""
    db.execute(FORGET_IDS, (queue, now_ms, most))


def _forget_sessions(db: sqlite3.Connection, queue: str, now_ms: int, most: int) -> None:
    db.execute(FORGET_SESSIONS, (queue, _idle_since(now_ms), most))


def _idle_since(now_ms: int) -> int:
    return now_ms - SESSION_KEPT_MS - SESSION_NOTED_MS
