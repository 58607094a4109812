"""Who is there: the consumers and hosts of a queue, and the tombstones of those that are dead for ever.

Every function here is called with a transaction open and leaves the commit to link.py. Laws D5, D6.
"""

from __future__ import annotations

import sqlite3

from procqueue.core.errors import Gone, Unknown
from procqueue.drivers.contract import Beat
from procqueue.drivers.sqlite.switches import READY

#: Answered in one snapshot: is it gone, is it known, how many does it own, is there something to take?
GLANCE = f"""
SELECT EXISTS (SELECT 1 FROM gone WHERE queue = ?1 AND consumer = ?3),
       EXISTS (SELECT 1 FROM consumers WHERE queue = ?1 AND consumer = ?3),
       (SELECT count(*) FROM messages WHERE queue = ?1 AND owner = ?3),
       {READY}
"""

IS_GONE = "SELECT 1 FROM gone WHERE queue = ? AND consumer = ?"
MARK_GONE = "INSERT OR IGNORE INTO gone (queue, consumer, at_ms) VALUES (?, ?, ?)"
PRUNE_GONE = "DELETE FROM gone WHERE at_ms < ?"
REGISTER = "INSERT OR REPLACE INTO consumers (queue, consumer, host) VALUES (?, ?, ?)"
UNREGISTER = "DELETE FROM consumers WHERE queue = ? AND consumer = ?"
CONSUMERS = "SELECT consumer FROM consumers WHERE queue = ? AND host = ? ORDER BY consumer"

WATCH = "INSERT OR IGNORE INTO hosts (queue, host, name, beat) VALUES (?, ?, '', 0)"
BEAT = """
INSERT INTO hosts (queue, host, name, beat) VALUES (?, ?, ?, 1)
ON CONFLICT (queue, host) DO UPDATE SET beat = beat + 1, name = excluded.name
"""
HOSTS = "SELECT host, name, beat FROM hosts WHERE queue = ? ORDER BY host"
STANDS_AT = "SELECT 1 FROM hosts WHERE queue = ? AND host = ? AND beat = ?"
LEAVE = """
DELETE FROM hosts WHERE queue = ?1 AND host = ?2
AND NOT EXISTS (SELECT 1 FROM consumers WHERE queue = ?1 AND host = ?2)
"""


def glance(db: sqlite3.Connection, queue: str, consumer: str, now_ms: int) -> tuple[int, bool]:
    """Return how many the consumer owns, and whether there is something to take. Raises Gone, Unknown."""
    gone, known, owned, ready = db.execute(GLANCE, (queue, now_ms, consumer)).fetchone()
    if gone:  # that of a buried host is known too: it has yet to be reclaimed
        raise _gone(queue, consumer)
    if not known:
        raise Unknown(f"queue {queue!r} has no consumer {consumer!r}: it must register under a new id")
    return owned, bool(ready)


def register(db: sqlite3.Connection, queue: str, consumer: str, host: str) -> None:
    """Make the consumer known, and its host one to be watched. Raises Gone."""
    if db.execute(IS_GONE, (queue, consumer)).fetchone():
        raise _gone(queue, consumer)
    _refuse_buried(db, queue, host)
    db.execute(REGISTER, (queue, consumer, host))
    db.execute(WATCH, (queue, host))


def unregister(db: sqlite3.Connection, queue: str, consumer: str, now_ms: int) -> None:
    """Declare the consumer dead for ever."""
    db.execute(UNREGISTER, (queue, consumer))
    db.execute(MARK_GONE, (queue, consumer, now_ms))


def consumers(db: sqlite3.Connection, queue: str, host: str) -> list[str]:
    """Return the consumers of `host`."""
    return [consumer for (consumer,) in db.execute(CONSUMERS, (queue, host)).fetchall()]


def beat(db: sqlite3.Connection, queue: str, host: str, name: str) -> None:
    """Raise the beat of `host`. Raises Gone."""
    _refuse_buried(db, queue, host)
    db.execute(BEAT, (queue, host, name))


def hosts(db: sqlite3.Connection, queue: str) -> tuple[Beat, ...]:
    """Return the beats of all hosts."""
    return tuple(Beat(host, name, value) for host, name, value in db.execute(HOSTS, (queue,)).fetchall())


def bury(db: sqlite3.Connection, queue: str, host: str, seen: int, now_ms: int) -> list[str] | None:
    """Declare `host` and its consumers dead for ever; None if its beat is not `seen` any more."""
    if not db.execute(STANDS_AT, (queue, host, seen)).fetchone():
        return None
    found = consumers(db, queue, host)
    db.executemany(MARK_GONE, [(queue, dead, now_ms) for dead in (_tombstone(host), *found)])
    return found


def leave(db: sqlite3.Connection, queue: str, host: str) -> None:
    """Let nobody watch `host` any more, unless it still has consumers."""
    db.execute(LEAVE, (queue, host))


def _refuse_buried(db: sqlite3.Connection, queue: str, host: str) -> None:
    if db.execute(IS_GONE, (queue, _tombstone(host))).fetchone():
        raise Gone(f"host {host!r} of queue {queue!r} was declared dead: it has to take a new identity")


def _tombstone(host: str) -> str:
    return f"host {host}"  # a name that no consumer has


def _gone(queue: str, consumer: str) -> Gone:
    return Gone(f"consumer {consumer!r} of queue {queue!r} was reclaimed: its process has to leave")
