"""What people ask of a queue: counts, lists, single messages; and their changes: retry, forget, clear."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from procqueue.core.message import Counts, State, Stored
from procqueue.drivers.contract import MAX_BYTES, MAX_ENTRIES, Page
from procqueue.drivers.sqlite.rows import Numbers, unpack

#: One search of a partial index each.
COUNTS = """
SELECT (SELECT count(*) FROM inbox WHERE queue = ?1),
       (SELECT count(*) FROM messages WHERE queue = ?1 AND state = 'waiting'),
       (SELECT count(*) FROM messages WHERE queue = ?1 AND state = 'delayed'),
       (SELECT count(*) FROM messages WHERE queue = ?1 AND owner IS NOT NULL AND state = 'reserved'),
       (SELECT count(*) FROM messages WHERE queue = ?1 AND state = 'timeout'),
       (SELECT count(*) FROM messages WHERE queue = ?1 AND state = 'failed'),
       (SELECT count(*) FROM messages WHERE queue = ?1 AND state = 'notice' AND owner IS NULL)
     + (SELECT count(*) FROM messages WHERE queue = ?1 AND owner IS NOT NULL AND state = 'notice'),
       coalesce((SELECT expired FROM queues WHERE queue = ?1), 0)
"""

HEAD_PUSHED = """
SELECT pushed_ms FROM messages WHERE queue = ? AND state = 'waiting' ORDER BY rank, place LIMIT 1
"""

_COLUMNS = "queue, id, state, body, counters, pushed_ms, due_ms, history, ended_ms"

#: The rows of one state in the order in which they would leave it; literal states, for the partial indexes.
LISTS = {
    State.WAITING: "state = 'waiting' ORDER BY rank, place",
    State.DELAYED: "state = 'delayed' ORDER BY due_ms, seq",
    State.RESERVED: "owner IS NOT NULL AND state = 'reserved' ORDER BY ticket",
    State.TIMEOUT: "state = 'timeout' ORDER BY place",
    State.FAILED: "state = 'failed' ORDER BY place",
}
#: What orders a list: what stands here of a page's last row is where the next page goes on.
_PLACES = {
    State.WAITING: "rank, place",
    State.DELAYED: "due_ms, seq",
    State.RESERVED: "ticket",
    State.TIMEOUT: "place",
    State.FAILED: "place",
}
PAGES = {
    state: f"SELECT {_PLACES[state]}, {_COLUMNS} FROM messages WHERE queue = ? AND {rows} LIMIT ? OFFSET ?"
    for state, rows in LISTS.items()
}
NEXT_PAGES = {
    state: f"SELECT {places}, {_COLUMNS} FROM messages WHERE queue = ? AND ({places}) > "
    f"({', '.join('?' for _ in places.split(','))}) AND {LISTS[state]} LIMIT ?"
    for state, places in _PLACES.items()
}
CLEARS: dict[State, str] = {
    state: f"DELETE FROM messages WHERE seq IN (SELECT seq FROM messages WHERE queue = ? AND {rows} LIMIT ?)"
    for state, rows in LISTS.items()
    if state is not State.RESERVED
}
ONE = f"SELECT {_COLUMNS} FROM messages WHERE queue = ? AND id = ? AND state <> 'notice'"

RETRY = """
UPDATE messages SET state = 'waiting', place = ?1, counters = NULL, ended_ms = NULL, expires_ms = NULL,
  locked = unique_key IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM locks WHERE queue = ?2 AND key = messages.unique_key AND until_ms > ?5)
  AND NOT EXISTS (
    SELECT 1 FROM messages AS other
    WHERE other.queue = ?2 AND other.unique_key = messages.unique_key AND other.locked = 1
  )
WHERE queue = ?2 AND id = ?3 AND state = ?4
"""
STATE = "SELECT state FROM messages WHERE queue = ? AND id = ? AND state <> 'notice'"
FORGET = "DELETE FROM messages WHERE queue = ? AND id = ?"


def counts(db: sqlite3.Connection, queue: str) -> Counts:
    """Return how many stand where."""
    return Counts(*db.execute(COUNTS, (queue,)).fetchone())


def page(
    db: sqlite3.Connection, queue: str, state: State, after: str, limit: int, skip: int, now_ms: int
) -> Page:
    """Return a part of the list of one state."""
    places = len(_PLACES[state].split(","))
    if after:
        rows = db.execute(NEXT_PAGES[state], (queue, *map(int, after.split()), limit))
    else:
        rows = db.execute(PAGES[state], (queue, limit, skip))
    found: list[Stored] = []
    behind, room = after, MAX_BYTES
    for row in rows:
        one = _stored(row[places:])
        room -= len(one.body) + sum(map(len, one.history))
        if found and room < 0:
            return Page(tuple(found), behind, now_ms)
        found.append(one)
        behind = " ".join(map(str, row[:places]))
    return Page(tuple(found), behind if len(found) == limit else "", now_ms)


def one(db: sqlite3.Connection, queue: str, id: str) -> Stored | None:
    """Return one stored message."""
    row = db.execute(ONE, (queue, id)).fetchone()
    return _stored(row) if row else None


def retry(db: sqlite3.Connection, queue: str, state: State, ids: Sequence[str], now_ms: int) -> list[str]:
    """Move messages to the tail of the queue, as new but for their history; return those found."""
    numbers = Numbers.of(db, queue)
    found = [id for id in ids if db.execute(RETRY, (numbers.next_place(), queue, id, state, now_ms)).rowcount]
    numbers.save(db)
    return found


def forget(
    db: sqlite3.Connection, queue: str, ids: Sequence[str], only: State | None
) -> Mapping[str, State | None]:
    """Remove messages (of the state `only` if given) unless reserved; return the state each had."""
    states: dict[str, State | None] = {}
    for id in ids:
        if id in states:
            continue
        row = db.execute(STATE, (queue, id)).fetchone()
        states[id] = state = State(row[0]) if row else None
        if state not in (None, State.RESERVED) and only in (None, state):
            db.execute(FORGET, (queue, id))
    return states


def clear(db: sqlite3.Connection, queue: str, state: State) -> int:
    """Remove the first messages of one state; return how many."""
    return db.execute(CLEARS[state], (queue, MAX_ENTRIES)).rowcount


def _stored(row: tuple[Any, ...]) -> Stored:
    queue, id, state, body, packed, pushed_ms, due_ms, history, ended_ms = row
    lines = tuple(history.splitlines()) if history else ()
    return Stored(queue, id, State(state), body, unpack(packed), pushed_ms, due_ms, lines, ended_ms)
