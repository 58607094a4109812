"""A pool of threads as a place for runs. Each thread is made when it is first needed.

A soft timeout gets in by the gate of the thread (tasks/gates.py). Threads are daemons: none of them keeps a
process alive that is told to go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context
from queue import SimpleQueue
from types import FrameType

from procqueue.process.consumer.clock import Run
from procqueue.tasks.gates import Gate


class Threads:
    """At most `most` threads. `context`: what handlers find in context variables.

    `carry_out` runs a message to its settlement, `come_back` looks after each user code, `ended` hears of it.
    """

    def __init__(
        self,
        most: int,
        context: Context,
        carry_out: Callable[[Run], None],
        come_back: Callable[[float, str], None],
        ended: Callable[[Run], None],
    ) -> None:
        self._most = most
        self._context = context
        self._carry_out = carry_out
        self.come_back = come_back
        self._ended = ended
        self._waiting: SimpleQueue[Run] = SimpleQueue()
        self._free = threading.Semaphore(0)
        self._made = 0

    def start(self, run: Run) -> None:
        """Have a thread carry it out. Raises RuntimeError if there can be none."""
        if not self._free.acquire(blocking=False) and self._made < self._most:
            try:
                threading.Thread(target=self._work, name=f"handler-{self._made}", daemon=True).start()
                self._made += 1
            except RuntimeError:
                if not self._made:
                    raise
        self._waiting.put(run)

    def tell(self, run: Run, _frame: FrameType | None, /, *, cancelled: bool) -> None:
        """Have the soft timeout raised in its thread, if its user code runs."""
        gate = run.mark
        if isinstance(gate, Gate) and gate.deliver(run, cancelled=cancelled):
            run.is_shaken = True

    def close(self) -> None:
        """Nothing is left behind but threads that wait, and end with the process."""

    def _work(self) -> None:
        gate = Gate(self._context)
        while True:
            run = self._waiting.get()
            gate.begin(run)
            run.mark = gate
            try:
                self._carry_out(run)
            except BaseException as error:  # ours: the main thread raises it
                run.error = error
            # Free before the main thread hears of it: it then finds this thread, and makes no other.
            self._free.release()
            self._ended(run)
