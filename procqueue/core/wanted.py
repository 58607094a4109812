"""What is wanted, and what is to be done about it: the two ends of the supervision plan (plan.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from procqueue.core.events import Reason
from procqueue.core.settings.program import Restart


@dataclass(frozen=True, slots=True)
class Rules:
    """What is wanted of one copy of a program beside what is wanted of all children.

    `start_retries`: so many failed starts are repeated, None for ever. `after`: the programs and queues that
    must be ready before it starts.
    """

    program: str
    restart: Restart = Restart.ALWAYS
    start_retries: int | None = 3
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pool:
    """What is wanted of one kind of child: the consumers of a queue, the scheduler, or templates.

    `last`: it is needed until all with a lower number are gone. `template`: the pool of templates that fork
    its children, "" for none; those of generations before `template_since` import for themselves; `insists`:
    also unfit ones. `is_template`: its children fork those of other pools; there is one of each generation of
    which a child may be wanted, whatever `count` says. `fresh`: why the generation was raised. `rules`: it is
    the copy number `index` of a program. Times are seconds.
    """

    name: str
    count: int
    surge: int = 1
    generation: int = 1
    start_timeout: float = 30.0
    start_seconds: float = 1.0
    grace: float = 25.0
    last: int = 0
    template: str = ""
    template_since: int = 1
    insists: bool = False
    is_template: bool = False
    fresh: Reason = Reason.RELOAD
    index: int = 0
    rules: Rules | None = None


class Phase(StrEnum):
    """What is wanted of the whole."""

    RUN = "run"
    STOP = "stop"  # soft
    KILL = "kill"  # hard


@dataclass(frozen=True, slots=True)
class Wanted:
    """Everything that is wanted. `graces`: of pools that are not wanted any more; their children leave."""

    pools: tuple[Pool, ...]
    phase: Phase = Phase.RUN
    graces: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fork:
    """Make a child; `template`: the id of the one that is to fork it, "" for the master itself."""

    pool: str
    index: int
    generation: int
    template: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell a child to finish what it runs and to leave, by `stop_by` (monotonic seconds)."""

    id: str
    reason: Reason
    stop_by: float


@dataclass(frozen=True, slots=True)
class Kill:
    """End a child and its process group now."""

    id: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Prove:
    """Note that this generation stands: from now on it may replace the others."""

    pool: str
    generation: int


Action = Fork | Stop | Kill | Prove


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, and when to ask again at the latest (None: only when something happens)."""

    actions: tuple[Action, ...]
    wake_at: float | None
    finished: bool = False
