"""The message: its states and how they change, its five counters, and what a reservation hands out.

The table TRANSITIONS is the whole life of a message: drivers carry it out, the conformance suite and the
model tests are written against it. There are no states beside these; a handled message is gone.
Next to read: verdict.py (how a run ends), policy.py (who decides it).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec


class State(StrEnum):
    """Where a stored message stands."""

    WAITING = "waiting"
    DELAYED = "delayed"
    RESERVED = "reserved"
    TIMEOUT = "timeout"  # parked by on_timeout = "park"
    FAILED = "failed"


class Change(StrEnum):
    """What can happen to a message."""

    PUSH = "push"
    PUSH_LATER = "push later"
    DUE = "due"
    RESERVE = "reserve"
    ACK = "ack"
    RETURN = "return"  # to the head: it was not its fault
    RELEASE = "release"  # to the tail
    RELEASE_LATER = "release later"
    FAIL = "fail"
    PARK = "park"
    RETRY = "retry"  # by hand, from failed or timeout
    FORGET = "forget"
    CANCEL = "cancel"  # what is reserved is marked, and goes when it is settled, whatever its verdict


#: (state, change) → the state after it; None is "not stored". What is not listed cannot happen.
TRANSITIONS: dict[tuple[State | None, Change], State | None] = {
    (None, Change.PUSH): State.WAITING,
    (None, Change.PUSH_LATER): State.DELAYED,
    (State.DELAYED, Change.DUE): State.WAITING,
    (State.WAITING, Change.RESERVE): State.RESERVED,
    (State.RESERVED, Change.ACK): None,
    (State.RESERVED, Change.RETURN): State.WAITING,
    (State.RESERVED, Change.RELEASE): State.WAITING,
    (State.RESERVED, Change.RELEASE_LATER): State.DELAYED,
    (State.RESERVED, Change.FAIL): State.FAILED,
    (State.RESERVED, Change.PARK): State.TIMEOUT,
    (State.FAILED, Change.RETRY): State.WAITING,
    (State.TIMEOUT, Change.RETRY): State.WAITING,
    (State.WAITING, Change.FORGET): None,
    (State.DELAYED, Change.FORGET): None,
    (State.FAILED, Change.FORGET): None,
    (State.TIMEOUT, Change.FORGET): None,
    (State.WAITING, Change.CANCEL): None,
    (State.DELAYED, Change.CANCEL): None,
    (State.RESERVED, Change.CANCEL): State.RESERVED,
}


class Charge(StrEnum):
    """Which counter of a message a verdict raises by one."""

    NONE = "none"
    ATTEMPT = "attempts"  # its handler ended badly: raised, timed out
    CRASH = "crashes"  # its process died while it ran alone
    SUSPECT = "suspects"  # its process died unwatched, or beside others: perhaps not by its fault
    INTERRUPT = "interrupts"  # we stopped it
    RELEASE = "releases"  # it gave itself back


class Counters(msgspec.Struct, frozen=True):
    """The five counters of a message. All zero for a message that never ended badly."""

    attempts: int = 0
    crashes: int = 0
    suspects: int = 0
    interrupts: int = 0
    releases: int = 0

    def charged(self, charge: Charge) -> Counters:
        """Return the counters after one more of `charge`."""
        if charge is Charge.NONE:
            return self
        return msgspec.structs.replace(self, **{charge.value: getattr(self, charge.value) + 1})

    def pack(self) -> str:
        """Write them as drivers store them: five decimal numbers in the order of the fields."""
        return f"{self.attempts} {self.crashes} {self.suspects} {self.interrupts} {self.releases}"

    @classmethod
    def unpack(cls, text: str) -> Counters:
        """Read what `pack` wrote. Raises ValueError on anything else."""
        values = [int(part) for part in text.split()]
        if len(values) != 5:
            raise ValueError(f"five counters expected, not {text!r}")
        return cls(*values)


NO_COUNTERS = Counters()

#: Ids of notices (hooks that are owed, law D15) begin with this; no message's id may.
NOTICE_MARK = "!"


class Reservation(msgspec.Struct, frozen=True):
    """One message, or one notice, owned by one consumer under one ticket."""

    queue: str
    id: str
    ticket: int
    body: bytes
    counters: Counters
    pushed_ms: int  # the driver's clock

    @property
    def is_notice(self) -> bool:
        """True for an owed hook: `body` is then a notice (record.py), not a message of the wire."""
        return self.id.startswith(NOTICE_MARK)


@dataclass(frozen=True, slots=True)
class Owned:
    """What the driver knows of one reservation of a consumer: enough to decide its fate."""

    id: str
    ticket: int
    counters: Counters


@dataclass(frozen=True, slots=True)
class Stored:
    """One stored message as people look at it (`messages`, `message`)."""

    queue: str
    id: str
    state: State
    body: bytes
    counters: Counters
    pushed_ms: int
    due_ms: int | None
    history: tuple[bytes, ...]  # one JSON record per bad ending, oldest first (record.py)
    ended_ms: int | None = None  # since when it is failed or parked


@dataclass(frozen=True, slots=True)
class Counts:
    """How many messages of a queue stand where. `notices` are owed hooks, no messages.

    `expired`: how many were dropped so far because they had not begun in time.
    """

    inbox: int = 0
    waiting: int = 0
    delayed: int = 0
    reserved: int = 0
    timeout: int = 0
    failed: int = 0
    notices: int = 0
    expired: int = 0
