"""Messages that ask for something beside where and when: unique keys, priorities, a time to begin in.

A lock is the row of the message that has the key (schema.sql has the triggers that end it); where a key stays
taken for a time, whatever becomes of its message, it has a row of its own. Like those of rows.py, the
functions here are called with a transaction open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from procqueue.core.message import State
from procqueue.core.record import EXPIRED, notice_id
from procqueue.drivers.contract import MAX_NOTICES, Answer, Entry, Locked, Pushed

IS_TAKEN = """
SELECT EXISTS (SELECT 1 FROM messages WHERE queue = ?1 AND id = ?2)
       OR EXISTS (SELECT 1 FROM remembered WHERE queue = ?1 AND id = ?2 AND until_ms > ?3)
"""
HOLDER = """
SELECT id, seq, state FROM messages WHERE queue = ?1 AND unique_key = ?2 AND locked = 1
UNION ALL
SELECT locks.id, messages.seq, messages.state
FROM locks LEFT JOIN messages ON messages.queue = locks.queue AND messages.id = locks.id
WHERE locks.queue = ?1 AND locks.key = ?2 AND locks.until_ms > ?3
"""
GIVES_WAY = "DELETE FROM messages WHERE seq = ?"
PUT = """
INSERT INTO messages (
  queue, id, state, place, due_ms, pushed_ms, remember_ms, body,
  rank, expires_ms, unique_key, until_begun, locked
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
LOCK_FOR = "INSERT OR REPLACE INTO locks (queue, key, id, until_ms) VALUES (?, ?, ?, ?)"
IS_OVER = "SELECT EXISTS (SELECT 1 FROM locks WHERE queue = ? AND until_ms <= ?)"
FORGET_LOCKS = """
DELETE FROM locks WHERE queue = ?1 AND key IN (
  SELECT key FROM locks WHERE queue = ?1 AND until_ms <= ?2 ORDER BY until_ms LIMIT ?3
)
"""

NOTICE = """
INSERT INTO messages (queue, id, state, place, pushed_ms, body)
SELECT queue, ?, 'notice', ?, pushed_ms, CAST(? || body AS BLOB) FROM messages WHERE seq = ?
"""
DROP = "DELETE FROM messages WHERE seq = ?"
COUNT = "UPDATE queues SET expired = expired + ? WHERE queue = ?"
TOO_MANY_NOTICES = """
DELETE FROM messages WHERE seq IN (
  SELECT seq FROM messages WHERE queue = ? AND state = 'notice' AND owner IS NULL
  ORDER BY place DESC LIMIT -1 OFFSET ?
)
"""


def put(db: sqlite3.Connection, queue: str, place: int, entry: Entry, now_ms: int) -> Answer:
    """Store one new message with its traits."""
    traits = entry.traits
    if db.execute(IS_TAKEN, (queue, entry.id, now_ms)).fetchone()[0]:
        return Pushed.DUPLICATE
    if traits.unique:
        for id, seq, state in db.execute(HOLDER, (queue, traits.unique, now_ms)).fetchall():
            if not (traits.replace and state in (State.WAITING, State.DELAYED)):
                return Locked(id)
            db.execute(GIVES_WAY, (seq,))
        if traits.until_ms:
            db.execute(LOCK_FOR, (queue, traits.unique, entry.id, now_ms + traits.until_ms))
            forget_locks(db, queue, now_ms, 2)  # quicker than they come
    due_ms = entry.at_ms if entry.at_ms is not None else now_ms + entry.delay_ms
    state, due = (State.DELAYED, due_ms) if due_ms > now_ms else (State.WAITING, None)
    expires_ms = now_ms + traits.expires_ms if traits.expires_ms else None
    key = None if traits.until_ms else traits.unique or None
    db.execute(
        PUT,
        (
            queue, entry.id, state, place, due, now_ms, entry.remember_ms or None, entry.body,
            -traits.priority, expires_ms, key, traits.until_begun, key is not None,
        ),
    )  # fmt: skip
    return Pushed.QUEUED


def expire(
    db: sqlite3.Connection, queue: str, place: int, late: Sequence[tuple[int, str]], now_us: int
) -> None:
    """Drop messages (seq and id) that did not begin in time, count them, and leave a notice of each."""
    head = EXPIRED + b"\n"
    db.executemany(NOTICE, [(notice_id(id, now_us), place, head, seq) for seq, id in late])
    db.executemany(DROP, [(seq,) for seq, _ in late])
    db.execute(COUNT, (len(late), queue))
    db.execute(TOO_MANY_NOTICES, (queue, MAX_NOTICES))


def is_over(db: sqlite3.Connection, queue: str, now_ms: int) -> bool:
    """Return whether `forget_locks` has something to do."""
    return bool(db.execute(IS_OVER, (queue, now_ms)).fetchone()[0])


def forget_locks(db: sqlite3.Connection, queue: str, now_ms: int, most: int) -> None:
    """Forget up to `most` keys that were taken for a time, and whose time is over."""
    db.execute(FORGET_LOCKS, (queue, now_ms, most))
