"""What becomes a waiting message by the scheduler's hand: what is due, and documents of foreign producers.

Every function here is called with a transaction open and leaves the commit to link.py. Laws D1, D8, D12.
"""

from __future__ import annotations

import sqlite3

from procqueue.core.outcome import Ending
from procqueue.core.record import Record
from procqueue.drivers.contract import MAX_ENTRIES, Answer, TakenIn
from procqueue.drivers.sqlite import rows
from procqueue.drivers.sqlite.rows import Numbers

NEXT_DUE = "SELECT min(due_ms) FROM messages WHERE queue = ? AND state = 'delayed'"
DUE = """
SELECT seq FROM messages WHERE queue = ? AND state = 'delayed' AND due_ms <= ? ORDER BY due_ms, seq LIMIT ?
"""
BECOMES_WAITING = "UPDATE messages SET state = 'waiting', place = ?, due_ms = NULL WHERE seq = ?"

INBOX = "SELECT seq, CAST(body AS BLOB) FROM inbox WHERE queue = ? ORDER BY seq LIMIT ?"
TAKE_IN = "DELETE FROM inbox WHERE seq = ?"


def next_due(db: sqlite3.Connection, queue: str) -> int | None:
    """Return when the next message is due (ms since 1970); None if there is none."""
    due: int | None = db.execute(NEXT_DUE, (queue,)).fetchone()[0]
    return due


def promote(db: sqlite3.Connection, queue: str, now_ms: int) -> int:
    """Make due messages waiting, in the order of their due time; return how many."""
    due = db.execute(DUE, (queue, now_ms, MAX_ENTRIES)).fetchall()
    numbers = Numbers.of(db, queue)
    db.executemany(BECOMES_WAITING, [(numbers.next_place(), seq) for (seq,) in due])
    numbers.save(db)
    return len(due)


def documents(db: sqlite3.Connection, queue: str) -> list[tuple[int, bytes]]:
    """Return the oldest documents of the inbox, by their numbers."""
    return db.execute(INBOX, (queue, MAX_ENTRIES)).fetchall()


def take_in(
    db: sqlite3.Connection, numbers: Numbers, seq: int, taken_in: TakenIn, now_ms: int
) -> Answer | None:
    """Move one document out of the inbox; None if another scheduler was quicker."""
    if not db.execute(TAKE_IN, (seq,)).rowcount:
        return None
    if not taken_in.unreadable:
        return rows.put(db, numbers, taken_in.entry, now_ms)
    record = Record(None, None, "", 0, Ending.UNREADABLE.value, taken_in.unreadable).encode()
    return rows.put_failed(db, numbers, taken_in.entry, now_ms, record)
