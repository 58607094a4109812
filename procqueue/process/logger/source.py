"""One pipe of one child: looked into, cut, written, and only then emptied.

`move` does one batch and says what to do next. It never waits: a traceback of which the end has not come
yet, or a terminal that stands still, is looked at again later, and whatever has not been moved is still in
the pipe.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from enum import Enum, auto

from procqueue.process.logger.journal import Journal
from procqueue.process.logger.lines import batch_at, first_half, traceback_begins, whole
from procqueue.process.logger.pipes import Glass, take, waiting_in
from procqueue.process.logger.targets import Target, Terminal

#: Seconds for which the beginning of a traceback waits for its end.
PATIENCE = 0.05
#: Seconds between two looks at a line that has not ended: Linux 5.5 to 5.13 may not tell of bytes that come
#: behind others.
_LOOK_AGAIN = 1.0
#: Batches that are still taken from a pipe that was given up, and to which somebody still writes.
_LAST_BATCHES = 256


class Next(Enum):
    """What to do with a source after a move."""

    MORE = auto()  # there may be more: move again
    WAIT = auto()  # nothing to do before it is written to, or `due`
    HELD = auto()  # its terminal stands still
    ENDED = auto()  # there will be nothing more


class Source:
    """One stream ("out" or "err") of the child `key`, named `name`."""

    def __init__(
        self,
        key: str,
        name: str,
        stream: str,
        fd: int,
        targets: Sequence[Target],
        heard: Callable[[bytes], None],
    ) -> None:
        self.key = key
        self.fd = fd
        self.due = float("inf")
        self.closed = False  # nobody can write to it any more
        self._name = name
        self._stream = stream
        self._targets = targets
        self._heard = heard  # is told each batch, once it is written
        self._continued = False
        self._patient_until = 0.0
        self._batches_left: int | None = None

    @property
    def is_given_up(self) -> bool:
        """True if only what is in it is still wanted."""
        return self._batches_left is not None

    def give_up(self) -> None:
        """Take what is in it now, and then no more."""
        if self._batches_left is None:
            self._batches_left = _LAST_BATCHES

    def move(self, glass: Glass, journal: Journal, now: float) -> Next:
        """Write one batch and take it out of the pipe."""
        self.due = float("inf")
        if self._batches_left == 0:
            return Next.ENDED
        found = glass.look(self.fd)
        if found is None:
            return Next.ENDED if self.is_given_up else Next.WAIT
        data, full = found
        if not data:
            return Next.ENDED
        end = whole(data, full=full, last=self.closed or self.is_given_up)
        if not end:
            self.due = now + _LOOK_AGAIN
            return Next.WAIT
        batch = data[:end]
        if not (full or self.closed or self.is_given_up) and (begin := traceback_begins(batch)) is not None:
            if begin:
                batch = batch[:begin]
            elif self._is_patient(now):
                return Next.WAIT
        self._patient_until = 0.0
        if not self._write(batch, journal):
            return Next.HELD
        if self._batches_left:
            self._batches_left -= 1
        return Next.MORE if full or self.closed or self.is_given_up or waiting_in(self.fd) else Next.WAIT

    def _is_patient(self, now: float) -> bool:
        self._patient_until = self._patient_until or now + PATIENCE
        self.due = self._patient_until
        return now < self._patient_until

    def _write(self, data: bytes, journal: Journal) -> bool:
        """Write as many lines of `data` as fit everywhere, and take them; False if a terminal has no room."""
        at = time.time()
        while True:
            batch = batch_at(at, self._name, self._stream, data, self._continued)
            dressed = [(target, target.dress(batch)) for target in self._targets]
            if all((room := target.room()) is None or len(form) <= room for target, form in dressed):
                break
            if (half := first_half(data)) == data:
                break
            data = half
        for target, form in dressed:
            room = target.room()
            if isinstance(target, Terminal) and target.has_waiting and room is not None and len(form) > room:
                return False
        lines = batch.count
        prepared = [(target, form, target.prepare(form, lines)) for target, form in dressed]
        journal.begin([growth for _, _, growths in prepared for growth in growths or ()])
        for target, form, growths in prepared:
            if growths is not None:
                target.write(form, lines)
        journal.written()
        take(self.fd, len(data))
        journal.done()
        self._continued = not data.endswith(b"\n")
        self._heard(data)
        return True

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.fd)
