"""The verdict: what becomes of a reserved message, and its 8-byte form on the board.

Whoever decides (policy.py, fate.py) returns a Verdict; whoever stores (the drivers) carries it out and
decides nothing. The packed form is one word so that it can be written and read without tearing (law S7).
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from procqueue.core.message import Change, Charge


class Kind(IntEnum):
    """What becomes of the message. The numbers are stored on boards: append, never renumber."""

    ACK = 1  # done: gone
    RETURN = 2  # back to the head: it was not its fault
    RELEASE = 3  # back to the tail, or to delayed
    FAIL = 4
    PARK = 5  # to `timeout`


#: The order is stored on boards: append, never renumber.
CHARGES = (Charge.NONE, Charge.ATTEMPT, Charge.CRASH, Charge.SUSPECT, Charge.INTERRUPT, Charge.RELEASE)

_MAX_DELAY_MS = (1 << 48) - 1
_FINAL = (Kind.FAIL, Kind.PARK)


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of a message, which counter it costs, and how long it waits (ms, RELEASE only)."""

    kind: Kind
    charge: Charge = Charge.NONE
    delay_ms: int = 0

    @property
    def change(self) -> Change:
        """The change of state that this verdict asks for."""
        match self.kind:
            case Kind.ACK:
                return Change.ACK
            case Kind.RETURN:
                return Change.RETURN
            case Kind.RELEASE:
                return Change.RELEASE_LATER if self.delay_ms else Change.RELEASE
            case Kind.FAIL:
                return Change.FAIL
            case Kind.PARK:
                return Change.PARK

    @property
    def is_final(self) -> bool:
        """True where nobody will run the message again unless a person asks for it."""
        return self.kind in _FINAL

    def pack(self) -> int:
        """Return it as one word below 2**64: delay in the upper 48 bits, charge, kind."""
        delay = min(self.delay_ms, _MAX_DELAY_MS)
        return delay << 16 | CHARGES.index(self.charge) << 8 | int(self.kind)

    @classmethod
    def unpack(cls, word: int) -> Verdict:
        """Read what `pack` wrote. Raises ValueError on anything else."""
        charge = word >> 8 & 0xFF
        if charge >= len(CHARGES):
            raise ValueError(f"no verdict: {word:#x}")
        return cls(Kind(word & 0xFF), CHARGES[charge], word >> 16)


ACK = Verdict(Kind.ACK)
#: Not begun: back to the head as if it had never been taken.
UNTOUCHED = Verdict(Kind.RETURN)
INTERRUPTED = Verdict(Kind.RETURN, Charge.INTERRUPT)
SUSPECTED = Verdict(Kind.RETURN, Charge.SUSPECT)


class Settlement(msgspec.Struct, frozen=True):
    """One verdict on its way to the driver.

    `record`: a line of JSON for the message's history, b"" for none. `owes`: the header of the notice
    that the same atomic step leaves behind (law D15), b"" for none.
    """

    id: str
    ticket: int
    verdict: Verdict
    record: bytes = b""
    owes: bytes = b""
