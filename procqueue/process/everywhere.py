"""`restart --everywhere`: the mark that somebody left in the store, as each host's master sees it.

The scheduler tells each second of the last mark of each queue. A mark is new if it was not there before; of
what the first look finds, it is so if it is younger than this master (both ages by clocks of their own, so no
two clocks are compared): a host that came later has fresh processes anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class RestartMarks:
    """The marks that one master has seen. They are known here, and so outlive the scheduler."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def fresh(self, marks: Mapping[str, Sequence[float] | None], age: float) -> tuple[str, ...]:
        """Return the queues that have to be restarted.

        `marks`: of each queue its moment (ms of the driver's clock) and its age (s), None if it has none.
        `age`: for how many seconds this master has been there.
        """
        return tuple([queue for queue, mark in marks.items() if self._is_fresh(queue, mark, age)])

    def _is_fresh(self, queue: str, mark: Sequence[float] | None, age: float) -> bool:
        at, mark_age = (int(mark[0]), mark[1]) if mark else (0, age)
        seen = self._seen.get(queue)
        self._seen[queue] = max(at, seen or 0)  # a store that came back older has older marks
        return mark_age < age if seen is None else at > seen
