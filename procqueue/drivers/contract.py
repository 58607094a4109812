"""The contract of a storing driver: the verbs every store carries out in one atomic step each.

Laws D1–D10, D13, D15 and D16 of ARCHITECTURE.md are kept here and proved by tests/conformance, which every
driver runs. A driver holds no policy: verdicts come in, are carried out, and that is all. One instance
belongs to one process and one thread of it; after a fork it must not be used, nor closed.

Every verb may raise DriverUnavailable (ask again later), Newer, Stale and DriverError; push and take_inbox
also Full.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

from procqueue.core.message import Counts, Owned, Reservation, State, Stored
from procqueue.core.traits import PLAIN, Traits
from procqueue.core.verdict import Settlement
from procqueue.drivers.upkeep import OPEN_GATE as OPEN_GATE
from procqueue.drivers.upkeep import Gate as Gate
from procqueue.drivers.upkeep import GateState as GateState
from procqueue.drivers.upkeep import Upkeep

#: The version of the stored layout (law D16).
LAYOUT = 1

#: No verb carries more entries than this, nor more bytes of bodies (beyond one body of max_body).
MAX_ENTRIES = 100
MAX_BYTES = 1 << 20

#: So many notices of a queue are kept when no consumer takes them; the oldest go first.
MAX_NOTICES = 1000

#: So many bytes of a message's history are kept; the oldest records go first.
MAX_HISTORY = 32 * 1024

#: A session is forgotten when it was not used for so long; until then its pushes can be repeated exactly.
SESSION_KEPT_MS = 3_600_000
#: When a session was used last is written down only so often, which is cheaper; it is kept longer by as much.
SESSION_NOTED_MS = 600_000


class Pushed(StrEnum):
    """What became of one pushed entry."""

    QUEUED = "queued"
    DUPLICATE = "duplicate"  # a message of that id exists, or the id is remembered
    STORED_ALREADY = "stored already"  # the chunk is a repeat, and an earlier copy of it was stored
    GATE_CLOSED = "gate closed"  # nothing of the chunk was stored, and its number is not used up


@dataclass(frozen=True, slots=True)
class Locked:
    """The answer to an entry whose unique key is taken, by the message `id`; nothing of it was stored."""

    id: str


Answer = Pushed | Locked


# Structs, where each push makes one: a frozen dataclass takes nine times as long.
class Entry(msgspec.Struct, frozen=True):
    """One message to push. `delay_ms` from the driver's now; `at_ms` since 1970 UTC wins over it.

    `remember_ms`: for so long after the message is gone (handled, forgotten) its id stays taken.
    """

    id: str
    body: bytes
    delay_ms: int = 0
    at_ms: int | None = None
    remember_ms: int = 0
    traits: Traits = PLAIN


class Lane(msgspec.Struct, frozen=True):
    """The place of one chunk among the pushes of a producer (law D10).

    `session`: a random name that nobody else uses. `number`: of the chunk in it, 1, 2, 3 … without a gap. Two
    different chunks never go under one number, and a session is not used by two connections at once.
    """

    session: str
    number: int


@dataclass(frozen=True, slots=True)
class Turn:
    """The answer to settle-and-reserve.

    `refused`: tickets that were no longer this consumer's; nothing of theirs was changed.
    `owned`: how many reservations the consumer holds now; to be compared with what it thinks (law D13).
    `now_ms`: the driver's clock.
    """

    refused: tuple[int, ...]
    taken: tuple[Reservation, ...]
    owned: int
    now_ms: int


@dataclass(frozen=True, slots=True)
class Compared:
    """The answer to compare: how many went back to the head, and which held tickets are not owned."""

    returned: int
    lost: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Promoted:
    """The answer to promote: how many became waiting, and when the next is due (ms from now, None: none)."""

    moved: int
    next_in_ms: int | None


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when a queue is paused, and until when (None: until it is resumed): ms of the driver's clock."""

    since_ms: int
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class Beat:
    """One host of a queue: its identity, what people call it, and its beat, which only has to move."""

    host: str
    name: str  # "" until its scheduler has beaten
    value: int


@dataclass(frozen=True, slots=True)
class Beats:
    """The hosts of a queue, by identity. `server` changes when another server, or file, answers."""

    server: str
    hosts: tuple[Beat, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the list of one state. `next`: what to ask for behind it, "" if this was the last.

    `now_ms`: the driver's clock.
    """

    messages: tuple[Stored, ...]
    next: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class TakenIn:
    """One entry of the inbox, decoded: `entry` to push, or why it goes to `failed` under that id."""

    raw: bytes
    entry: Entry
    unreadable: str = ""


class Driver(Upkeep, Protocol):
    """One open connection to a store. Times are integer milliseconds, ids and queues are text."""

    name: str

    # producers

    def push(
        self, queue: str, entries: Sequence[Entry], lane: Lane | None = None, *, inside: bool = False
    ) -> list[Answer]:
        """Store up to MAX_ENTRIES messages, all of them or none; wake a consumer.

        `inside`: it comes from a handler, so that a gate that is draining lets it pass. A gate that does not
        is answered by GATE_CLOSED for each entry: nothing was stored, the number is not used up.

        With a `lane`, only what is next in its session is stored. What is stored already is answered by
        STORED_ALREADY for each entry (by DUPLICATE or Locked for those of the last chunk that were so then);
        else nothing is stored: Gap beyond the next number, UnknownSession unless the number is 1.
        Raises Full if the store refuses to grow (nothing was stored, the number is not used up).
        """

    # consumers

    def register(self, queue: str, consumer: str, host: str, max_running: int = 0) -> None:
        """Make `consumer` known as one of `host`, and `host` as one to be watched.

        `max_running`: from now on no more messages of the queue are reserved at once, over all consumers and
        hosts; 0: any number. Whoever registers last says it for all; what is reserved already stays so.
        Raises Gone if the consumer was reclaimed, or its host buried, before.
        """

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
        """Settle, then reserve up to `take` messages from the head, in one atomic step.

        Of messages the higher priority goes first. One whose time to begin is over, and which never began, is
        dropped instead, counted, and leaves a notice (record.EXPIRED). Owed notices come before messages. At
        least one message is handed out however large it is. Of a queue that is paused, or with
        `notices_only`, there are notices only (D15), and so there are of one that has as many reserved as may
        run at once.
        Raises Gone, Unknown: then nothing was changed.
        """

    def compare(self, queue: str, consumer: str, held: Sequence[int]) -> Compared:
        """Return to the head whatever `consumer` owns beyond the tickets `held`. Raises Gone, Unknown."""

    def leave(self, queue: str, consumer: str) -> None:
        """Forget a consumer; what it still owns goes back to the head, uncharged.

        Afterwards its id is Gone or Unknown, as the driver likes: the process leaves.
        """

    def wait(self, queues: Sequence[str], seconds: float, also: Sequence[int]) -> bool:
        """Sleep until a message may be there, a descriptor of `also` is readable, or the time is over.

        Returns True if a message may be there: never because of one in a paused queue, or in one in which no
        more may run. A descriptor of `also`
        never makes it True by itself.
        """

    # the scheduler

    def consumers(self, queue: str, host: str) -> list[str]:
        """Return the consumers of `host` that the store knows."""

    def owned(self, queue: str, consumer: str) -> list[Owned]:
        """Return what `consumer` owns, in the order it was reserved."""

    def reclaim(self, queue: str, consumer: str, settlements: Sequence[Settlement]) -> int:
        """Declare `consumer` dead and settle everything it owned; return how many there were.

        Its id is Gone for a week and Unknown after it; ids are never used again.

        What `settlements` does not name goes back to the head uncharged. Idempotent.
        """

    def notify(self, queue: str, id: str, body: bytes) -> bool:
        """Leave a notice that belongs to no message, and wake a consumer; False if one of that id is owed.

        `id` begins with NOTICE_MARK. Beyond MAX_NOTICES the oldest go.
        """

    def raise_tickets(self, queue: str, last: int) -> None:
        """Let every ticket given from now on be larger than `last` (below 2⁵³); nothing if it would be.

        For a store that came back older than it was, and whose clock went back too.
        """

    def beat(self, queue: str, host: str, name: str) -> Beats:
        """Raise the beat of `host` and return those of all. Raises Gone if it was buried (law D6)."""

    def bury(self, queue: str, host: str, seen: int) -> list[str] | None:
        """Declare `host` dead for ever, and with it all its consumers; return them, to be reclaimed.

        `seen`: the beat at which it stood still. None: it stands there no more, or the host has left; then
        nothing was changed. Idempotent: the consumers that are not reclaimed yet are returned again.
        """

    def leave_host(self, queue: str, host: str) -> None:
        """Let nobody watch `host` any more; nothing if it still has consumers."""

    def promote(self, queue: str) -> Promoted:
        """Make up to MAX_ENTRIES due messages waiting, and wake a consumer if any message waits.

        Also forgets what has had its time: idle sessions, remembered ids, consumers dead for a week.
        """

    def take_inbox(self, queue: str, decode: Callable[[bytes], TakenIn]) -> list[tuple[TakenIn, Answer]]:
        """Take in up to MAX_ENTRIES documents of foreign producers; answer what became of each.

        Nothing while the gate is closed.
        """

    # people

    def pause(self, queue: str, for_ms: int | None) -> Pause:
        """Hand out no message of the queue from now on, for so long, or (None) until it is resumed.

        What is reserved may be settled, notices are handed out. Of one that is paused only the end changes.
        """

    def resume(self, queue: str) -> bool:
        """Hand messages out again, and wake a consumer; True if the queue was paused."""

    def paused(self, queue: str) -> Pause | None:
        """Return since and until when the queue is paused; None if it is not."""

    def beats(self, queue: str) -> Beats:
        """Return the beats of all hosts."""

    def counts(self, queue: str) -> Counts:
        """Return how many messages stand where."""

    def oldest_ms(self, queue: str) -> int | None:
        """Return how long (ms) the head of the queue has been waiting since its push; None if it is empty."""

    def messages(self, queue: str, state: State, offset: int, limit: int) -> list[Stored]:
        """Return stored messages of one state, in the order in which they would leave it."""

    def page(
        self, queue: str, state: State, after: str = "", limit: int = MAX_ENTRIES, skip: int = 0
    ) -> Page:
        """Return up to `limit` (≤ MAX_ENTRIES) messages behind the page whose `next` is `after`.

        A page holds no more than MAX_BYTES beyond its first message. `skip`: how many to leave out at the
        head, where `after` is "". Messages that come and go between two pages shift nothing.
        """

    def message(self, queue: str, id: str) -> Stored | None:
        """Return one stored message."""

    def retry(self, queue: str, state: State, ids: Sequence[str]) -> list[str]:
        """Make messages of `state` (failed, timeout) waiting with fresh counters; return those found.

        A unique key is theirs again if it is free; they do not expire any more.
        """

    def forget(
        self, queue: str, ids: Sequence[str], state: State | None = None
    ) -> Mapping[str, State | None]:
        """Remove messages that are not reserved; answer the state each had (None: not stored).

        With `state`, only those that stand there are removed.
        """

    def clear(self, queue: str, state: State) -> int:
        """Remove up to MAX_ENTRIES messages of one state (not reserved); return how many."""

    def is_connected(self) -> bool:
        """False if the next verb opens a new connection: perhaps to another store, or an older one."""

    def close(self) -> None:
        """Give back every descriptor. Never raises."""


@runtime_checkable
class Complains(Protocol):
    """What a driver has beside the contract if its store can be unwell although it answers."""

    def complaint(self) -> str:
        """Return what is not well and what to do about it, "" if nothing is. Asked once a second."""


@runtime_checkable
class PushesAhead(Protocol):
    """What a driver has beside the contract if several of its pushes can be on their way at once."""

    def push_ahead(
        self, queue: str, entries: Sequence[Entry], lane: Lane, *, inside: bool = False
    ) -> Callable[[], list[Answer]]:
        """Send a push. The function returned waits for the answer and raises what push raises.

        Answers are waited for in the order in which the pushes were sent. Any other verb in between takes
        them away: DriverUnavailable, sent.
        """
