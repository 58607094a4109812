"""The driver for Redis and Valkey: each verb of the contract is one script, carried out in one step.

The layout of a queue, all its keys in one hash slot: ids in the list `waiting` and the sorted sets `delayed`
(score = due ms), `failed`, `timeout`; what belongs to an id in the hashes `bodies` (14 hex digits of the push
sequence, then the body), `meta` (counters, only if not all zero), `history`; owners in `owned:<consumer>`.
How far producers came is in `sessions` and `uses`, ids that stay taken are in `remembered` (lua/_memory.lua).
Bodies and ids pass through Lua as bytes and are never read there.
Next to read: scripts.py and lua/, then connection.py.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis.exceptions import NoScriptError

from procqueue.core.errors import DriverError, DriverUnavailable
from procqueue.core.message import NOTICE_MARK, Counts, Owned, State, Stored
from procqueue.core.outcome import Ending
from procqueue.core.record import Record
from procqueue.core.traits import PLAIN
from procqueue.core.verdict import ACK, CHARGES, Settlement
from procqueue.drivers.contract import (
    MAX_BYTES,
    MAX_ENTRIES,
    Answer,
    Beats,
    Compared,
    Entry,
    Lane,
    Page,
    Pause,
    Promoted,
    TakenIn,
    Turn,
)
from procqueue.drivers.listing import listed
from procqueue.drivers.redis import replies
from procqueue.drivers.redis.connection import Head, Link
from procqueue.drivers.redis.scripts import KEYS, script
from procqueue.drivers.redis.sentinels import guided
from procqueue.drivers.redis.upkeep import Upkeep
from procqueue.drivers.redis.wait import Waiter

#: Tombstones stand so long: no process sleeps a week and then settles.
TOMBSTONE_MS = 7 * 86_400_000

#: Forgetting walks the list of waiting ids once or twice for each: few in one call, or others wait for it.
_FORGET_AT_ONCE = 10


class RedisDriver(Upkeep):
    """Messages in Redis ≥ 6.2 or Valkey: the contract of drivers/contract.py.

    `url`: redis://, rediss://, unix:// or redis+sentinel://. `prefix` begins every key. `timeout` and
    `connect_timeout`, in seconds, bound every call. Connects at the first verb. Raises DriverError for a url
    that cannot be used.
    """

    name = "redis"

    def __init__(
        self, url: str, *, prefix: str = "pq", timeout: float = 5.0, connect_timeout: float = 5.0
    ) -> None:
        self._pid = os.getpid()
        self._prefix = prefix
        server, guide = guided(url, connect_timeout)
        self._link = Link(server, timeout, connect_timeout, guide)
        self._waiter = Waiter(Link(server, timeout, connect_timeout, guide), timeout)
        self._keys: dict[str, tuple[str, ...]] = {}
        self._heads: dict[tuple[str, str, int], Head] = {}  # by verb, queue and number of further keys

    # producers

    def push(
        self, queue: str, entries: Sequence[Entry], lane: Lane | None = None, *, inside: bool = False
    ) -> list[Answer]:
        """Store up to MAX_ENTRIES messages, all of them or none, a repeated chunk once; wake a consumer."""
        answer = self._run("push", queue, _pushed_form(entries, lane, inside), pushing=True)
        return replies.pushed(answer, queue, len(entries), lane)

    def push_ahead(
        self, queue: str, entries: Sequence[Entry], lane: Lane, *, inside: bool = False
    ) -> Callable[[], list[Answer]]:
        """Send a push; the function returned waits for its answer, in the order of the pushes."""
        self._check_process()
        read = self._link.send_ahead(*_pushed_form(entries, lane, inside), head=self._head("push", queue))

        def answer() -> list[Answer]:
            try:
                return replies.pushed(read(pushing=True), queue, len(entries), lane)
            except NoScriptError as error:  # nothing was stored; what comes next will load it
                raise DriverUnavailable(f"Redis at {self._link.where}: {error}") from error

        return answer

    # consumers

    def register(self, queue: str, consumer: str, host: str, max_running: int = 0) -> None:
        """Make `consumer` known as one of `host`, and say how many messages may run at once."""
        self._run("register", queue, (consumer, host, max_running))

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
        """Settle, then reserve up to `take` messages from the head, in one atomic step."""
        _check_size(settlements)
        acks: list[str | bytes | int] = []
        others: list[str | bytes | int] = []
        for one in settlements:
            if one.verdict == ACK and not one.owes:
                acks += (one.id, one.ticket)
            else:
                others += _settled_form(one)
        most, which = min(take, MAX_ENTRIES), int(notices_only)
        args = [consumer, most, max_bytes, which, len(acks) // 2, *acks, *others]
        turn = replies.turn(queue, self._run("turn", queue, args, consumer))
        if turn.taken:
            self._stop_waiting()
        return turn

    def compare(self, queue: str, consumer: str, held: Sequence[int]) -> Compared:
        """Return to the head whatever `consumer` owns beyond the tickets `held`."""
        returned, *lost = self._run("compare", queue, (consumer, *held), consumer)
        return Compared(returned, tuple(map(int, lost)))

    def leave(self, queue: str, consumer: str) -> None:
        """Forget a consumer that owns nothing; what it still owns goes back to the head, uncharged."""
        self._run("leave", queue, (consumer,), consumer)

    def wait(self, queues: Sequence[str], seconds: float, also: Sequence[int]) -> bool:
        """Sleep until a message may be there, a descriptor of `also` is readable, or the time is over."""
        self._check_process()
        keys = tuple(self._keys_of(queue)[KEYS.index("wake")] for queue in queues)
        if not self._waiter.waits_for(keys):
            self._stop_waiting()  # a marker that came for what we do not wait for any more is another's
        return self._waiter.wait(keys, seconds, also)

    # the scheduler

    def consumers(self, queue: str, host: str) -> list[str]:
        """Return the consumers of `host` that the store knows."""
        return replies.consumers(self._run("consumers", queue), host)

    def owned(self, queue: str, consumer: str) -> list[Owned]:
        """Return what `consumer` owns, in the order it was reserved."""
        return replies.owned(self._run("owned", queue, (), consumer))

    def reclaim(self, queue: str, consumer: str, settlements: Sequence[Settlement]) -> int:
        """Declare `consumer` dead for ever and settle everything it owned; return how many there were."""
        args: list[str | bytes | int] = [consumer]
        for one in settlements:
            args += _settled_form(one)
        return int(self._run("reclaim", queue, args, consumer))

    def notify(self, queue: str, id: str, body: bytes) -> bool:
        """Leave a notice that belongs to no message, and wake a consumer."""
        return bool(self._run("notify", queue, (id, body)))

    def raise_tickets(self, queue: str, last: int) -> None:
        """Let every ticket given from now on be larger than `last`."""
        self._run("raise_tickets", queue, (last,))

    def beat(self, queue: str, host: str, name: str) -> Beats:
        """Raise the beat of `host` and return those of all."""
        found = replies.hosts(self._run("beat", queue, (host, name)))
        return Beats(self._link.server, found)

    def bury(self, queue: str, host: str, seen: int) -> list[str] | None:
        """Declare `host` and its consumers dead for ever; return them, None if its beat is not `seen`."""
        found = self._run("bury", queue, (host, seen))
        return None if found is None else sorted(str(name, "utf-8") for name in found)

    def leave_host(self, queue: str, host: str) -> None:
        """Let nobody watch `host` any more; nothing if it still has consumers."""
        self._run("leave_host", queue, (host,))

    def promote(self, queue: str) -> Promoted:
        """Make up to MAX_ENTRIES due messages waiting, and wake a consumer if any message waits."""
        moved, next_in_ms = self._run("promote", queue, (MAX_ENTRIES, TOMBSTONE_MS))
        return Promoted(moved, None if next_in_ms < 0 else next_in_ms)

    def take_inbox(self, queue: str, decode: Callable[[bytes], TakenIn]) -> list[tuple[TakenIn, Answer]]:
        """Take in up to MAX_ENTRIES documents of foreign producers; answer what became of each."""
        answers = []
        for raw in self._run("peek", queue, (MAX_ENTRIES, MAX_BYTES)):
            taken = decode(raw)
            record = _why_unreadable(taken.unreadable) if taken.unreadable else b""
            stored = self._run("inbox", queue, (raw, *_stored_form(taken.entry), record))
            if stored != -1:  # else another scheduler took it
                answers.append((taken, replies.stored_as(stored)))
        return answers

    # people

    def pause(self, queue: str, for_ms: int | None) -> Pause:
        """Hand out no message of the queue from now on, for so long, or (None) until it is resumed."""
        since, until = self._run("pause", queue, (for_ms or 0,))
        return Pause(since, until or None)

    def resume(self, queue: str) -> bool:
        """Hand messages out again, and wake a consumer; True if the queue was paused."""
        return bool(self._run("resume", queue))

    def paused(self, queue: str) -> Pause | None:
        """Return since and until when the queue is paused; None if it is not."""
        found = self._run("paused", queue)
        return Pause(found[0], found[1] or None) if found else None

    def counts(self, queue: str) -> Counts:
        """Return how many messages stand where."""
        return Counts(*self._run("counts", queue))

    def oldest_ms(self, queue: str) -> int | None:
        """Return how long (ms) the head of the queue has been waiting since its push; None if it is empty."""
        found = self._run("oldest", queue)
        return max(0, found[1] - int(found[0], 16)) // 1000 if found else None

    def beats(self, queue: str) -> Beats:
        """Return the beats of all hosts."""
        found = replies.hosts(self._run("beats", queue))
        return Beats(self._link.server, found)

    def messages(self, queue: str, state: State, offset: int, limit: int) -> list[Stored]:
        """Return stored messages of one state, in the order in which they would leave it."""
        return listed(self, queue, state, offset, limit)

    def page(
        self, queue: str, state: State, after: str = "", limit: int = MAX_ENTRIES, skip: int = 0
    ) -> Page:
        """Return up to `limit` messages behind the page whose `next` is `after`."""
        owners: list[str] = []
        if state is State.RESERVED:
            owners = [self._owned_key(queue, name) for name in replies.names(self._run("consumers", queue))]
        args = (state.value, after, skip, min(limit, MAX_ENTRIES), MAX_BYTES)
        return replies.page(queue, state, self._run("look", queue, args, more_keys=owners))

    def message(self, queue: str, id: str) -> Stored | None:
        """Return one stored message."""
        found = self._run("find", queue, (id,))
        return replies.stored(queue, id, State(str(found[0], "ascii")), *found[1:]) if found else None

    def retry(self, queue: str, state: State, ids: Sequence[str]) -> list[str]:
        """Make messages of `state` (failed, timeout) waiting, with fresh counters; return those found."""
        if state not in (State.FAILED, State.TIMEOUT):
            raise ValueError(f"only failed and timeout can be retried, not {state.value!r}")
        found: list[str] = []
        for some in _pieces(ids, MAX_ENTRIES):
            found += [str(id, "utf-8") for id in self._run("retry", queue, (state.value, *some))]
        return found

    def forget(
        self, queue: str, ids: Sequence[str], state: State | None = None
    ) -> Mapping[str, State | None]:
        """Remove messages that are not reserved; answer the state each had (None: not stored)."""
        states: dict[str, State | None] = {}
        walks = state in (None, State.WAITING)
        for some in _pieces(ids, _FORGET_AT_ONCE if walks else MAX_ENTRIES):
            answers = self._run("forget", queue, (state or "", *some))
            states |= {
                id: answer and State(str(answer, "ascii")) for id, answer in zip(some, answers, strict=True)
            }
        return states

    def clear(self, queue: str, state: State) -> int:
        """Remove up to MAX_ENTRIES messages of one state (not reserved); return how many."""
        if state is State.RESERVED:
            raise ValueError("what is reserved belongs to its consumer and cannot be cleared")
        return int(self._run("clear", queue, (state.value, MAX_ENTRIES)))

    def is_connected(self) -> bool:
        """False if the next verb opens a new connection."""
        return self._link.stands

    def close(self) -> None:
        """Give back every descriptor. Never raises."""
        if os.getpid() == self._pid:  # after a fork the child's copies are closed already
            self._waiter.close()
            self._link.close()

    # below: how a verb reaches the server

    def _run(
        self,
        verb: str,
        queue: str,
        args: Sequence[str | bytes | int] = (),
        consumer: str | None = None,
        *,
        more_keys: Sequence[str] = (),
        pushing: bool = False,
    ) -> Any:
        self._check_process()
        if consumer is not None:
            more_keys = (self._owned_key(queue, consumer),)
        head = self._head(verb, queue, len(more_keys))
        try:
            return self._link.call(*more_keys, *args, head=head, pushing=pushing)
        except NoScriptError:  # a new server, or SCRIPT FLUSH
            keys = self._keys_of(queue)
            code, number = script(verb).text, len(keys) + len(more_keys)
            return self._link.call(b"EVAL", code, number, *keys, *more_keys, *args, pushing=pushing)

    def _head(self, verb: str, queue: str, more_keys: int = 0) -> Head:
        which = verb, queue, more_keys
        if (head := self._heads.get(which)) is None:
            keys = self._keys_of(queue)
            sha, number = script(verb).sha, len(keys) + more_keys
            head = self._heads[which] = Head.of(b"EVALSHA", sha, number, *keys)
        return head

    def _stop_waiting(self) -> None:
        marked = self._waiter.withdraw()
        if marked:  # it came for us although we are at work: let it wake another one
            with contextlib.suppress(DriverError):  # the scheduler does the same each second
                self._link.call(b"ZADD", marked, 0, b"1")

    def _keys_of(self, queue: str) -> tuple[str, ...]:
        try:
            return self._keys[queue]
        except KeyError:
            if not queue or "{" in queue or "}" in queue:
                raise ValueError(f"a queue's name is its hash tag and cannot be {queue!r}") from None
            keys = self._keys[queue] = tuple(f"{self._prefix}:{{{queue}}}:{name}" for name in KEYS)
            return keys

    def _owned_key(self, queue: str, consumer: str) -> str:
        return f"{self._prefix}:{{{queue}}}:owned:{consumer}"

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise DriverError("this driver was opened before a fork: open another one in this process")


def _check_size(items: Sequence[object]) -> None:
    if len(items) > MAX_ENTRIES:
        raise ValueError(f"at most {MAX_ENTRIES} in one call, not {len(items)}")


def _pushed_form(entries: Sequence[Entry], lane: Lane | None, inside: bool) -> list[str | bytes | int]:
    _check_size(entries)
    session, number = (lane.session, lane.number) if lane else ("", 0)
    args: list[str | bytes | int] = [session, number, int(inside)]
    for entry in entries:
        args += _stored_form(entry)
    return args


def _stored_form(entry: Entry) -> tuple[str | bytes | int, ...]:
    if entry.id.startswith(NOTICE_MARK):
        raise ValueError(f"no message's id may begin with {NOTICE_MARK!r}: {entry.id!r}")
    at = "" if entry.at_ms is None else entry.at_ms
    traits, more = entry.traits, ""
    if entry.remember_ms or traits is not PLAIN:
        until = "begun" if traits.until_begun else str(traits.until_ms) if traits.until_ms else "done"
        more = (
            f"{entry.remember_ms} {traits.priority} {traits.expires_ms} {until} {traits.replace:d} "
            f"{traits.unique}"
        )
    return entry.id, entry.body, entry.delay_ms, at, more


def _settled_form(one: Settlement) -> tuple[str | bytes | int, ...]:
    verdict = one.verdict
    charge = CHARGES.index(verdict.charge)
    return one.id, one.ticket, int(verdict.kind), charge, verdict.delay_ms, one.record, one.owes


def _why_unreadable(reason: str) -> bytes:
    return Record(None, None, "", 0, Ending.UNREADABLE, reason).encode()


def _pieces(ids: Sequence[str], size: int) -> list[list[str]]:
    once = list(dict.fromkeys(ids))
    return [once[start : start + size] for start in range(0, len(once), size)]
