"""The message a handler is running for: `current()`, its verdicts, and the soft timeout.

The soft timeout is an exception raised by a signal handler, so it may come between any two steps. It comes
only while the handler itself runs, once per message, and never inside a shield (driver code is one).
Next to read: execute.py, which runs handlers; gates.py and awaiting.py, where they run elsewhere.
"""

from __future__ import annotations

import time
from _thread import get_ident
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime, timedelta
from types import FrameType, TracebackType
from typing import Any, NoReturn, TypeVar

from procqueue.core.errors import AlreadyDecided, Cancelled, NoMessage, SoftTimeout
from procqueue.core.outcome import DONE, Ending, Outcome
from procqueue.core.units import format_seconds
from procqueue.tasks.call import Delay, delay_seconds, moment_ms

R = TypeVar("R")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def current() -> Message:
    """Return the message whose handler is running. Raises NoMessage outside of one."""
    message = _current.get()
    if message is None:
        raise NoMessage("there is no current message: this code does not run inside a handler")
    return message


def current_or_none() -> Message | None:
    """Return the message whose handler is running, or None."""
    return _current.get()


class Message:
    """One message in one run, as its handler sees it.

    `id` is the same in every run: the idempotency key. `ticket` differs in every run and only grows: the
    fence. `attempt` is 1 in the first run; `last` says that no attempt follows this one. `crashes` counts
    the processes that died under it. `timed_out` is true from the moment the handler was told; so is
    `cancelled`, if what it was told is that somebody has cancelled the message.
    """

    __slots__ = (  # noqa: RUF023
        "id", "queue", "task", "ticket", "attempt", "last", "crashes", "meta", "timed_out", "handle_timeout",
        "_pushed_ms", "_stopping", "_extend", "_verdict", "_running", "_shields", "_told", "_owed",
        "cancelled", "_fence",
    )  # fmt: skip

    def __init__(
        self,
        *,
        id: str,
        queue: str,
        task: str,
        ticket: int,
        attempt: int = 1,
        last: bool = False,
        crashes: int = 0,
        pushed_ms: int = 0,
        meta: dict[str, Any] | None = None,
        handle_timeout: float = 0.0,
        stopping: Callable[[], bool] | None = None,
        extend: Callable[[float], None] | None = None,
        verdict: Outcome | None = None,
    ) -> None:
        self.id = id
        self.queue = queue
        self.task = task
        self.ticket = ticket
        self.attempt = attempt
        self.last = last
        self.crashes = crashes
        self.meta: dict[str, Any] = {} if meta is None else meta
        self.timed_out = False
        self.cancelled = False
        self.handle_timeout = handle_timeout
        self._pushed_ms = pushed_ms
        self._stopping = stopping
        self._extend = extend
        self._verdict = verdict
        self._running = False
        self._shields = 0
        self._told = False
        self._owed = False  # the soft timeout came inside a shield
        self._fence: Callable[[], None] | None = None  # takes in what is on its way from another thread

    def __repr__(self) -> str:
        return f"<Message {self.id} of {self.task} on {self.queue}, attempt {self.attempt}>"

    @property
    def pushed_at(self) -> datetime:
        """The moment of the push, by the driver's clock, in UTC."""
        return _EPOCH + timedelta(milliseconds=self._pushed_ms)

    @property
    def stopping(self) -> bool:
        """True once this consumer was asked to finish: a long handler may give its message back."""
        return self._stopping is not None and self._stopping()

    @property
    def verdict(self) -> Outcome | None:
        """What release, delete or fail recorded, or None."""
        return self._verdict

    def release(self, delay: Delay = 0, at: datetime | None = None) -> None:
        """Give the message back when the handler ends, to run again after `delay`, or at `at`; no attempt.

        Raises AlreadyDecided after another verdict, ValueError if the moment is none.
        """
        after = delay_seconds(delay) if at is None else max(0.0, moment_ms(at) / 1000 - time.time())
        self._decide(Outcome(Ending.RELEASED, after_s=after))

    def delete(self) -> None:
        """Count the message as done, however the handler ends. Raises AlreadyDecided."""
        self._decide(DONE)

    def fail(self, reason: str = "") -> None:
        """Send the message to `failed` when the handler ends; no further attempt. Raises AlreadyDecided."""
        self._decide(Outcome(Ending.RAISED, error=str(reason), final=True))

    def extend(self, seconds: Delay) -> None:
        """Give the handler `seconds` more from now, before its timeouts. Raises ValueError."""
        more = delay_seconds(seconds)
        if not more:
            raise ValueError(f"extend({seconds!r}): the handler needs some more time, not none")
        self._owed = False
        if self._extend is not None:
            self._extend(more)
        self._told = False

    def shield(self) -> Shield:
        """Return a block, for `with` and `async with`, in which no soft timeout is raised.

        One that comes meanwhile is raised where the outermost block ends.
        """
        return Shield(self)

    def _decide(self, outcome: Outcome) -> None:
        if self._verdict is not None:
            raise AlreadyDecided(f"message {self.id}: {_in_words(self._verdict)} stands already")
        self._verdict = outcome

    def is_to_hear(self, *, cancelled: bool) -> bool:
        """Return whether the handler is to be told now that its time is over; a shield remembers it."""
        if not self._running or self._told:
            return False
        self.cancelled = cancelled or self.cancelled
        if self._shields:
            self._owed = True
            return False
        return True

    def note_told(self) -> None:
        """Note that the handler is told."""
        self._owed = False
        self._told = True
        self.timed_out = True

    def why_over(self) -> SoftTimeout:
        """Return the exception that says why the handler's time is over."""
        if self.cancelled:
            return Cancelled(f"message {self.id} was cancelled")
        limit = f" of {format_seconds(self.handle_timeout)}" if self.handle_timeout else ""
        return SoftTimeout(f"the handle_timeout{limit} has passed")

    def _tell(self) -> NoReturn:
        self.note_told()
        raise self.why_over()


class Shield:
    """A block in which no soft timeout is raised."""

    __slots__ = ("_message",)

    def __init__(self, message: Message) -> None:
        self._message = message

    def __enter__(self) -> None:
        message = self._message
        message._shields += 1
        if message._fence is not None:
            try:
                message._fence()
            except BaseException:
                message._shields -= 1
                raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        message = self._message
        message._shields -= 1
        if message._owed and not message._shields:
            message._tell()

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def deliver_timeout(frame: FrameType | None = None, *, cancelled: bool = False) -> None:
    """Tell the running handler that its time is over: raise SoftTimeout, or leave it to the shield it is in.

    To be called by the signal handler of the thread that runs handlers, with the frame that the signal
    interrupted; `cancelled`: by Cancelled. Does nothing if no handler is running, or if this one was told
    already.
    """
    message = _current.get()
    # In the frame of `call` itself the handler has not begun, or has returned: it must not look timed out.
    if message is None or (frame is not None and frame.f_code is call.__code__):
        return
    if message.is_to_hear(cancelled=cancelled):
        message._tell()


@contextmanager
def entered(message: Message) -> Iterator[None]:
    """Let `message` be the current one meanwhile."""
    token = _current.set(message)
    try:
        yield
    finally:
        _current.reset(token)


def call(message: Message, function: Callable[..., R], args: Any, kwargs: Any) -> R:
    """Call `function` as the handler of `message`, in a copy of the context."""
    if callers and (elsewhere := callers.get(get_ident())) is not None:
        result: R = elsewhere(message, function, args, kwargs)
        return result
    token = _current.set(message)
    message._running = True
    try:
        # What it sets in context variables stays in this run; its task sees what the process has set.
        return copy_context().run(function, *args, **kwargs)
    finally:
        message._running = False
        _current.reset(token)


def _in_words(verdict: Outcome) -> str:
    match verdict.ending:
        case Ending.DONE:
            return "delete()"
        case Ending.RELEASED:
            return "release()"
        case _:
            return "fail()"


_current: ContextVar[Message | None] = ContextVar("procqueue_message", default=None)

#: By thread: who calls in place of `call`, where no signal handler can raise anything (gates.py).
callers: dict[int, Any] = {}
