"""The rows of one queue inside one write transaction: put in, reserved, settled, put back.

Every function here is called with a transaction open and leaves the commit to link.py; nothing decides, it
only carries out core's TRANSITIONS. Laws D3, D4, D7, D8, D15.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, assert_never

from procqueue.core.message import NO_COUNTERS, Charge, Counters, Reservation
from procqueue.core.record import notice_id
from procqueue.core.traits import PLAIN
from procqueue.core.verdict import Kind, Settlement, Verdict
from procqueue.drivers.contract import MAX_HISTORY, MAX_NOTICES, Answer, Entry, Pushed
from procqueue.drivers.sqlite import traits

NUMBERS = "SELECT place, ticket FROM queues WHERE queue = ?"
SAVE_NUMBERS = """
INSERT INTO queues (queue, place, ticket) VALUES (?, ?, ?)
ON CONFLICT (queue) DO UPDATE SET place = excluded.place, ticket = excluded.ticket
"""

#: What already stands there under that id stays as it is (law D2), also where it is only remembered.
PUT = """
INSERT INTO messages (queue, id, state, place, due_ms, pushed_ms, remember_ms, body)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
WHERE NOT EXISTS (SELECT 1 FROM remembered WHERE queue = ?1 AND id = ?2 AND until_ms > ?6)
ON CONFLICT (queue, id) DO NOTHING
"""
PUT_FAILED = """
INSERT INTO messages (queue, id, state, place, pushed_ms, ended_ms, body, history)
SELECT ?1, ?2, 'failed', ?3, ?4, ?4, ?5, ?6
WHERE NOT EXISTS (SELECT 1 FROM remembered WHERE queue = ?1 AND id = ?2 AND until_ms > ?4)
ON CONFLICT (queue, id) DO NOTHING
"""

OWNED = "SELECT ticket, seq, id, state, place FROM messages WHERE queue = ? AND owner = ? ORDER BY ticket"
FREE_NOTICES = """
SELECT seq, id, body, counters, pushed_ms, NULL FROM messages
WHERE queue = ? AND state = 'notice' AND owner IS NULL ORDER BY place LIMIT ?
"""
WAITING = """
SELECT seq, id, body, counters, pushed_ms, expires_ms FROM messages
WHERE queue = ? AND state = 'waiting' ORDER BY rank, place LIMIT ?
"""
#: One statement for all rows, which come as a JSON array of their numbers: one for each costs twice as much.
TAKE_NOTICE = """
UPDATE messages SET owner = ?1, ticket = ?2 + taken.key
FROM json_each(?3) AS taken WHERE messages.seq = taken.value
"""
TAKE = """
UPDATE messages SET state = 'reserved', owner = ?1, ticket = ?2 + taken.key
FROM json_each(?3) AS taken WHERE messages.seq = taken.value
"""

DELETE = "DELETE FROM messages WHERE seq = ?"
DELETE_ALL = "DELETE FROM messages WHERE seq IN (SELECT value FROM json_each(?))"
PUT_BACK = """
UPDATE messages SET state = iif(state = 'notice', 'notice', 'waiting'), owner = NULL, ticket = NULL
WHERE seq = ?
"""
SETTLE = """
UPDATE messages
SET state = ?, place = ?, due_ms = ?, ended_ms = ?, owner = NULL, ticket = NULL, counters = ? WHERE seq = ?
"""
MEMORY = "SELECT counters, history FROM messages WHERE seq = ?"
REMEMBER = "UPDATE messages SET history = ? WHERE seq = ?"

OWE = """
INSERT INTO messages (queue, id, state, place, pushed_ms, body)
SELECT queue, ?, 'notice', ?, pushed_ms, CAST(? || body AS BLOB) FROM messages WHERE seq = ?
"""
NOTIFY = """
INSERT INTO messages (queue, id, state, place, pushed_ms, body) VALUES (?, ?, 'notice', ?, ?, ?)
ON CONFLICT (queue, id) DO NOTHING
"""
TOO_MANY_NOTICES = """
DELETE FROM messages WHERE seq IN (
  SELECT seq FROM messages WHERE queue = ? AND state = 'notice' AND owner IS NULL
  ORDER BY place DESC LIMIT -1 OFFSET ?
)
"""

#: So often a reservation looks at what waits, if all it found had expired.
MAX_LOOKS = 7

CANCELLED = "SELECT id, header FROM cancelled WHERE queue = ?"
CANCEL = "INSERT OR REPLACE INTO cancelled (queue, id, header) VALUES (?, ?, ?)"
CANCEL_ENDED = "DELETE FROM cancelled WHERE queue = ? AND id = ?"


@dataclass(slots=True)
class Numbers:
    """The two counters of a queue: places order the messages, tickets name the reservations."""

    queue: str
    place: int
    ticket: int
    stored: tuple[int, int]

    @classmethod
    def of(cls, db: sqlite3.Connection, queue: str) -> Numbers:
        """Read them; a queue never heard of begins at 0."""
        stored: tuple[int, int] = db.execute(NUMBERS, (queue,)).fetchone() or (0, 0)
        return cls(queue, *stored, stored)

    def next_place(self) -> int:
        """Return the place behind all others."""
        self.place += 1
        return self.place

    def save(self, db: sqlite3.Connection) -> None:
        """Write them back if they grew."""
        if (self.place, self.ticket) != self.stored:
            db.execute(SAVE_NUMBERS, (self.queue, self.place, self.ticket))


class OwnedRow(NamedTuple):
    """One row that a consumer owns."""

    seq: int
    id: str
    state: str
    place: int

    @property
    def is_notice(self) -> bool:
        return self.state == "notice"


def owned_rows(db: sqlite3.Connection, queue: str, consumer: str) -> dict[int, OwnedRow]:
    """Return ticket → row of everything that the consumer owns, in the order it was reserved."""
    return {ticket: OwnedRow(*row) for ticket, *row in db.execute(OWNED, (queue, consumer))}


def put(db: sqlite3.Connection, numbers: Numbers, entry: Entry, now_ms: int) -> Answer:
    """Store one new message."""
    if entry.traits is not PLAIN:
        return traits.put(db, numbers.queue, numbers.next_place(), entry, now_ms)
    due_ms = entry.at_ms if entry.at_ms is not None else now_ms + entry.delay_ms
    state, due = ("delayed", due_ms) if due_ms > now_ms else ("waiting", None)
    keep = entry.remember_ms or None
    row = (numbers.queue, entry.id, state, numbers.next_place(), due, now_ms, keep, entry.body)
    return Pushed.QUEUED if db.execute(PUT, row).rowcount else Pushed.DUPLICATE


def put_failed(db: sqlite3.Connection, numbers: Numbers, entry: Entry, now_ms: int, record: bytes) -> Pushed:
    """Store one message that was unreadable from the first."""
    row = (numbers.queue, entry.id, numbers.next_place(), now_ms, entry.body, record + b"\n")
    return Pushed.QUEUED if db.execute(PUT_FAILED, row).rowcount else Pushed.DUPLICATE


def notify(db: sqlite3.Connection, numbers: Numbers, id: str, body: bytes, now_ms: int) -> bool:
    """Leave a notice that belongs to no message; False if one of that id is there."""
    row = (numbers.queue, id, numbers.next_place(), now_ms, body)
    left = db.execute(NOTIFY, row).rowcount > 0
    db.execute(TOO_MANY_NOTICES, (numbers.queue, MAX_NOTICES))
    return left


def reserve(
    db: sqlite3.Connection,
    numbers: Numbers,
    consumer: str,
    take: int,
    max_bytes: int,
    now_us: int,
    places: int,
) -> list[Reservation]:
    """Give the consumer up to `take` rows, notices first, and at most `places` messages.

    The first is given however large it is. What did not begin in time is dropped on the way.
    """
    taken: list[Reservation] = []
    ticket = max(numbers.ticket + 1, now_us)
    for select, update in [(FREE_NOTICES, TAKE_NOTICE)] + [(WAITING, TAKE)] * MAX_LOOKS:
        room = take - len(taken) if select is FREE_NOTICES else min(take - len(taken), places)
        if room <= 0:
            break
        first = ticket
        seqs = []
        late = []
        for seq, id, body, counters, pushed_ms, expires_ms in db.execute(select, (numbers.queue, room)):
            if expires_ms and expires_ms <= now_us // 1000 and unpack(counters) == NO_COUNTERS:
                late.append((seq, id))
                continue
            max_bytes -= len(body)
            if taken and max_bytes < 0:
                take = 0
                break
            seqs.append(seq)
            taken.append(Reservation(numbers.queue, id, ticket, body, unpack(counters), pushed_ms))
            numbers.ticket = ticket
            ticket += 1
        if seqs:
            db.execute(update, (consumer, first, json.dumps(seqs)))
        if late:
            traits.expire(db, numbers.queue, numbers.next_place(), late, now_us)
            places -= len(seqs)
        elif select is WAITING:
            break
    return taken


def settle(
    db: sqlite3.Connection,
    numbers: Numbers,
    owned: dict[int, OwnedRow],
    settlements: Iterable[Settlement],
    now_ms: int,
) -> tuple[int, ...]:
    """Carry out what is still owned, taking it out of `owned`; return the tickets refused (law D4)."""
    refused = []
    done = []
    owes = False
    marks = cancelled(db, numbers.queue)
    for settlement in settlements:
        row = owned.get(settlement.ticket)
        if row is None or row.id != settlement.id:
            refused.append(settlement.ticket)
            continue
        del owned[settlement.ticket]
        if row.id in marks:
            settlement = _as_cancelled(db, numbers.queue, settlement, marks[row.id])  # noqa: PLW2901
        verdict = settlement.verdict
        if settlement.owes and not row.is_notice:
            owes = True
            head = settlement.owes + b"\n"
            db.execute(OWE, (notice_id(row.id, settlement.ticket), numbers.next_place(), head, row.seq))
        if verdict.kind is Kind.ACK or (row.is_notice and verdict.is_final):
            done.append(row.seq)
        else:
            _carry_out(db, numbers, row, settlement, now_ms)
    if done:
        db.execute(DELETE_ALL, (json.dumps(done),))
    if owes:
        db.execute(TOO_MANY_NOTICES, (numbers.queue, MAX_NOTICES))
    return tuple(refused)


def put_back(db: sqlite3.Connection, numbers: Numbers, rows: Sequence[OwnedRow]) -> int:
    """Return rows to the places they had, uncharged; what was cancelled goes. Return how many."""
    marks = cancelled(db, numbers.queue)
    for row in rows:
        if row.id in marks:
            db.execute(CANCEL_ENDED, (numbers.queue, row.id))
            remove_cancelled(db, numbers, row.seq, row.id, marks[row.id])
    numbers.save(db)
    db.executemany(PUT_BACK, [(row.seq,) for row in rows if row.id not in marks])
    if any(row.is_notice for row in rows):
        db.execute(TOO_MANY_NOTICES, (numbers.queue, MAX_NOTICES))
    return len(rows)


def cancelled(db: sqlite3.Connection, queue: str) -> dict[str, bytes]:
    """Return the reserved messages that are to go, each with the header of its notice."""
    return dict(db.execute(CANCELLED, (queue,)).fetchall())


def remove_cancelled(db: sqlite3.Connection, numbers: Numbers, seq: int, id: str, header: bytes) -> None:
    """Remove a message that nobody runs, and leave its notice."""
    place = numbers.next_place()
    db.execute(OWE, (notice_id(id, place), place, header + b"\n", seq))
    db.execute(DELETE, (seq,))
    db.execute(TOO_MANY_NOTICES, (numbers.queue, MAX_NOTICES))


def _as_cancelled(db: sqlite3.Connection, queue: str, settlement: Settlement, header: bytes) -> Settlement:
    db.execute(CANCEL_ENDED, (queue, settlement.id))
    if settlement.verdict.kind is Kind.ACK:
        return settlement  # it was done before it heard of it
    return Settlement(settlement.id, settlement.ticket, Verdict(Kind.ACK), owes=header)


def _carry_out(
    db: sqlite3.Connection, numbers: Numbers, row: OwnedRow, settlement: Settlement, now_ms: int
) -> None:
    verdict = settlement.verdict
    if verdict.charge is Charge.NONE and not settlement.record and verdict.kind is Kind.RETURN:
        db.execute(PUT_BACK, (row.seq,))
        return
    packed, history = db.execute(MEMORY, (row.seq,)).fetchone()
    if verdict.charge is not Charge.NONE:
        packed = unpack(packed).charged(verdict.charge).pack()
    state, place, due_ms, ended_ms = _standing(numbers, row, verdict, now_ms)
    db.execute(SETTLE, (state, place, due_ms, ended_ms, packed, row.seq))
    if settlement.record:
        db.execute(REMEMBER, (_remembered(history or b"", settlement.record), row.seq))


def _standing(
    numbers: Numbers, row: OwnedRow, verdict: Verdict, now_ms: int
) -> tuple[str, int, int | None, int | None]:
    back = "notice" if row.is_notice else "waiting"
    match verdict.kind:
        case Kind.RETURN:
            return back, row.place, None, None
        case Kind.RELEASE if verdict.delay_ms > 0 and not row.is_notice:
            return "delayed", numbers.next_place(), now_ms + verdict.delay_ms, None
        case Kind.RELEASE:
            return back, numbers.next_place(), None, None
        case Kind.FAIL:
            return "failed", numbers.next_place(), None, now_ms
        case Kind.PARK:
            return "timeout", numbers.next_place(), None, now_ms
        case Kind.ACK:
            raise AssertionError("an ack deletes")
        case _:
            assert_never(verdict.kind)


def unpack(packed: str | None) -> Counters:
    """Read the counters column."""
    return Counters.unpack(packed) if packed else NO_COUNTERS


def _remembered(history: bytes, record: bytes) -> bytes:
    lines = history + record + b"\n"
    if len(lines) <= MAX_HISTORY:
        return lines
    # Behind the first end of a line that leaves few enough; the newest record stays however long it is.
    cut = lines.find(b"\n", len(lines) - MAX_HISTORY - 1) + 1
    return lines[cut:] if cut < len(lines) else record + b"\n"
