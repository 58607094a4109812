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


@dataclass(frozen=True, slots=True)
class Sample:
    """What a scheduler has told last of its queues."""

    at: float
    counts: dict[str, dict[str, int]]
    oldest: dict[str, float]  # for how long (s) the head of a queue waits
    # Queues that are paused everywhere: since and until when (None: until resumed), seconds since 1970.
    paused: dict[str, tuple[float, float | None]]
    gates: dict[str, tuple[str, float]]  # of queues whose gate is not open: how it stands, and since when
    crons: dict[str, float]  # when each ticks next, seconds since 1970

    @classmethod
    def of(cls, message: dict[str, Any], is_its: Callable[[str], bool]) -> Sample:
        """Return what it says of the queues that are its."""

        def own(told: dict[str, Any]) -> dict[str, Any]:
            return {queue: one for queue, one in told.items() if is_its(queue)}

        paused = {queue: (one[0], one[1]) for queue, one in own(message["paused"]).items()}
        gates = {queue: (one[0], one[1]) for queue, one in own(message["gates"]).items()}
        return cls(
            message["at"], own(message["counts"]), own(message["oldest"]), paused, gates, message["crons"]
        )


@dataclass(slots=True)
class News:
    """The news of one master. Moments are wall clock: they are for people."""

    log: Log
    heard: Callable[[str, str], None] = field(default=lambda _about, _text: None)  # of each new problem
    samples: dict[str, Sample] = field(default_factory=dict)  # by scheduler
    counts: dict[str, dict[str, int]] = field(default_factory=dict)  # this and the next four: of all samples
    oldest: dict[str, float] = field(default_factory=dict)
    paused: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    gates: dict[str, tuple[str, float]] = field(default_factory=dict)
    crons: dict[str, float] = field(default_factory=dict)
    problems: dict[str, tuple[str, float]] = field(default_factory=dict)  # about → (text, since)
    notes: dict[str, tuple[str, float]] = field(default_factory=dict)  # about → (text, since): no problems
    last_exits: dict[str, LastExit] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    killed: list[str] = field(default_factory=list)  # names, while stopping
    host_lost: tuple[str, float] | None = None  # an identity that others declared dead, and when

    repairs: dict[Repair, int] = field(default_factory=dict)
    repaired_at: float = 0.0

    @property
    def counts_at(self) -> float:
        """When the oldest of the samples was taken; 0: there is none."""
        return min((sample.at for sample in self.samples.values()), default=0.0)

    def sampled(self, scheduler: str, sample: Sample | None) -> None:
        """Take note of what a scheduler tells; None: it tells no more."""
        if sample is not None:
            self.samples[scheduler] = sample
        elif self.samples.pop(scheduler, None) is None:
            return
        for name in ("counts", "oldest", "paused", "gates", "crons"):
            merged: dict[str, Any] = {}
            for one in self.samples.values():
                merged |= getattr(one, name)
            setattr(self, name, merged)

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
