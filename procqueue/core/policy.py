"""Who decides: one function from an outcome and the counters to a verdict, and the verdicts of deaths.

Retry, crash and timeout share this policy; drivers hold none. It is also asked *before* a run: the board
carries what becomes of the message if its process is killed at the deadline, dies, or is stopped, so that
neither scheduler nor undertaker needs the application (law S7). Randomness comes in as `draw` in [0, 1).
"""

from __future__ import annotations

from typing import Protocol, assert_never

import msgspec

from procqueue.core.message import Charge, Counters
from procqueue.core.outcome import Ending, Outcome
from procqueue.core.settings.model import OnTimeout, RetryDelays
from procqueue.core.verdict import ACK, INTERRUPTED, Kind, Verdict

#: What an unknown task waits before each further look, in seconds; the last repeats.
UNKNOWN_TASK_DELAYS = (1, 2, 4, 8, 16, 30)

#: A message that was suspected this often fails: its neighbours are not that unlucky (law D7).
MAX_SUSPECTS = 10


class Policy(msgspec.Struct, frozen=True):
    """What the task, its queue and the defaults together say about bad endings."""

    max_attempts: int  # 0: forever
    retry_seconds: RetryDelays
    max_crashes: int
    on_timeout: OnTimeout
    handle_timeout: float  # seconds; 0: off
    kill_after: float
    unknown_task_wait: float

    @property
    def begins_once(self) -> bool:
        """True if the message must not be begun a second time, whatever ends the first run."""
        return begins_once(self)


class _Limits(Protocol):
    """What a policy and a queue's settings have in common."""

    @property
    def max_attempts(self) -> int: ...
    @property
    def max_crashes(self) -> int: ...
    @property
    def on_timeout(self) -> OnTimeout: ...


def begins_once(limits: _Limits) -> bool:
    """Return True for a policy, or a queue, whose messages must not be begun a second time."""
    return limits.max_attempts == 1 and limits.max_crashes == 1 and limits.on_timeout is OnTimeout.FAIL


def judge(outcome: Outcome, counters: Counters, policy: Policy, draw: float = 0.5) -> Verdict:
    """Return what becomes of a message whose run ended as `outcome`; `counters` are those before it."""
    match outcome.ending:
        case Ending.DONE:
            return ACK
        case Ending.RAISED:
            return _after_attempt(outcome, counters, policy, draw)
        case Ending.TIMED_OUT:
            return _after_timeout(outcome, counters, policy, draw)
        case Ending.CRASHED:
            return if_dead(counters, policy)
        case Ending.INTERRUPTED:
            return if_interrupted(policy)
        case Ending.RELEASED:
            return Verdict(Kind.RELEASE, Charge.RELEASE, _ms(outcome.after_s or 0))
        case Ending.CANCELLED:  # the store removes it, if it still knows that it was cancelled
            return if_interrupted(policy)
        case Ending.UNREADABLE:
            return Verdict(Kind.FAIL, Charge.ATTEMPT)
        case Ending.UNKNOWN_TASK:
            return _after_unknown_task(counters, policy)
        case _:
            assert_never(outcome.ending)


def if_killed(counters: Counters, policy: Policy, draw: float = 0.5) -> Verdict:
    """Return the verdict for a run that is killed at its deadline."""
    return _after_timeout(Outcome(Ending.TIMED_OUT), counters, policy, draw)


def if_dead(counters: Counters, policy: Policy) -> Verdict:
    """Return the verdict for a message whose process died while it ran alone."""
    failed = counters.crashes + 1 >= policy.max_crashes
    return Verdict(Kind.FAIL if failed else Kind.RETURN, Charge.CRASH)


def if_interrupted(policy: Policy) -> Verdict:
    """Return the verdict for a begun run that we ended: stop, reload, scale, or a neighbour's hard kill."""
    return Verdict(Kind.FAIL, Charge.INTERRUPT) if policy.begins_once else INTERRUPTED


def _after_attempt(outcome: Outcome, counters: Counters, policy: Policy, draw: float) -> Verdict:
    attempt = counters.attempts + 1
    if outcome.final or (policy.max_attempts and attempt >= policy.max_attempts):
        return Verdict(Kind.FAIL, Charge.ATTEMPT)
    after = outcome.after_s
    if after is None:
        after = policy.retry_seconds.delay(counters.attempts, draw)
    return Verdict(Kind.RELEASE, Charge.ATTEMPT, _ms(after))


def _after_timeout(outcome: Outcome, counters: Counters, policy: Policy, draw: float) -> Verdict:
    match policy.on_timeout:
        case OnTimeout.RETRY:
            return _after_attempt(outcome, counters, policy, draw)
        case OnTimeout.PARK:
            return Verdict(Kind.PARK, Charge.ATTEMPT)
        case OnTimeout.FAIL:
            return Verdict(Kind.FAIL, Charge.ATTEMPT)
        case _:
            assert_never(policy.on_timeout)


def _after_unknown_task(counters: Counters, policy: Policy) -> Verdict:
    looks = counters.releases
    last = len(UNKNOWN_TASK_DELAYS) - 1
    waited = sum(UNKNOWN_TASK_DELAYS[min(look, last)] for look in range(min(looks, 100_000)))
    if waited >= policy.unknown_task_wait:
        return Verdict(Kind.FAIL, Charge.ATTEMPT)
    return Verdict(Kind.RELEASE, Charge.RELEASE, UNKNOWN_TASK_DELAYS[min(looks, last)] * 1000)


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
