"""Who runs where, and how many at once: the main thread's view of all runs of a consumer.

`def` handlers run in the main thread, one after the other, or in threads; `async def` ones on an event loop.
The pool and the loop are made when a message first needs them: who runs one `def` after the other has none.
What a death beside others has made suspicious runs alone (law D7).
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import time
from collections import deque

from procqueue.core.settings.model import QueueSettings, Settings
from procqueue.process.board import Board
from procqueue.process.consumer.clock import Clock, Place, Run
from procqueue.process.consumer.inline import Inline
from procqueue.process.consumer.intake import Held
from procqueue.process.consumer.lastresort import LastResort
from procqueue.process.consumer.run import Runs
from procqueue.process.consumer.wake import Interrupts
from procqueue.process.log import Log
from procqueue.tasks.execute import Prepared


class Executor:
    """The places of one consumer, of `queue`. All but `_end` is for the main thread."""

    def __init__(
        self,
        settings: Settings,
        queue: QueueSettings,
        consumer: str,
        board: Board,
        interrupts: Interrupts,
        last_resort: LastResort,
        log: Log,
    ) -> None:
        self._queue = queue
        self._log = log
        self._pid = os.getpid()
        self._clock = Clock(board, last_resort)
        self._runs = Runs(settings, consumer, board, self._clock, lambda: interrupts.stopping, log)
        self._inline = Inline(self._clock, interrupts, self._runs.carry_out)
        self._threads: Place | None = None
        self._loop: Place | None = None
        self._ended: deque[Run] = deque()
        self._wake = -1  # an eventfd: something has ended elsewhere
        self._elsewhere: set[Run] = set()  # begun in threads, or on the loop, and not over
        self._is_alone = False  # what was begun there last must have no neighbour
        self.expect = self._runs.expect

    def free(self) -> int:
        """Return how many more may be begun now; none beside one that has to be alone, or has overrun.

        What runs on past its soft limit is killed with all its neighbours: they get the time until then.
        """
        if self._elsewhere and (self._is_alone or self._clock.is_late):
            return 0
        return self._queue.concurrency - len(self._elsewhere)

    @property
    def is_full(self) -> bool:
        """True if there is no place left."""
        return len(self._elsewhere) >= self._queue.concurrency

    def running(self) -> int:
        """Return how many have begun and are not over."""
        return len(self._elsewhere)

    def descriptors(self) -> list[int]:
        """Return what to watch for the end of a run."""
        return [self._wake] if self._wake != -1 else []

    def rest(self) -> None:
        """Be ready for a call of the driver: nothing of what user code did here is left. Raises Maimed."""
        self._clock.rest()
        self._inline.put_right()

    def start(self, held: Held) -> Run | None:
        """Begin one claimed reservation; return its run if it has ended in here. Raises Maimed."""
        began = time.monotonic()
        prepared, policy = self._runs.begin(held, began)
        place = self._place_of(prepared)
        run = Run(held, policy, prepared, place, began)
        self._clock.enter(run)
        if place is self._inline:
            place.start(run)
            self._clock.leave(run)
            run.ended_at = time.monotonic()
            return run
        self._elsewhere.add(run)
        self._is_alone = held.reservation.counters.suspects > 0
        place.start(run)
        return None

    def ended(self) -> list[Run]:
        """Return what has ended elsewhere since the last call. Raises Maimed, and what is our own fault."""
        if self._elsewhere:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
        runs = [self._ended.popleft() for _ in range(len(self._ended))]
        if runs and self._elsewhere:
            for run in runs:
                if run.error is not None:
                    raise run.error
            self._elsewhere.difference_update(runs)
            self._inline.put_all_right()
        return runs

    def close(self) -> None:
        """End the places. Nothing runs any more."""
        for place in (self._threads, self._loop):
            if place is not None:
                place.close()

    def _place_of(self, prepared: object) -> Place:
        if isinstance(prepared, Prepared) and prepared.task.is_async:
            return self._event_loop()
        own = prepared.task.options.executor if isinstance(prepared, Prepared) else None
        where = own or self._queue.executor
        if where == "sync" or (where != "threads" and self._queue.concurrency == 1):
            return self._inline
        return self._pool()

    def _pool(self) -> Place:
        if self._threads is None:
            from procqueue.process.consumer.threads import Threads

            self._make_wake()
            self._threads = Threads(
                self._queue.concurrency, contextvars.copy_context(), self._runs.carry_out,
                self._check_process, self._end,
            )  # fmt: skip
        return self._threads

    def _event_loop(self) -> Place:
        if self._loop is None:
            from procqueue.process.consumer.loop import Loop

            self._make_wake()
            self._loop = Loop(
                self._queue.loop, contextvars.copy_context(), self._runs.acarry_out, self._check_process,
                self._end, self._log,
            )  # fmt: skip
        return self._loop

    def _make_wake(self) -> None:
        if self._wake == -1:
            self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def _check_process(self, _began: float, _task: str) -> None:
        if os.getpid() != self._pid:
            os._exit(0)  # the handler forked, and its child has come back here: it owns nothing

    def _end(self, run: Run) -> None:
        """Note the end of a run; in its own thread."""
        self._clock.leave(run)
        run.ended_at = time.monotonic()
        self._ended.append(run)
        os.eventfd_write(self._wake, 1)
