"""The parser of `length_levels`."""

from __future__ import annotations

from typing import Any

from procqueue.core.lengths import NAMES
from procqueue.core.settings.readers import table, whole
from procqueue.core.settings.wrong import Wrong
from procqueue.core.units import shown

_MOST = 1_000_000_000


def length_levels(value: Any) -> tuple[tuple[str, int], ...]:
    """Lengths by level, growing; what is left out has no level; "off" and {} are none."""
    if value in ("off", "", 0, {}):
        return ()
    read = table(**{name: whole(1, _MOST) for name in NAMES})(value)
    levels = tuple((name, read[name]) for name in NAMES if name in read)
    lengths = [length for _, length in levels]
    if lengths != sorted(set(lengths)):
        raise Wrong(f"must grow from info to error, unlike {shown(value)}", "as {info = 10, error = 500}")
    return levels
