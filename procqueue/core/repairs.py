"""Repairs: what is done about a store that lost messages, forgot who is there, or came back older.

Only the kinds, for counting and for people: the work is done where it is noticed (law D13).
"""

from __future__ import annotations

from enum import StrEnum


class Repair(StrEnum):
    """What was noticed, and put right as far as it can be. The values are keys of `status --json`."""

    WENT_BACK = "went_back"  # a queue whose beat was lower than we had raised it: older, or empty
    REGISTERED_ANEW = "registered_anew"  # a consumer that the store had never heard of
    REFUSED = "refused"  # a settlement of a finished run: the message is lost, or will run again
    DROPPED = "dropped"  # a message in hand, not begun, that is not its consumer's any more
    RETURNED = "returned"  # a reservation that came back although its consumer does not hold it
    RECLAIMED = "reclaimed"  # a registered consumer that does not live, and of whose death nobody had told
