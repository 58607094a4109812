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
        self._front = 0, ""  # what was last written of all but the last two characters

    def next(self) -> str:
        """Return a new id, greater than all before it."""
        now = time.time_ns() // 1_000_000
        with self._lock:
            if now > self._last >> 80:
                # 79 random bits: with the highest clear, counting upwards cannot reach the next millisecond.
                self._last = now << 80 | secrets.randbits(79)
            else:
                self._last += 1
            front, rest = divmod(self._last, 1024)
            if front != self._front[0]:
                self._front = front, _written(front)
            return self._front[1] + _PAIRS[rest]


def _written(number: int) -> str:
    pairs = []
    for _ in range(12):
        number, rest = divmod(number, 1024)
        pairs.append(_PAIRS[rest])
    return "".join(reversed(pairs))


_ids = Ids()
os.register_at_fork(after_in_child=_ids.renew)

new_id = _ids.next
