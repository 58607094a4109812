"""The gate: how a soft timeout gets from the main thread into a handler that runs in another thread.

No signal handler runs there; what can be done is to ask the interpreter to raise an exception in that thread
between two of its steps (PyThreadState_SetAsyncExc), wherever it then is. So the gate is open only while user
code runs, for one run, and what comes late is taken in here: behind `call` nothing is on its way any more.

No lock is held on either side: an exception in the middle of `with lock` can leave it locked for ever. The
two sides see each other by `_sending`, for one thread runs at a time.
"""

from __future__ import annotations

import ctypes
import time
from _thread import get_ident
from collections.abc import Callable
from contextvars import Context
from typing import Any

from procqueue.core.errors import SoftTimeout
from procqueue.tasks.context import Message, _current, callers, current_or_none

_set_async_exc = ctypes.pythonapi.PyThreadState_SetAsyncExc
_set_async_exc.argtypes = (ctypes.c_ulong, ctypes.py_object)


class _Over(SoftTimeout):
    """A thread can only be given a class. Made there, it becomes what the message of that thread says."""

    def __new__(cls) -> SoftTimeout:  # type: ignore[misc]
        message = current_or_none()
        return SoftTimeout() if message is None else message.why_over()


class Gate:
    """The gate of one thread, which makes it. `context`: what handlers find in context variables."""

    def __init__(self, context: Context) -> None:
        self._thread = get_ident()
        self._context = context
        self._run: object = None
        self._message: Message | None = None
        self._sending = False
        callers[self._thread] = self.call

    def begin(self, run: object) -> None:
        """Take in what is meant for this run, and nothing else, from now on."""
        self._message = None
        self._run = run

    def deliver(self, run: object, *, cancelled: bool) -> bool:
        """Tell the user code of `run` that its time is over; return whether an exception is on its way.

        From the main thread only.
        """
        self._sending = True
        try:
            # In this order: a message that is read here before the run is looked at cannot be a later one's.
            message = self._message
            if message is None or self._run is not run or not message.is_to_hear(cancelled=cancelled):
                return False
            message.note_told()
            _set_async_exc(self._thread, _Over)
            return True
        finally:
            self._sending = False

    def call(self, message: Message, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Call `function` as context.call does, so that `deliver` reaches it, and nothing behind it."""
        ended: list[tuple[Any, BaseException | None]] = []
        late: BaseException | None = None
        context = self._context.copy()
        context.run(_current.set, message)
        message._fence = self._take_in
        self._message = message
        try:
            message._running = True
            context.run(_keep, ended, function, args, kwargs)
        except BaseException as error:
            late = error
        while True:
            try:
                message._running = False
                # To take it back (by NULL) would not do: CPython 3.11 then goes on looking for it between any
                # two steps of all threads.
                self._take_in()
                break
            except SoftTimeout as error:
                late = error
        if not ended:
            assert late is not None
            raise late
        result, raised = ended[0]
        if late is not None and not isinstance(raised, SoftTimeout):
            message.timed_out = message.cancelled = False  # it came behind the handler, which was not told
        if raised is not None:
            raise raised
        return result

    def _take_in(self) -> None:
        """Wait for a `deliver` that has begun; its exception is raised in here."""
        while self._sending:
            time.sleep(0)
        _step()


def _keep(ended: list[Any], function: Callable[..., Any], args: Any, kwargs: Any) -> None:
    """Note how the function ends at once, so that an exception behind it does not make it look otherwise."""
    try:
        ended.append((function(*args, **kwargs), None))
    except BaseException as error:
        trace = error.__traceback__
        ended.append((None, error.with_traceback(trace.tb_next if trace is not None else None)))


def _step() -> None:
    """Be called: the interpreter looks for exceptions from elsewhere at the beginning of a function."""
