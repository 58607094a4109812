"""What runs, inline: one message at a time on the main thread, from reservation to settlement.

Before anything of the message is touched, the board says RUNNING, with the verdicts of what may end the run
(law S7); right after the handler it says how the message ended. The soft timeout is SIGALRM, and comes only
while user code runs; what does not hear it is killed at the deadline by the master (ending.py), or, if nobody
is left to do it, by the kernel (lastresort.py).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from types import FrameType

from procqueue.core.message import NO_COUNTERS, Charge, Counters
from procqueue.core.outcome import Ending, Outcome
from procqueue.core.policy import Policy, if_dead, if_interrupted, if_killed, judge
from procqueue.core.record import Record, dropped_for, is_event, read_event
from procqueue.core.settings.model import QueueSettings, Settings
from procqueue.core.verdict import ACK, Kind, Settlement, Verdict
from procqueue.process.board import Board
from procqueue.process.consumer.alarm import Alarm
from procqueue.process.consumer.intake import Held
from procqueue.process.consumer.lastresort import LastResort
from procqueue.process.consumer.tidy import Tidy
from procqueue.process.consumer.wake import Interrupts
from procqueue.process.log import Log
from procqueue.tasks import registry
from procqueue.tasks.context import deliver_timeout
from procqueue.tasks.execute import Ended, Prepared, prepare, run, run_hook
from procqueue.tasks.failure import Failure, failure_of_notice, failure_of_run, task_named
from procqueue.tasks.listeners import is_heard
from procqueue.tasks.options import queue_policy
from procqueue.tasks.runnable import Runnable
from procqueue.tasks.telling import (
    is_failure_heard,
    is_run_heard,
    tell_after,
    tell_before,
    tell_dropped,
    tell_failure,
    tell_of_notice,
)

#: The deadline that was written with the claim holds if no more seconds went into reading the message.
_AT_ONCE = 0.001

#: What was cancelled before its handler began.
_NOT_BEGUN = Ended(Outcome(Ending.CANCELLED, error="cancelled before it began"))


class Maimed(RuntimeError):
    """The process cannot go on. How its message ended stands on the board; the scheduler settles it."""


class InlineExecutor:
    """Runs one message after the other. `timed_out` is True once a soft timeout was raised (law D14)."""

    def __init__(
        self,
        settings: Settings,
        consumer: str,
        board: Board,
        interrupts: Interrupts,
        last_resort: LastResort,
        log: Log,
    ) -> None:
        self._settings = settings
        self._consumer = consumer
        self._board = board
        self._interrupts = interrupts
        self._last_resort = last_resort
        self._log = log
        self._policies = {name: queue_policy(queue) for name, queue in settings.queues.items()}
        self._verdicts: dict[int, tuple[Policy, tuple[int, int, int]]] = {}
        self._began = 0.0  # what runs
        self.timed_out = False
        self._running: Held | None = None  # whose handler runs
        self._alarm = Alarm()
        self._tidy = Tidy(interrupts, self._alarm, self._on_alarm, self._on_cancel)

    def expect(self, held: Held) -> None:
        """Write what becomes of a message that ends this process, as far as its queue's settings say."""
        self._expect(held, self._policies[held.reservation.queue])

    def rest(self) -> None:
        """Be ready for a call of the driver: no timer runs, and nothing of what user code did is left."""
        self._last_resort.rest()
        self._tidy.look()
        if self._tidy.maimed:
            raise Maimed("the handler closed the descriptors of its consumer")

    def run(self, held: Held) -> Settlement:
        """Run one claimed reservation to its settlement."""
        if held.reservation.is_notice:
            return self._pay_notice(held)
        self._began = time.monotonic()
        prepared = prepare(held.reservation, registry.find, self._queue(held))
        if isinstance(prepared, Outcome):
            return self._settle(held, Ended(prepared), None, self._policies[held.reservation.queue])
        policy = prepared.policy
        if policy != self._policies[held.reservation.queue] or time.monotonic() - self._began > _AT_ONCE:
            self._expect(held, policy)  # else `expect` has just written the same
        self._board.describe(
            held.queue, held.slot, int(self._began * 1000), held.reservation.id, prepared.task.name
        )
        message = prepared.message(self._is_stopping, lambda seconds: self._arm(held, policy, seconds))
        if is_heard("before_handle"):
            self._tell_listeners(held, policy, lambda: tell_before(prepared, self._consumer))
            self._arm(held, policy, policy.handle_timeout)
        else:
            self._alarm.set(policy.handle_timeout)
        self._running = held
        ended = _NOT_BEGUN if self._is_cancelled(held) else run(prepared, message)
        self._tidy.after(prepared.task.name, self._began)
        self._running = None
        return self._settle(held, ended, prepared, policy)

    # verdicts, before and after

    def _expect(self, held: Held, policy: Policy) -> None:
        counters = held.reservation.counters
        if counters == NO_COUNTERS:
            _, words = self._verdicts.get(id(policy), (policy, ()))
            if not words:
                words = _words(policy, NO_COUNTERS)
                self._verdicts[id(policy)] = policy, words  # who is kept here keeps its id() for itself
        else:
            words = _words(policy, counters)
        self._board.prepare(held.queue, held.slot, self._deadline(policy, policy.handle_timeout), *words)

    def _deadline(self, policy: Policy, seconds: float) -> int:
        """Return the deadline (monotonic ms) of what has `seconds` from now; the kernel is told too."""
        patience = seconds + policy.kill_after if seconds else 0.0
        self._last_resort.within(patience)
        return int((time.monotonic() + patience) * 1000) if seconds else 0

    def _settle(self, held: Held, ended: Ended, prepared: Prepared | None, policy: Policy) -> Settlement:
        reservation, outcome = held.reservation, ended.outcome
        verdict = judge(outcome, reservation.counters, policy, random.random())
        record = b""
        if verdict == ACK:
            if self._log.is_debugging:
                self._log.debug("done", queue=reservation.queue, id=reservation.id)
        else:
            self._tidy.look()  # who did not come to his end is the most likely to have left something
            record = self._record(held, outcome)
            self._tell(held, outcome, verdict, prepared)
        final = verdict.is_final
        if final and outcome.ending is not Ending.CANCELLED:
            self._run_hook(held, ended, verdict, prepared, policy)
        self._end(held, verdict)
        if prepared is not None and not final and is_run_heard():
            took = time.monotonic() - self._began
            self._tell_listeners(
                held, policy, lambda: tell_after(prepared, ended, verdict, self._consumer, took)
            )
        return Settlement(reservation.id, reservation.ticket, verdict, record)

    def _end(self, held: Held, verdict: Verdict) -> None:
        self._board.end(held.queue, held.slot, held.reservation.ticket, verdict.pack())
        if self._tidy.maimed:
            raise Maimed("the handler closed the descriptors of its consumer")

    def _run_hook(
        self, held: Held, ended: Ended, verdict: Verdict, prepared: Prepared | None, policy: Policy
    ) -> None:
        """Run on_failed and listeners here, where the exception is; if this process dies, owe them (D15)."""
        one = held.reservation
        task = prepared.task if prepared is not None else registry.find(task_named(one.body))
        hook = task is not None and task.failed_hook is not None
        if not (hook or is_failure_heard()):
            return
        self._arm(held, policy, policy.handle_timeout)
        self._board.end(held.queue, held.slot, one.ticket, verdict.pack(), owing=True)
        counters = one.counters.charged(verdict.charge)
        failure = failure_of_run(
            one, ended.outcome, counters, exception=ended.exception, consumer=self._consumer
        )
        if task is not None and hook:
            self._call_hook(task, failure, one.ticket)
        if is_failure_heard():
            took = time.monotonic() - self._began
            self._tell_listeners(held, policy, lambda: tell_failure(failure, one.ticket, took))

    def _pay_notice(self, held: Held) -> Settlement:
        """Run the hook that a message's death elsewhere left behind."""
        one = held.reservation
        policy = self._policies[one.queue]
        verdict = ACK
        if is_event(one.id):
            self._hear_event(held, policy)
            self._end(held, verdict)
            return Settlement(one.id, one.ticket, verdict)
        if reason := dropped_for(one.body):
            self._log.info("dropped", queue=one.queue, id=one.id[1:].rpartition(":")[0], reason=reason)
            self._tell_listeners(held, policy, lambda: tell_dropped(one, reason))
            self._end(held, verdict)
            return Settlement(one.id, one.ticket, verdict)
        try:
            failure = failure_of_notice(one)
        except ValueError as error:
            self._log.error("notice_unreadable", id=one.id, text=str(error))
        else:
            task = registry.find(failure.message.task)
            self._board.describe(
                held.queue, held.slot, int(time.monotonic() * 1000), failure.message.id,
                f"{failure.message.task} on_failed",
            )  # fmt: skip
            if task is not None and not self._call_hook_under_alarm(task, failure, one.ticket, policy):
                tried_enough = one.counters.crashes + 1 >= policy.max_crashes
                verdict = ACK if tried_enough else Verdict(Kind.RELEASE, Charge.CRASH)
            if verdict == ACK and is_failure_heard():
                self._tell_listeners(held, policy, lambda: tell_failure(failure, one.ticket, None))
        self._end(held, verdict)
        return Settlement(one.id, one.ticket, verdict)

    def _hear_event(self, held: Held, policy: Policy) -> None:
        one = held.reservation
        try:
            event = read_event(one.body)
        except ValueError as error:
            self._log.error("notice_unreadable", id=one.id, text=str(error))
            return
        self._tell_listeners(held, policy, lambda: tell_of_notice(event))

    def _call_hook_under_alarm(self, task: Runnable, failure: Failure, ticket: int, policy: Policy) -> bool:
        self._alarm.set(policy.handle_timeout)
        return self._call_hook(task, failure, ticket)

    def _call_hook(self, task: Runnable, failure: Failure, ticket: int) -> bool:
        error = run_hook(task, failure, ticket)
        self._tidy.after("", self._began)
        if error is not None:
            self._log.error("on_failed_raised", task=task.name, id=failure.message.id, error=repr(error))
        return error is None

    def _tell_listeners(self, held: Held, policy: Policy, tell: Callable[[], None]) -> None:
        """Let listeners hear, with a handle_timeout of their own."""
        self._arm(held, policy, policy.handle_timeout)
        tell()
        self._tidy.after("", self._began)

    # timers

    def _arm(self, held: Held, policy: Policy, seconds: float) -> None:
        """Give the run `seconds` from now: the deadline first, so that it can only be late."""
        self._board.set_deadline(held.queue, held.slot, self._deadline(policy, seconds))
        self._alarm.set(seconds)

    def _on_alarm(self, _signum: int, frame: FrameType | None) -> None:
        if not self._alarm.is_due():
            return
        try:
            deliver_timeout(frame)
        except BaseException:
            self.timed_out = True
            raise

    def _on_cancel(self, _signum: int, frame: FrameType | None) -> None:
        if self._running is None or not self._is_cancelled(self._running):
            return  # meant for one that has ended
        try:
            deliver_timeout(frame, cancelled=True)
        except BaseException:
            self.timed_out = True
            raise

    def _is_stopping(self) -> bool:
        return self._interrupts.stopping

    def _is_cancelled(self, held: Held) -> bool:
        return self._board.is_cancelled(held.queue, held.slot, held.reservation.ticket)

    # telling

    def _queue(self, held: Held) -> QueueSettings:
        return self._settings.queues[held.reservation.queue]

    def _record(self, held: Held, outcome: Outcome) -> bytes:
        elapsed = time.monotonic() - held.at
        return Record(
            held.now_ms, elapsed, self._consumer, held.reservation.ticket, outcome.ending, outcome.error,
            outcome.traceback,
        ).encode()  # fmt: skip

    def _tell(self, held: Held, outcome: Outcome, verdict: Verdict, prepared: Prepared | None) -> None:
        event = outcome.ending.value
        if outcome.ending is not Ending.CANCELLED:
            event = {Kind.FAIL: "failed", Kind.PARK: "parked"}.get(verdict.kind, event)
        say = self._log.warning if verdict.is_final else self._log.info
        say(
            event, queue=held.reservation.queue, id=held.reservation.id,
            task=prepared.task.name if prepared else None,
            attempt=held.reservation.counters.attempts + 1,
            again_in=verdict.delay_ms / 1000 if verdict.kind is Kind.RELEASE else None,
            error=outcome.error or None,
        )  # fmt: skip


def _words(policy: Policy, counters: Counters) -> tuple[int, int, int]:
    killed = if_killed(counters, policy, 0.5)
    return killed.pack(), if_dead(counters, policy).pack(), if_interrupted(policy).pack()
