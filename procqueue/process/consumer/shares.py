"""From which queue to take next: in strict order, or by weight.

By weight: each message costs its queue 1 / weight, and who has spent least comes first (stride scheduling).
A queue that has nothing is passed over and saves nothing up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Shares:
    """The queues of one consumer. `weights`: one for each, or none: then the order is strict."""

    def __init__(self, queues: Sequence[str], weights: Sequence[int] = ()) -> None:
        self._queues = tuple(queues)
        self._weights = dict(zip(queues, weights, strict=True)) if weights else {}
        self._spent = dict.fromkeys(queues, 0.0)

    def order(self) -> list[str]:
        """Return the queues in the order in which they are to be asked."""
        return sorted(self._queues, key=self._spent.__getitem__)  # stable: the order of the file, if equal

    def took(self, queue: str, number: int, empty: Iterable[str]) -> None:
        """Note that so many messages came from `queue`, and that those asked before it had none."""
        if not self._weights:
            return
        for other in empty:
            self._spent[other] = max(self._spent[other], self._spent[queue])
        self._spent[queue] += number / self._weights[queue]
