"""An event loop as a place for `async def` handlers: in one thread of its own, each run a task.

The main thread goes on talking to the driver, so a loop that a handler blocks stops nothing but its
neighbours, and all their deadlines stand on the board. The soft timeout is a cancel, which comes only where a
handler awaits; no library is left in the middle of a step, so nothing has to be recycled after it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextvars import Context
from importlib import import_module
from types import FrameType

from procqueue.process.consumer.clock import Run
from procqueue.process.log import Log

#: So long may tasks that handlers have left behind take to be cancelled, when the consumer leaves.
_CLOSE_SECONDS = 1.0


class Loop:
    """One event loop. `kind`: asyncio or uvloop; the rest as for Threads."""

    def __init__(
        self,
        kind: str,
        context: Context,
        carry_out: Callable[[Run], Awaitable[None]],
        come_back: Callable[[float, str], None],
        ended: Callable[[Run], None],
        log: Log,
    ) -> None:
        self._context = context
        self._carry_out = carry_out
        self.come_back = come_back
        self._ended = ended
        self._log = log
        self._loop = new_loop(kind)
        self._tasks: set[asyncio.Task[None]] = set()  # a loop itself keeps weak references only
        self._thread = threading.Thread(target=self._turn, name="event-loop", daemon=True)
        self._thread.start()

    def start(self, run: Run) -> None:
        """Have it begun with the next turn of the loop."""
        run.mark = self
        self._loop.call_soon_threadsafe(self._begin, run)

    def tell(self, run: Run, _frame: FrameType | None, /, *, cancelled: bool) -> None:
        """Have it cancelled with the next turn of the loop, if its handler runs."""
        self._loop.call_soon_threadsafe(self._cancel, run, cancelled)

    def close(self) -> None:
        """Cancel what handlers have left behind, then end the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2 * _CLOSE_SECONDS)

    def _turn(self) -> None:
        asyncio.set_event_loop(self._loop)
        while True:
            try:
                self._loop.run_forever()
                break
            except BaseException as error:  # SystemExit in a task that a handler has left behind
                self._log.error("event_loop_raised", error=repr(error))
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        if left:
            self._loop.run_until_complete(asyncio.wait(left, timeout=_CLOSE_SECONDS))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _begin(self, run: Run) -> None:
        run.mark = task = self._loop.create_task(self._carry(run), context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, run: Run) -> None:
        try:
            await self._carry_out(run)
        except BaseException as error:  # ours: the main thread raises it
            run.error = error
        self._ended(run)

    def _cancel(self, run: Run, cancelled: bool) -> None:
        message, task = run.message, run.mark
        if message is not None and message.is_to_hear(cancelled=cancelled):
            message.note_told()
            task.cancel()


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    """Return a new event loop. Raises ImportError for one that is not installed."""
    if kind == "uvloop":
        loop: asyncio.AbstractEventLoop = import_module("uvloop").new_event_loop()
        return loop
    return asyncio.new_event_loop()
