"""`pause --here`: queues of which the consumers of this host take nothing, until a hand or a time ends it.

What is wished stands in wishes.py. Consumers hear of it on their lifelines; a fresh one knows it from its
birth (births.py, templates.py). A pause for all hosts is the driver's, and nothing here knows of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from procqueue.process.nursery import Nursery
from procqueue.process.wishes import Wishes


class Pauses:
    """The pauses of one host."""

    def __init__(self, wishes: Wishes, nursery: Nursery) -> None:
        self._wishes = wishes
        self._nursery = nursery

    def pause(self, queues: Sequence[str], seconds: float | None) -> None:
        """Take no message of these queues, for so long or until `resume`. Raises OSError, and holds yet."""
        until = time.time() + seconds if seconds else 0.0
        try:
            self._wishes.set("paused", tuple(queues), until=until)
        finally:
            self.tell()

    def resume(self, queues: Sequence[str]) -> None:
        """Take messages of these queues again. Raises OSError, and holds yet."""
        try:
            self._wishes.drop("paused", tuple(queues))
        finally:
            self.tell()

    def tell(self) -> None:
        """Let all consumers know what is paused now. One that is still to be born learns it then."""
        for kept in self._nursery.kept.values():
            if kept.is_consumer and not kept.awaits:
                kept.lifeline.say("paused", queues=sorted(self._wishes.paused))

    def next_moment(self) -> float | None:
        """Return when a pause is over (monotonic), None if none ends by itself."""
        ends = [wish.until for wish in self._wishes.paused.values() if wish.until]
        return time.monotonic() + max(0.0, min(ends) - time.time()) if ends else None

    def tick(self) -> None:
        """End what has had its time. If that cannot be written down, the next master ends it."""
        now = time.time()
        over = [name for name, wish in self._wishes.paused.items() if 0 < wish.until <= now]
        if over:
            try:
                self.resume(over)
            except OSError:
                return
