"""One run inside the process that pushes, for the sync driver: execute, judge, and the hook that is owed."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from procqueue.core.errors import BadArguments, Fail, TaskError
from procqueue.core.message import Reservation
from procqueue.core.outcome import Ending, Outcome
from procqueue.core.policy import judge
from procqueue.core.settings.model import QueueSettings
from procqueue.drivers.sync import Ran
from procqueue.tasks import registry
from procqueue.tasks.execute import Ended, Prepared, prepare, run, run_hook
from procqueue.tasks.failure import failure_of_run
from procqueue.tasks.listeners import is_heard
from procqueue.tasks.options import queue_policy
from procqueue.tasks.telling import tell_after, tell_before, tell_failure

_log = logging.getLogger("procqueue")


def executor(queue_settings: Callable[[str], QueueSettings]) -> Callable[[Reservation], Ran]:
    """Return what the sync driver calls for each run; `queue_settings` answers for a queue's name."""

    def execute(reservation: Reservation) -> Ran:
        began = time.monotonic()
        queue = queue_settings(reservation.queue)
        prepared = prepare(reservation, registry.find, queue)
        if isinstance(prepared, Outcome):
            ended, policy = Ended(prepared), queue_policy(queue)
        else:
            if is_heard("before_handle"):
                tell_before(prepared, "")
            ended, policy = _run(prepared), prepared.policy
        verdict = judge(ended.outcome, reservation.counters, policy, random.random())
        if verdict.is_final:
            counters = reservation.counters.charged(verdict.charge)
            failure = failure_of_run(reservation, ended.outcome, counters, exception=ended.exception)
            task = registry.find(failure.message.task)
            error = run_hook(task, failure, reservation.ticket) if task is not None else None
            if error is not None:  # law D11: it changes nothing for the message
                text = "event=hook_failed task=%s id=%s"
                _log.error(text, failure.message.task, reservation.id, exc_info=error)
            tell_failure(failure, reservation.ticket, time.monotonic() - began)
        elif isinstance(prepared, Prepared):
            tell_after(prepared, ended, verdict, "", time.monotonic() - began)
        return Ran(verdict, ended.exception or _exception(ended.outcome))

    return execute


def _run(prepared: Prepared) -> Ended:
    if prepared.task.is_async:
        from procqueue.tasks.awaiting import run_here  # only who runs such a handler pays for asyncio

        return run_here(prepared, prepared.message())
    return run(prepared, prepared.message())


def _exception(outcome: Outcome) -> BaseException | None:
    match outcome.ending:
        case Ending.DONE | Ending.RELEASED:
            return None
        case Ending.UNREADABLE:
            return BadArguments(outcome.error)
        case Ending.UNKNOWN_TASK:
            return TaskError(f"{outcome.error}: import the module that declares it before pushing")
        case _:
            return Fail(outcome.error)
