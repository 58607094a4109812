"""What settles: verdicts on their way to the driver, kept until it has taken them."""

from __future__ import annotations

from procqueue.core.verdict import Settlement


class Ledger:
    """The settlements of finished runs, by queue. They leave with the next turn of their queue."""

    def __init__(self) -> None:
        self._pending: dict[str, list[Settlement]] = {}

    def add(self, queue: str, settlement: Settlement) -> None:
        """Note that a run has ended."""
        self._pending.setdefault(queue, []).append(settlement)

    def of(self, queue: str) -> list[Settlement]:
        """Return what is to be settled with the next turn of `queue`."""
        return self._pending.get(queue, [])

    def queues(self) -> list[str]:
        """Return the queues that have something to settle."""
        return [queue for queue, settlements in self._pending.items() if settlements]

    def settled(self, queue: str) -> None:
        """Note that the driver has taken what `of(queue)` returned."""
        self._pending.pop(queue, None)
