"""Ids of messages: ULIDs, 26 characters that sort by the moment of their making.

Within a process each is greater than the one before, also when the clock goes back; after a fork the child
starts from new randomness, so that it cannot repeat what its parent gives out. https://github.com/ulid/spec
"""

from __future__ import annotations

import os
import secrets
import threading
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: Two characters at a time: half the divisions.
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)


class Ids:
    """A source of ids, for one process."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Forget what was given out: the process is a new one, and another may hold the inherited lock."""
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> str:
        """Return a new id, greater than all before it."""
        # 79 random bits: the highest stays clear, so that counting upwards cannot reach the next millisecond.
        fresh = time.time_ns() // 1_000_000 << 80 | secrets.randbits(79)
        with self._lock:
            if fresh >> 80 <= self._last >> 80:
                fresh = self._last + 1
            self._last = fresh
        return _written(fresh)


def _written(number: int) -> str:
    pairs = []
    for _ in range(13):
        number, rest = divmod(number, 1024)
        pairs.append(_PAIRS[rest])
    return "".join(reversed(pairs))


_ids = Ids()
os.register_at_fork(after_in_child=_ids.renew)

new_id = _ids.next
