"""Who a consumer is, and what of it stands on its board."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass

from procqueue.process import kernel


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a consumer is. The id exists before the process does (law S6)."""

    consumer: str
    host: str
    pool: str
    index: int
    generation: int

    def facts(self) -> dict[str, object]:
        """Return it with what names this process for ever; in the process itself."""
        pid = os.getpid()
        return {
            **asdict(self),
            "pid": pid,
            "start_time": kernel.start_time_of(pid),
            "boot_id": kernel.boot_id(),
        }
