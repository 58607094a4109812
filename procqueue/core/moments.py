"""Moments as all documents write them."""

from __future__ import annotations

TYPE_CHECKING = False  # verbs that are quick import this
if TYPE_CHECKING:
    from datetime import datetime


def moment(at: int | datetime | None) -> str | None:
    """Return a moment in UTC, or ms since 1970, as ISO 8601."""
    if at is None:
        return None
    if isinstance(at, int):
        from datetime import UTC, datetime, timedelta

        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
