"""What settles: verdicts on their way to the driver, kept until it has taken them."""

from __future__ import annotations

from procqueue.core.verdict import Settlement
from procqueue.drivers.contract import MAX_ENTRIES


class Ledger:
    """The settlements of finished runs, by queue. They leave with the next turn of their queue."""

    def __init__(self) -> None:
        self._pending: dict[str, list[Settlement]] = {}
        self._slots: dict[str, list[int]] = {}  # those of the pending, in the same order

    def add(self, queue: str, settlement: Settlement, slot: int) -> None:
        """Note that what had this slot of the board is over."""
        self._pending.setdefault(queue, []).append(settlement)
        self._slots.setdefault(queue, []).append(slot)

    def of(self, queue: str) -> list[Settlement]:
        """Return what is to be settled with the next turn of `queue`: no more than one call takes."""
        return self._pending.get(queue, [])[:MAX_ENTRIES]

    def tickets(self, queue: str) -> list[int]:
        """Return the tickets of all that is to be settled in `queue`."""
        return [one.ticket for one in self._pending.get(queue, [])]

    def queues(self) -> list[str]:
        """Return the queues that have something to settle."""
        return [queue for queue, settlements in self._pending.items() if settlements]

    def settled(self, queue: str, number: int) -> list[int]:
        """Note that the driver has taken the first of them; return their slots, which are free again."""
        slots = self._slots.get(queue, [])
        free = slots[:number]
        del self._pending.get(queue, [])[:number]
        del slots[:number]
        return free
