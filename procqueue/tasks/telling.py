"""Which events listeners hear of: of a run that ended here, of a notice (law D15), of a consumer."""

from __future__ import annotations

from procqueue.core.message import Reservation
from procqueue.core.outcome import DONE, Ending
from procqueue.core.record import EventNotice
from procqueue.core.verdict import Kind, Verdict
from procqueue.tasks.context import Message
from procqueue.tasks.execute import Ended, Prepared, message_of
from procqueue.tasks.failure import Failure, task_named
from procqueue.tasks.listeners import NAMES, Event, Name, is_heard, tell

_FINAL: tuple[Name, ...] = ("failed_handle", "timeout_handle")


def tell_before(prepared: Prepared, consumer: str) -> None:
    """Tell that a handler is about to begin."""
    message = _witness(prepared)
    tell(Event("before_handle", message, message.task, message.queue, consumer))


def is_run_heard() -> bool:
    """Return whether anybody hears of runs whose message is handled, or will run again."""
    return is_heard("after_handle", "retry_handle", "timeout_handle")


def is_failure_heard() -> bool:
    """Return whether anybody hears of messages that are not run again."""
    return is_heard(*_FINAL)


def tell_after(prepared: Prepared, ended: Ended, verdict: Verdict, consumer: str, seconds: float) -> None:
    """Tell how a run ended whose message is handled, or will run again."""
    ending = ended.outcome.ending
    names: list[Name] = []
    if ending is Ending.DONE:
        names = ["after_handle"]
    elif verdict.kind is Kind.RELEASE and ending in (Ending.RAISED, Ending.TIMED_OUT):
        names = ["timeout_handle", "retry_handle"] if ending is Ending.TIMED_OUT else ["retry_handle"]
    if not (names and is_heard(*names)):
        return
    message = _witness(prepared)
    for name in names:
        tell(
            Event(
                name, message, message.task, message.queue, consumer, ended.exception, ended.result, seconds,
                error=ended.outcome.error,
            )
        )  # fmt: skip


def tell_failure(failure: Failure, ticket: int, seconds: float | None) -> None:
    """Tell that a message is not run again, wherever that was decided."""
    if not is_failure_heard():
        return
    failed = failure.message
    message = message_of(failure, ticket, DONE)
    names: tuple[Name, ...] = _FINAL if failure.outcome is Ending.TIMED_OUT else ("failed_handle",)
    for name in names:
        tell(
            Event(
                name, message, failed.task, failed.queue, failure.consumer, failure.exception, None, seconds,
                error=failure.error,
            )
        )  # fmt: skip


def tell_dropped(notice: Reservation, reason: str) -> None:
    """Tell that a message will not be handled any more, from the notice that it left (law D15)."""
    if not is_heard("dropped_handle"):
        return
    id, body = notice.id[1:].rpartition(":")[0], notice.body.partition(b"\n")[2]
    message = Message(
        id=id, queue=notice.queue, task=task_named(body), ticket=notice.ticket,
        pushed_ms=notice.pushed_ms, verdict=DONE,
    )  # fmt: skip
    tell(Event("dropped_handle", message, message.task, notice.queue, reason=reason))


def tell_of_consumer(name: Name, queue: str, consumer: str) -> None:
    """Tell what a consumer does as a whole."""
    if is_heard(name):
        tell(Event(name, queue=queue, consumer=consumer))


def tell_of_notice(notice: EventNotice) -> None:
    """Tell what happened elsewhere, and to no message. What this version does not know is left untold."""
    for name in NAMES:
        if name == notice.event:
            tell(
                Event(
                    name, queue=notice.queue, consumer=notice.consumer, length=notice.length,
                    error=notice.error, level=notice.level,
                )
            )  # fmt: skip


def _witness(prepared: Prepared) -> Message:
    """Return the message as listeners see it: all is decided, and they cannot record anything."""
    message = prepared.message()
    message.delete()
    return message
