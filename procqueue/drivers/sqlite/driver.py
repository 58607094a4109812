"""The driver that stores queues in one SQLite file of this host.

Each verb that changes something is one write transaction under the gate (gate.py, link.py); rows.py says
what happens to the rows, living.py who is there, people.py what people see, wake.py how a consumer learns
of it. The clock is the host's (law D9). Layout: schema.sql.
"""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from procqueue.core.errors import DriverUnavailable
from procqueue.core.message import NOTICE_MARK, Counts, Owned, State, Stored
from procqueue.core.verdict import Settlement
from procqueue.drivers.contract import (
    MAX_BYTES,
    MAX_ENTRIES,
    Answer,
    Beats,
    Compared,
    Entry,
    GateState,
    Lane,
    Page,
    Promoted,
    Pushed,
    TakenIn,
    Turn,
)
from procqueue.drivers.listing import listed
from procqueue.drivers.sqlite import arrivals, living, people, rows, sessions, switches, traits
from procqueue.drivers.sqlite.link import Link, now_ms
from procqueue.drivers.sqlite.rows import Numbers
from procqueue.drivers.sqlite.sharing import Sharing
from procqueue.drivers.sqlite.upkeep import Upkeep
from procqueue.drivers.sqlite.wake import Wake

#: How long the ids of dead consumers are remembered, and how often the older ones are forgotten.
GONE_KEPT_MS = 7 * 24 * 3600 * 1000
PRUNE_SECONDS = 3600.0

#: Who leaves waits so long for those who write: its death is reclaimed anyway, and a stop shall be quick.
LEAVE_SECONDS = 0.5

OWNED = """
SELECT id, ticket, counters FROM messages WHERE queue = ? AND owner = ? ORDER BY ticket
"""


class SqliteDriver(Upkeep):
    """A store in the file `path`, for the processes of one host; implements contract.Driver.

    `synchronous`: "full" loses nothing at a power cut, "normal" only the last commits. `mode`, `group`: as
    sharing.py has it. `timeout`: seconds until SQLite's own locks (foreign programs) are given
    up with DriverUnavailable. `keeper`: for the scheduler, whose connection is open from before the first
    consumer until after the last: it waits for the gate no longer than `timeout`, so that it can deal with a
    holder that was stopped. Raises DriverError if the file cannot be used, Newer if its layout is newer.
    """

    name = "sqlite"

    def __init__(
        self,
        path: str,
        *,
        synchronous: str = "full",
        mode: int = 0o600,
        group: str = "",
        timeout: float = 5.0,
        keeper: bool = False,
    ) -> None:
        sharing = Sharing(mode, group)
        self._link = Link(path, synchronous, sharing, timeout, keeper)
        self._wake = Wake(Path(self._link.path).parent, sharing, self._link.looks)
        self._prune_at = 0.0
        _drivers.add(self)

    # producers

    def push(
        self, queue: str, entries: Sequence[Entry], lane: Lane | None = None, *, inside: bool = False
    ) -> list[Answer]:
        """Store all entries or none, a repeated chunk once; wake a consumer.

        Raises Full, Gap, UnknownSession; ValueError for a caller's mistake.
        """
        _check(entries)
        now = now_ms()
        with self._link.writing(growing=True) as db:
            if lane and (stored := sessions.stored_already(db, queue, lane, len(entries))) is not None:
                return stored
            if switches.is_shut(db, queue, inside=inside):  # what is said of repeats was stored before
                return [Pushed.GATE_CLOSED] * len(entries)
            numbers = Numbers.of(db, queue)
            answers = [rows.put(db, numbers, entry, now) for entry in entries]
            numbers.save(db)
            if lane:
                sessions.go_on(db, queue, lane, answers, now)
            if remembered := sum(entry.remember_ms > 0 for entry in entries):
                sessions.forget_ids(db, queue, now, 2 * remembered)  # quicker than they come
        self._wake.send(queue)
        return answers

    # consumers

    def register(self, queue: str, consumer: str, host: str, max_running: int = 0) -> None:
        """Make the consumer known; from now on no wake-up of its queue is lost. Raises Gone."""
        with self._link.writing() as db:
            living.register(db, queue, consumer, host)
            switches.limit(db, queue, max_running)
        self._listen(queue)

    def turn(
        self,
        queue: str,
        consumer: str,
        settlements: Sequence[Settlement],
        take: int,
        max_bytes: int = MAX_BYTES,
        *,
        notices_only: bool = False,
    ) -> Turn:
        """Settle, then reserve, in one step. Raises Gone, Unknown."""
        if not settlements:
            with self._link.reading() as db:
                owned, ready = living.glance(db, queue, consumer, now_ms())
            if not (ready and take > 0):  # most turns of an idle consumer: no gate, no write
                return Turn((), (), owned, now_ms())
        with self._link.writing() as db:
            now_us = time.time_ns() // 1000
            living.glance(db, queue, consumer, now_us // 1000)
            numbers = Numbers.of(db, queue)
            mine = rows.owned_rows(db, queue, consumer)
            refused = rows.settle(db, numbers, mine, settlements, now_us // 1000)
            places = 0 if notices_only else switches.places(db, queue, take, now_us // 1000)
            taken = rows.reserve(db, numbers, consumer, take, max_bytes, now_us, places)
            numbers.save(db)
            more = switches.is_ready(db, queue, now_us // 1000)
        if more:
            self._wake.send(queue)
        return Turn(refused, tuple(taken), len(mine) + len(taken), now_us // 1000)

    def compare(self, queue: str, consumer: str, held: Sequence[int]) -> Compared:
        """Return to the head what the consumer owns beyond `held`. Raises Gone, Unknown."""
        with self._link.writing() as db:
            living.glance(db, queue, consumer, now_ms())
            mine = rows.owned_rows(db, queue, consumer)
            kept = set(held)
            stray = [row for ticket, row in mine.items() if ticket not in kept]
            returned = rows.put_back(db, Numbers.of(db, queue), stray)
        if returned:
            self._wake.send(queue)
        return Compared(returned, tuple(ticket for ticket in held if ticket not in mine))

    def leave(self, queue: str, consumer: str) -> None:
        """Forget a consumer; what it still owns goes back to the head. It is not waited for long."""
        self._reclaim(queue, consumer, (), LEAVE_SECONDS)

    def wait(self, queues: Sequence[str], seconds: float, also: Sequence[int]) -> bool:
        """Sleep until a token came (True), one of `also` is readable or the time is over."""
        self._link.gate_of_this_process()
        try:
            return self._wake.wait(queues, seconds, also)
        except OSError as error:  # no FIFO can be made or opened
            raise DriverUnavailable(f"cannot wait beside {self._link.path!r}: {error}") from error

    # the scheduler

    def consumers(self, queue: str, host: str) -> list[str]:
        """Return the consumers of `host`."""
        with self._link.reading() as db:
            return living.consumers(db, queue, host)

    def owned(self, queue: str, consumer: str) -> list[Owned]:
        """Return what the consumer owns, in the order it was reserved."""
        with self._link.reading() as db:
            found = db.execute(OWNED, (queue, consumer)).fetchall()
        return [Owned(id, ticket, rows.unpack(packed)) for id, ticket, packed in found]

    def reclaim(self, queue: str, consumer: str, settlements: Sequence[Settlement]) -> int:
        """Declare the consumer dead for ever and settle what it owned; return how many there were."""
        return self._reclaim(queue, consumer, settlements, None)

    def _reclaim(
        self, queue: str, consumer: str, settlements: Sequence[Settlement], patience: float | None
    ) -> int:
        now = now_ms()
        with self._link.writing(patience=patience) as db:
            numbers = Numbers.of(db, queue)
            mine = rows.owned_rows(db, queue, consumer)
            count = len(mine)
            rows.settle(db, numbers, mine, settlements, now)
            rows.put_back(db, numbers, list(mine.values()))
            numbers.save(db)
            living.unregister(db, queue, consumer, now)
        if count:
            self._wake.send(queue)
        return count

    def notify(self, queue: str, id: str, body: bytes) -> bool:
        """Leave a notice that belongs to no message, and wake a consumer."""
        with self._link.writing() as db:
            numbers = Numbers.of(db, queue)
            left = rows.notify(db, numbers, id, body, now_ms())
            numbers.save(db)
        self._wake.send(queue)
        return left

    def raise_tickets(self, queue: str, last: int) -> None:
        """Let every ticket given from now on be larger than `last`."""
        with self._link.reading() as db:
            behind = Numbers.of(db, queue).ticket < last
        if behind:
            with self._link.writing() as db:
                numbers = Numbers.of(db, queue)
                numbers.ticket = max(numbers.ticket, last)
                numbers.save(db)

    def beat(self, queue: str, host: str, name: str) -> Beats:
        """Raise the beat of `host` and return those of all. Raises Gone."""
        with self._link.writing(lasting=False) as db:
            living.beat(db, queue, host, name)
            return Beats(self._link.server, living.hosts(db, queue))

    def bury(self, queue: str, host: str, seen: int) -> list[str] | None:
        """Declare `host` and its consumers dead for ever; return them, None if its beat is not `seen`."""
        with self._link.writing() as db:
            return living.bury(db, queue, host, seen, now_ms())

    def leave_host(self, queue: str, host: str) -> None:
        """Let nobody watch `host` any more; nothing if it still has consumers."""
        with self._link.writing() as db:
            living.leave(db, queue, host)

    def promote(self, queue: str) -> Promoted:
        """Make due messages waiting, and wake a consumer if any message waits."""
        self._prune()
        now = now_ms()
        moved = 0
        with self._link.reading() as db:
            due = arrivals.next_due(db, queue)
            ready = switches.is_ready(db, queue, now)
            over = sessions.is_over(db, queue, now) or traits.is_over(db, queue, now)
        if over or (due is not None and due <= now):
            with self._link.writing() as db:
                sessions.sweep(db, queue, now, MAX_ENTRIES)
                traits.forget_locks(db, queue, now, MAX_ENTRIES)
                moved = arrivals.promote(db, queue, now)
                due = arrivals.next_due(db, queue)
        if ready or moved:
            self._wake.send(queue)
        return Promoted(moved, None if due is None else max(0, due - now))

    def take_inbox(self, queue: str, decode: Callable[[bytes], TakenIn]) -> list[tuple[TakenIn, Answer]]:
        """Take in the oldest documents of foreign producers; unreadable ones go to `failed`."""
        with self._link.reading() as db:
            shut = switches.gate(db, queue).state is GateState.CLOSED
            documents = [] if shut else arrivals.documents(db, queue)
        if not documents:
            return []
        decoded = [(seq, decode(raw)) for seq, raw in documents]
        now = now_ms()
        with self._link.writing(growing=True) as db:
            numbers = Numbers.of(db, queue)
            if switches.gate(db, queue).state is GateState.CLOSED:
                return []
            answers = [
                (taken_in, pushed)
                for seq, taken_in in decoded
                if (pushed := arrivals.take_in(db, numbers, seq, taken_in, now)) is not None
            ]
            numbers.save(db)
        self._wake.send(queue)
        return answers

    # people

    def counts(self, queue: str) -> Counts:
        """Return how many messages stand where."""
        with self._link.reading() as db:
            return people.counts(db, queue)

    def beats(self, queue: str) -> Beats:
        """Return the beats of all hosts."""
        with self._link.reading() as db:
            return Beats(self._link.server, living.hosts(db, queue))

    def oldest_ms(self, queue: str) -> int | None:
        """Return how long the head has been waiting since its push."""
        with self._link.reading() as db:
            row = db.execute(people.HEAD_PUSHED, (queue,)).fetchone()
        return max(0, now_ms() - row[0]) if row else None

    def messages(self, queue: str, state: State, offset: int, limit: int) -> list[Stored]:
        """Return messages of one state, in the order in which they would leave it."""
        return listed(self, queue, state, offset, limit)

    def page(
        self, queue: str, state: State, after: str = "", limit: int = MAX_ENTRIES, skip: int = 0
    ) -> Page:
        """Return up to `limit` messages behind the page whose `next` is `after`."""
        with self._link.reading() as db:
            return people.page(db, queue, state, after, min(limit, MAX_ENTRIES), skip, now_ms())

    def message(self, queue: str, id: str) -> Stored | None:
        """Return one stored message."""
        with self._link.reading() as db:
            return people.one(db, queue, id)

    def retry(self, queue: str, state: State, ids: Sequence[str]) -> list[str]:
        """Make failed or parked messages waiting with fresh counters; return those found."""
        if state not in (State.FAILED, State.TIMEOUT):
            raise ValueError(f"only failed and timeout messages can be retried, not {state.value!r}")
        with self._link.writing() as db:
            found = people.retry(db, queue, state, ids, now_ms())
        if found:
            self._wake.send(queue)
        return found

    def forget(
        self, queue: str, ids: Sequence[str], state: State | None = None
    ) -> Mapping[str, State | None]:
        """Remove messages that are not reserved; return the state each had."""
        with self._link.writing() as db:
            return people.forget(db, queue, ids, state)

    def clear(self, queue: str, state: State) -> int:
        """Remove up to MAX_ENTRIES messages of one state; return how many."""
        if state is State.RESERVED:
            raise ValueError("reserved messages cannot be cleared")
        with self._link.writing() as db:
            return people.clear(db, queue, state)

    # both

    def complaint(self) -> str:
        """Say so if the log grows and grows: then somebody reads without an end."""
        return self._link.complaint()

    def is_connected(self) -> bool:
        """True: a file that is replaced while it is open makes every verb raise Stale."""
        return True

    def close(self) -> None:
        """Give back every descriptor."""
        self._wake.close()
        self._link.close()

    def _after_fork_in_child(self) -> None:
        self._wake.close()
        self._link.let_go_in_child()

    def _listen(self, queue: str) -> None:
        with contextlib.suppress(OSError):  # wait() will say so; until then promote's tokens do
            self._wake.listen(queue)

    def _prune(self) -> None:
        if time.monotonic() >= self._prune_at:
            self._prune_at = time.monotonic() + PRUNE_SECONDS
            with self._link.writing() as db:
                db.execute(living.PRUNE_GONE, (now_ms() - GONE_KEPT_MS,))


def _check(entries: Sequence[Entry]) -> None:
    if len(entries) > MAX_ENTRIES:
        raise ValueError(f"at most {MAX_ENTRIES} entries in one push, not {len(entries)}")
    for entry in entries:
        if entry.id.startswith(NOTICE_MARK):
            raise ValueError(f"no message's id may begin with {NOTICE_MARK!r}: {entry.id!r}")


#: Not a registry: only what a forked child has to let go of, so that it holds neither gate nor connection.
_drivers: weakref.WeakSet[SqliteDriver] = weakref.WeakSet()


def _in_child() -> None:
    for driver in list(_drivers):
        driver._after_fork_in_child()


os.register_at_fork(after_in_child=_in_child)
