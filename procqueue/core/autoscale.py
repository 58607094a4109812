"""How many consumers a queue gets for `processes` = {min, max, target_wait}. Pure: samples in, a number out.

More while messages wait too long and more consumers would help; fewer when those that are there have been
enough for a while. Up in steps that at most double, down slowly, and never below what was busy lately: so it
does not flap. Nothing here reads a clock, a store or a process; process/autoscaling.py does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from procqueue.core.settings.model import Scale
from procqueue.core.units import format_seconds

#: After a step up its consumers get so long to be ready, and to show what they change.
STEP_SECONDS = 3.0
#: It has to be calm for so long before there are fewer, and again before each further step down.
CALM_SECONDS = 10.0
#: What lies so far back (seconds) counts a third of what is now.
MEMORY_SECONDS = 10.0
#: As many are kept as are busy for this share of their time.
FULL = 0.7
#: A sample after a longer gap says nothing of what was between.
_GAP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a queue. `at`: monotonic seconds. `oldest`: for how long the head waits since its push.

    `ready`: consumers that can work, `busy` of them do; `handled`: by all of them since the last sample.
    `room`: how many more consumers there is memory and CPU for.
    """

    at: float
    waiting: int
    oldest: float
    ready: int
    busy: int
    handled: int
    room: int


@dataclass(frozen=True, slots=True)
class Scaling:
    """What is known of one queue, and `count`, what is wanted of it. `why` says so to people, "" at first."""

    count: int
    why: str = ""
    since: float = float("-inf")  # of the last step
    at: float | None = None  # of the last sample
    nonempty: float | None = None  # since when something waits at every look
    calm: float | None = None  # since when nobody waits too long
    weight: float = 0.0  # fading sums over the last samples: of the time looked at …
    worked: float = 0.0  # … of the time that consumers were busy …
    handled: float = 0.0  # … and of what they handled

    @property
    def seconds(self) -> float | None:
        """How long a message takes; None while nothing is known."""
        if not self.worked:
            return None
        return self.worked / max(self.handled, 1.0)  # none is finished yet: it takes this long at least

    @property
    def used(self) -> float:
        """How many consumers were busy lately, on average."""
        return self.worked / self.weight if self.weight else 0.0


def scaled(scale: Scale, known: Scaling, sample: Sample) -> Scaling:
    """Return what is known and wanted after one more sample; to be called about once a second."""
    known = _noted(known, sample)
    count = min(scale.max, max(scale.min, known.count))
    if count != known.count:
        return replace(
            known, count=count, why=f"{known.count} → {count}: min is {scale.min}, max is {scale.max}"
        )
    wait = _wait(known, sample)
    ahead = _ahead(known, sample, count)
    late = wait > scale.target_wait and (known.seconds is None or ahead > scale.target_wait / 2)
    if late or ahead > scale.target_wait or (count == 0 and sample.waiting):
        return _more(scale, replace(known, calm=None), sample, wait, ahead)
    if sample.waiting and max(wait, ahead) > scale.target_wait / 2:
        return replace(known, calm=None)  # neither too few nor too many
    return _fewer(scale, replace(known, calm=known.calm if known.calm is not None else sample.at), sample)


def _noted(known: Scaling, sample: Sample) -> Scaling:
    passed = sample.at - known.at if known.at is not None else 0.0
    nonempty = (known.nonempty if known.nonempty is not None else sample.at) if sample.waiting else None
    if passed > _GAP_SECONDS:
        return Scaling(known.count, known.why, known.since, sample.at, sample.at if sample.waiting else None)
    fade = math.exp(-passed / MEMORY_SECONDS)
    return replace(
        known,
        at=sample.at,
        nonempty=nonempty,
        weight=known.weight * fade + passed,
        worked=known.worked * fade + passed * sample.busy,
        handled=known.handled * fade + sample.handled,
    )


def _wait(known: Scaling, sample: Sample) -> float:
    """Return how long the head has been waiting, as far as we saw: one that was due or came back is older."""
    return min(sample.oldest, sample.at - known.nonempty) if known.nonempty is not None else 0.0


def _ahead(known: Scaling, sample: Sample, count: int) -> float:
    """Return how long those that wait now would wait if nothing changed."""
    return sample.waiting * (known.seconds or 0.0) / max(count, 1)


def _more(scale: Scale, known: Scaling, sample: Sample, wait: float, ahead: float) -> Scaling:
    count = known.count
    if count >= scale.max or (sample.at - known.since < STEP_SECONDS and sample.ready < count):
        return known
    if sample.at - known.since < STEP_SECONDS / 2:
        return known
    enough = math.ceil(sample.waiting * known.seconds / scale.target_wait) if known.seconds else count + 1
    aim = min(scale.max, max(count + 1, min(enough, 2 * count)))
    new = min(aim, count + max(0, sample.room))
    if count == 0:
        why = f"{sample.waiting} wait, and nobody is there"
    elif wait > scale.target_wait:
        why = f"oldest waits {_span(wait)}, target {_span(scale.target_wait)}"
    else:
        why = f"{sample.waiting} wait, the last for {_span(ahead)}, target {_span(scale.target_wait)}"
    if new <= count:
        held = f"stays at {count}: {why}, but there is no memory or CPU for more"
        return replace(known, why=held)
    return replace(known, count=new, why=f"{count} → {new}: {why}", since=sample.at)


def _fewer(scale: Scale, known: Scaling, sample: Sample) -> Scaling:
    count = known.count
    assert known.calm is not None
    if count <= scale.min or sample.at - max(known.calm, known.since) < CALM_SECONDS:
        return known
    used = max(known.used, float(sample.busy)) if sample.waiting else known.used
    # By half at most: what is gone has to be born again if the load comes back.
    new = max(scale.min, count // 2, math.ceil(used / FULL) if used > 0.05 else 0, int(sample.waiting > 0))
    if new >= count:
        return known
    calm = _span(round(sample.at - known.calm))
    why = f"{count} → {new}: calm for {calm}, {known.used:.1f} were busy"
    return replace(known, count=new, why=why, since=sample.at)


def _span(seconds: float) -> str:
    return format_seconds(round(seconds, 1) if seconds < 10 else round(seconds))
