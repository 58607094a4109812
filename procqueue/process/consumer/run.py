"""What one run is, wherever it is carried out: from a claimed reservation to its settlement.

Before anything of the message is touched, the board says RUNNING, with the verdicts of what may end the run
(law S7); right after the handler it says how the message ended. Where handlers run is the business of the
places: inline.py, threads.py, loop.py; when they are told that their time is over, that of clock.py. What
does not hear it is killed at the deadline by the master (ending.py), or, if nobody is left, by the kernel.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from procqueue.core.message import NO_COUNTERS, Charge, Counters
from procqueue.core.outcome import Ending, Outcome
from procqueue.core.policy import Policy, if_dead, if_interrupted, if_killed, judge
from procqueue.core.record import Record, dropped_for, is_event, read_event
from procqueue.core.settings.model import QueueSettings, Settings
from procqueue.core.verdict import ACK, Kind, Settlement, Verdict
from procqueue.process.board import Board
from procqueue.process.consumer.clock import Clock, Run
from procqueue.process.consumer.intake import Held
from procqueue.process.log import Log
from procqueue.tasks import registry
from procqueue.tasks.context import Message
from procqueue.tasks.execute import Ended, Prepared, prepare, run_hook
from procqueue.tasks.execute import run as call_handler
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

_ACK_WORD = ACK.pack()

#: What was cancelled before its handler began.
_NOT_BEGUN = Ended(Outcome(Ending.CANCELLED, error="cancelled before it began"))


class Runs:
    """Carries runs out. `stopping` answers whether a soft stop was asked. Any thread may run any of them."""

    def __init__(
        self,
        settings: Settings,
        consumer: str,
        board: Board,
        clock: Clock,
        stopping: Callable[[], bool],
        log: Log,
    ) -> None:
        self._settings = settings
        self._consumer = consumer
        self._board = board
        self._clock = clock
        self._stopping = stopping
        self._log = log
        self._policies = {name: queue_policy(queue) for name, queue in settings.queues.items()}
        self._verdicts: dict[int, tuple[Policy, tuple[int, int, int]]] = {}

    def expect(self, held: Held) -> None:
        """Write what becomes of a message that ends this process, as far as its queue's settings say."""
        self._expect(held, self._policies[held.reservation.queue])

    def begin(self, held: Held, began: float) -> tuple[Prepared | Outcome | None, Policy]:
        """Read one claimed reservation, and write what becomes of it as its task says; None: a notice.

        `began`: the monotonic moment.
        """
        usual = self._policies[held.reservation.queue]
        if held.reservation.is_notice:
            return None, usual
        prepared = prepare(held.reservation, registry.find, self._queue(held))
        if isinstance(prepared, Outcome):
            return prepared, usual
        policy = prepared.policy
        if policy != usual or time.monotonic() - began > _AT_ONCE:
            self._expect(held, policy)  # else `expect` has just written the same
        self._board.describe(
            held.queue, held.slot, int(began * 1000), held.reservation.id, prepared.task.name
        )
        return prepared, policy

    def carry_out(self, run: Run) -> None:
        """Run it to its settlement."""
        prepared = run.prepared
        if prepared is None:
            settlement = self._pay_notice(run)
        elif isinstance(prepared, Outcome):
            settlement = self._settle(run, Ended(prepared))
        else:
            message = self._ready(run, prepared)
            ended = call_handler(prepared, message) if message is not None else _NOT_BEGUN
            self._come_back(run, prepared.task.name)
            settlement = self._settle(run, ended)
        run.settlement = settlement

    async def acarry_out(self, run: Run) -> None:
        """Run an `async def` handler to its settlement, in a task of its own."""
        from procqueue.tasks.awaiting import arun  # an inline consumer never needs asyncio

        prepared = run.prepared
        assert isinstance(prepared, Prepared)
        message = self._ready(run, prepared)
        ended = await arun(prepared, message) if message is not None else _NOT_BEGUN
        self._come_back(run, prepared.task.name)
        run.settlement = self._settle(run, ended)

    # the handler

    def _ready(self, run: Run, prepared: Prepared) -> Message | None:
        """Do all that comes before the handler; None if somebody has cancelled the message."""
        message = run.message = prepared.message(
            self._stopping, lambda seconds: self._clock.give(run, seconds)
        )
        if is_heard("before_handle"):
            self._tell_listeners(run, lambda: tell_before(prepared, self._consumer))
            self._clock.give(run, run.policy.handle_timeout)
        else:
            self._clock.wake(run, run.policy.handle_timeout)
        run.is_handling = True
        return None if self._clock.is_cancelled(run) else message

    def _come_back(self, run: Run, task: str = "") -> None:
        """Come back from user code; `task`: whose handler it was, "" for what is never trusted."""
        run.is_handling = False
        self._clock.end(run)
        run.place.come_back(run.began, task)

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
        self._board.prepare(held.queue, held.slot, self._clock.expect(policy), *words)

    def _settle(self, run: Run, ended: Ended) -> Settlement:
        held, policy = run.held, run.policy
        prepared = run.prepared if isinstance(run.prepared, Prepared) else None
        reservation, outcome = held.reservation, ended.outcome
        verdict = judge(outcome, reservation.counters, policy, random.random())
        record = b""
        is_final = False
        if verdict == ACK:
            if self._log.is_debugging:
                self._log.debug("done", queue=reservation.queue, id=reservation.id)
            self._board.end(held.queue, held.slot, reservation.ticket, _ACK_WORD)
        else:
            # Who did not come to his end is the most likely to have left something.
            run.place.come_back(run.began, "")
            is_final = verdict.is_final
            record = self._record(held, outcome)
            self._tell(held, outcome, verdict, prepared)
            if is_final and outcome.ending is not Ending.CANCELLED:
                self._run_hook(run, ended, verdict, prepared)
            self._end(held, verdict)
        if prepared is not None and not is_final and is_run_heard():
            took = time.monotonic() - run.began
            self._tell_listeners(run, lambda: tell_after(prepared, ended, verdict, self._consumer, took))
        return Settlement(reservation.id, reservation.ticket, verdict, record)

    def _end(self, held: Held, verdict: Verdict) -> None:
        self._board.end(held.queue, held.slot, held.reservation.ticket, verdict.pack())

    def _run_hook(self, run: Run, ended: Ended, verdict: Verdict, prepared: Prepared | None) -> None:
        """Run on_failed and listeners here, where the exception is; if this process dies, owe them (D15)."""
        held, one = run.held, run.held.reservation
        task = prepared.task if prepared is not None else registry.find(task_named(one.body))
        hook = task is not None and task.failed_hook is not None
        if not (hook or is_failure_heard()):
            return
        self._clock.give(run, run.policy.handle_timeout)
        self._board.end(held.queue, held.slot, one.ticket, verdict.pack(), owing=True)
        counters = one.counters.charged(verdict.charge)
        failure = failure_of_run(
            one, ended.outcome, counters, exception=ended.exception, consumer=self._consumer
        )
        if task is not None and hook:
            self._call_hook(run, task, failure)
        if is_failure_heard():
            took = time.monotonic() - run.began
            self._tell_listeners(run, lambda: tell_failure(failure, one.ticket, took))

    def _pay_notice(self, run: Run) -> Settlement:
        """Run the hook that a message's death elsewhere left behind."""
        held, one = run.held, run.held.reservation
        verdict = ACK
        if is_event(one.id):
            self._hear_event(run)
            self._end(held, verdict)
            return Settlement(one.id, one.ticket, verdict)
        if reason := dropped_for(one.body):
            self._log.info("dropped", queue=one.queue, id=one.id[1:].rpartition(":")[0], reason=reason)
            self._tell_listeners(run, lambda: tell_dropped(one, reason))
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
            self._clock.wake(run, run.policy.handle_timeout)
            if task is not None and not self._call_hook(run, task, failure):
                tried_enough = one.counters.crashes + 1 >= run.policy.max_crashes
                verdict = ACK if tried_enough else Verdict(Kind.RELEASE, Charge.CRASH)
            if verdict == ACK and is_failure_heard():
                self._tell_listeners(run, lambda: tell_failure(failure, one.ticket, None))
        self._end(held, verdict)
        return Settlement(one.id, one.ticket, verdict)

    def _hear_event(self, run: Run) -> None:
        one = run.held.reservation
        try:
            event = read_event(one.body)
        except ValueError as error:
            self._log.error("notice_unreadable", id=one.id, text=str(error))
            return
        self._tell_listeners(run, lambda: tell_of_notice(event))

    def _call_hook(self, run: Run, task: Runnable, failure: Failure) -> bool:
        error = run_hook(task, failure, run.held.reservation.ticket)
        self._come_back(run)
        if error is not None:
            self._log.error("on_failed_raised", task=task.name, id=failure.message.id, error=repr(error))
        return error is None

    def _tell_listeners(self, run: Run, tell: Callable[[], None]) -> None:
        """Let listeners hear, with a handle_timeout of their own."""
        self._clock.give(run, run.policy.handle_timeout)
        tell()
        self._come_back(run)

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
