"""Where a list goes on: the driver's own mark, sealed, so that nothing else ever reaches a driver."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

from procqueue.web.problems import Problem


@dataclass(frozen=True, slots=True)
class Cursors:
    """Seals and opens. `key`: of this start of the master; then links to further pages end with it."""

    key: str

    def seal(self, about: str, mark: str) -> str:
        """Return the cursor for a mark in the list `about`, "" for none."""
        if not mark:
            return ""
        return base64.urlsafe_b64encode(self._seal(about, mark) + mark.encode()).decode().rstrip("=")

    def open(self, about: str, cursor: str) -> str:
        """Return the mark. Raises Problem."""
        if not cursor:
            return ""
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            mark = raw[16:].decode()
        except ValueError:
            raise _refused() from None
        if not mark or not hmac.compare_digest(raw[:16], self._seal(about, mark)):
            raise _refused()
        return mark

    def _seal(self, about: str, mark: str) -> bytes:
        return hmac.new(self.key.encode(), f"{about}\n{mark}".encode(), hashlib.sha256).digest()[:16]


def _refused() -> Problem:
    return Problem(400, "this cursor is not one of this list, or is of before a restart: begin without it")
