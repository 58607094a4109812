"""The outcome: how a run ended, as a value. policy.py turns it into a verdict."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Ending(StrEnum):
    """The ways in which a run can end. These words are public: history, events, status."""

    DONE = "done"
    RAISED = "raised"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"
    INTERRUPTED = "interrupted"
    RELEASED = "released"
    UNREADABLE = "unreadable"
    UNKNOWN_TASK = "unknown_task"
    CANCELLED = "cancelled"


class Outcome(msgspec.Struct, frozen=True):
    """How one run ended.

    `final`: no further attempt, whatever the policy says (Fail, fail_on, m.fail).
    `after_s`: the delay (seconds) that the handler asked for (Retry, m.release); None: the policy's.
    """

    ending: Ending
    error: str = ""
    traceback: str = ""
    final: bool = False
    after_s: float | None = None


DONE = Outcome(Ending.DONE)
