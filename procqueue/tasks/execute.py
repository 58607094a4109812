"""One run: from the bytes of a reservation to one outcome. `prepare` reads, `run` calls the handler.

Every way in which a handler can end is mapped to an Outcome here and nowhere else; what becomes of the
message is policy.judge's business. Nothing that a handler does leaves `run` as an exception. An `async def`
handler is awaited in awaiting.py.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import CoroutineType, TracebackType
from typing import Any

import msgspec

from procqueue.core import wire
from procqueue.core.errors import BadArguments, Fail, Retry, SoftTimeout
from procqueue.core.message import Reservation
from procqueue.core.outcome import DONE, Ending, Outcome
from procqueue.core.policy import Policy
from procqueue.core.record import MAX_ERROR, MAX_TRACEBACK
from procqueue.core.settings.model import QueueSettings
from procqueue.core.units import format_seconds
from procqueue.tasks.call import delay_seconds
from procqueue.tasks.context import Message, call
from procqueue.tasks.failure import Failure
from procqueue.tasks.middleware import surrounded
from procqueue.tasks.runnable import Runnable

FindTask = Callable[[str], Runnable | None]


class Prepared(msgspec.Struct):
    """A message that can be run: its task, its converted arguments, the policy in force."""

    reservation: Reservation
    task: Runnable
    args: list[Any]
    kwargs: dict[str, Any]
    policy: Policy
    meta: dict[str, Any]

    def message(
        self, stopping: Callable[[], bool] | None = None, extend: Callable[[float], None] | None = None
    ) -> Message:
        """Return what `current()` shall give the handler.

        `stopping` answers whether a soft stop was asked. `extend` gets seconds, and has to set the timers of
        this run anew, from now.
        """
        reservation, policy = self.reservation, self.policy
        attempt = reservation.counters.attempts + 1
        return Message(
            id=reservation.id,
            queue=reservation.queue,
            task=self.task.name,
            ticket=reservation.ticket,
            attempt=attempt,
            last=bool(policy.max_attempts) and attempt >= policy.max_attempts,
            crashes=reservation.counters.crashes,
            pushed_ms=reservation.pushed_ms,
            meta=self.meta,
            handle_timeout=policy.handle_timeout,
            stopping=stopping,
            extend=extend,
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended. `exception`: what left the handler, also where a recorded verdict stands over it.

    `result`: what it returned.
    """

    outcome: Outcome
    exception: BaseException | None = None
    result: Any = field(default=None, compare=False)


_DONE = Ended(DONE)


def prepare(reservation: Reservation, find_task: FindTask, queue: QueueSettings) -> Prepared | Outcome:
    """Read a reservation; `queue` are the settings of the queue that the message came from.

    Returns the outcome UNREADABLE or UNKNOWN_TASK where there is nothing to run; the policy for these is
    options.queue_policy(queue).
    """
    try:
        document = wire.decode(reservation.body)
    except wire.Unreadable as error:
        return Outcome(Ending.UNREADABLE, error=str(error))
    task = find_task(document.task)
    if task is None:
        return Outcome(Ending.UNKNOWN_TASK, error=f"no task is named {document.task!r} here")
    try:
        args, kwargs = task.arguments.bind(document)
    except BadArguments as error:
        return Outcome(Ending.UNREADABLE, error=f"{task.name}: {error}")
    return Prepared(reservation, task, args, kwargs, task.policy(queue), document.meta)


def run(prepared: Prepared, message: Message) -> Ended:
    """Call the handler, a `def`, as `message`, and return how that ended. Raises nothing."""
    try:
        function = surrounded(message, prepared.task.function)
        result = call(message, function, prepared.args, prepared.kwargs)
    except BaseException as error:  # SystemExit, KeyboardInterrupt and GeneratorExit too: none is ours
        return ended_by(error, message, prepared)
    return ended_with(result, message)


def ended_by(error: BaseException, message: Message, prepared: Prepared) -> Ended:
    """Return how a run ended whose handler has raised."""
    try:
        return _left_by(error, message, prepared)
    except Exception:  # an exception whose own code fails when it is looked at
        return Ended(message.verdict or Outcome(Ending.RAISED, error=type(error).__qualname__), error)


def ended_with(result: Any, message: Message) -> Ended:
    """Return how a run ended whose handler has returned."""
    if message.verdict is not None:
        return Ended(message.verdict)
    if type(result) is CoroutineType:
        result.close()
        return Ended(Outcome(Ending.RAISED, error="the handler returned a coroutine, which nobody would run"))
    return _DONE if result is None else Ended(DONE, None, result)


def message_of(failure: Failure, ticket: int, verdict: Outcome) -> Message:
    """Return the message of a failure as hooks and listeners see it: `verdict` stands already."""
    failed = failure.message
    return Message(
        id=failed.id,
        queue=failed.queue,
        task=failed.task,
        ticket=ticket,
        attempt=max(1, failed.attempts),
        last=True,
        crashes=failed.crashes,
        pushed_ms=int(failed.pushed_at.timestamp() * 1000),
        verdict=verdict,
    )


def run_hook(task: Runnable, failure: Failure, ticket: int) -> BaseException | None:
    """Call the task's `on_failed`, if it has one; return what it raised. It can decide nothing any more."""
    if task.failed_hook is None:
        return None
    message = message_of(failure, ticket, Outcome(failure.outcome, error=failure.error, final=True))
    try:
        call(message, task.failed_hook, (failure,), {})
    except BaseException as error:
        return error
    return None


def _left_by(error: BaseException, message: Message, prepared: Prepared) -> Ended:
    error = error.with_traceback(_from_handler(error.__traceback__))
    if message.verdict is not None:
        return Ended(message.verdict, error)
    final = False
    after = None
    text = _text(error)
    if message.timed_out or isinstance(error, SoftTimeout):
        ending = Ending.CANCELLED if message.cancelled else Ending.TIMED_OUT
        if message.cancelled:
            text = "cancelled while it ran"
        elif not isinstance(error, SoftTimeout):
            limit = format_seconds(prepared.policy.handle_timeout)
            text = f"the handle_timeout of {limit} has passed; then {text}"
    else:
        ending = Ending.RAISED
        match error:
            case Retry():
                after, text = _asked(error, text)
            case Fail():
                final, text = True, str(error.reason)
            case _:
                final = prepared.task.options.is_final(error)
    outcome = Outcome(ending, text[:MAX_ERROR], _traceback(error), final, after)
    return Ended(outcome, error)


def _asked(error: Retry, text: str) -> tuple[float | None, str]:
    """Return the delay that a Retry asks for, and the error's text."""
    if error.after is None:
        return None, "Retry()"
    try:
        return delay_seconds(error.after), text
    except (TypeError, ValueError) as wrong:  # nobody is left to tell but the record
        return None, f"{text}: {wrong}"


def _text(error: BaseException) -> str:
    """Return "ValueError: text" as the last line of a traceback has it, whatever the exception does."""
    try:
        text = "".join(traceback.format_exception_only(error)).strip()
    except Exception as second:
        text = f"{type(error).__qualname__} (its text cannot be had: {type(second).__qualname__})"
    return text


def _from_handler(trace: TracebackType | None) -> TracebackType | None:
    """Return the traceback without the frames of `run` and `call`."""
    handler = trace.tb_next.tb_next if trace is not None and trace.tb_next is not None else None
    return handler or trace


def _traceback(error: BaseException) -> str:
    try:
        told = traceback.TracebackException.from_exception(error)
        if isinstance(error, SoftTimeout):
            _cut_after_handler(told)
        text = "".join(told.format())
    except Exception:  # a text that cannot be had, sources that cannot be read
        return ""
    return text if len(text) <= MAX_TRACEBACK else f"…{text[1 - MAX_TRACEBACK :]}"


def _cut_after_handler(told: traceback.TracebackException) -> None:
    """Take away the frames of the signal handler: what is wanted is where the handler stood."""
    stack = told.stack
    while len(stack) > 1 and stack[-1].filename.startswith(_PACKAGE):
        stack.pop()


_PACKAGE = f"{Path(__file__).parent.parent}/"
