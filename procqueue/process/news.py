"""What the master knows by hearsay, for `status`: the last counts, problems, how children ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from procqueue.core.book import Book
from procqueue.core.repairs import Repair
from procqueue.core.wanted import Pool
from procqueue.process.log import Log


@dataclass(frozen=True, slots=True)
class LastExit:
    """How the last child under a name ended."""

    reason: str
    code: int | None
    signal: str | None
    at: float  # wall clock, for people
    error: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as `status --json` has it."""
        return {"reason": self.reason, "code": self.code, "signal": self.signal, "at": moment(self.at)}


def moment(at: float) -> str:
    """Return a moment (seconds since 1970) as people and JSON have it: ISO 8601, UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class News:
    """The news of one master. Moments are wall clock: they are for people."""

    log: Log
    heard: Callable[[str, str], None] = field(default=lambda _about, _text: None)  # of each new problem
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    counts_at: float = 0.0
    oldest: dict[str, float] = field(default_factory=dict)  # for how long (s) the head of a queue waits
    # Queues that are paused everywhere: since and until when (None: until resumed), seconds since 1970.
    paused: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    # Queues whose gate is not open: how it stands, and since when.
    gates: dict[str, tuple[str, float]] = field(default_factory=dict)
    crons: dict[str, float] = field(default_factory=dict)  # when each ticks next, seconds since 1970
    problems: dict[str, tuple[str, float]] = field(default_factory=dict)  # about → (text, since)
    notes: dict[str, tuple[str, float]] = field(default_factory=dict)  # about → (text, since): no problems
    last_exits: dict[str, LastExit] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    killed: list[str] = field(default_factory=list)  # names, while stopping
    host_lost: tuple[str, float] | None = None  # an identity that others declared dead, and when

    repairs: dict[Repair, int] = field(default_factory=dict)
    repaired_at: float = 0.0

    def repaired(self, kind: Repair, number: int) -> None:
        """Count what a store had lost, or had again. Whoever noticed it has logged it."""
        self.repairs[kind] = self.repairs.get(kind, 0) + number
        self.repaired_at = time.time()

    def problem(self, about: str, text: str) -> None:
        """Note a problem; say it once."""
        known = self.problems.get(about)
        if known is None or known[0] != text:
            self.log.warning("problem", about=about, text=text)
            self.heard(about, text)
            self.problems[about] = (text, time.time())

    def note(self, abouts: Sequence[str], text: str) -> None:
        """Note what is as it should be, but not as one may expect; say it once."""
        if any(self.notes.get(about, ("",))[0] != text for about in abouts):
            self.log.warning("note", about=",".join(abouts), text=text)
        self.notes.update({about: (text, time.time()) for about in abouts})

    def settle(self, pools: Iterable[Pool], book: Book, now: float) -> None:
        """End the problems of pools that are not wanted any more, or want nobody forked any more.

        To be called when the plan wants nothing. `now`: monotonic.
        """
        if not self.problems:
            return
        counts = {pool.name: pool.count for pool in pools}
        for about, (text, _) in list(self.problems.items()):
            if about not in book.pulses:
                continue  # no pool
            count, again_at = counts.get(about, 0), book.pulses[about].forks.not_before
            has_all = text.startswith("cannot fork") and len(book.of(about)) >= count and now >= again_at
            if has_all or not count:
                self.solved(about)

    def solved(self, about: str) -> None:
        """Note that a problem is none any more."""
        if self.problems.pop(about, None) is not None:
            self.log.info("solved", about=about)
