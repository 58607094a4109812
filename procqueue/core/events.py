"""What may happen to children: events go into the book (book.py), which the plan reads.

The process layer makes them of what it sees and hears. All moments are seconds of one monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Life(StrEnum):
    """How a living child stands. The dead are not in the book."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


class Reason(StrEnum):
    """Why a child left, or is to leave (last_exit.reason)."""

    MAX_MESSAGES = "max_messages"
    MAX_AGE = "max_age"
    MAX_MEMORY = "max_memory"
    MEMORY_HARD = "memory_hard"
    TIMEOUT = "timeout"
    RELOAD = "reload"
    SCALE = "scale"
    STOP = "stop"
    CRASH = "crash"
    IMPORT_ERROR = "import_error"
    START_TIMEOUT = "start_timeout"
    DISOWNED = "disowned"
    SILENT = "silent"  # the scheduler's loop stood still
    RESTART = "restart"
    EXIT = "exit"  # a program, with one of its ok_exit_codes
    CANNOT_START = "cannot_start"  # a program: no such file, user, directory …
    UNHEALTHY = "unhealthy"


#: Deaths that are the fault of the child or its start; all others were asked for.
UNCAUSED = frozenset({Reason.CRASH, Reason.IMPORT_ERROR, Reason.START_TIMEOUT, Reason.CANNOT_START})
#: Deaths that say nothing about the child: somebody, or a limit, wanted them.
ASKED = frozenset({
    Reason.MAX_MESSAGES, Reason.MAX_AGE, Reason.MAX_MEMORY, Reason.RELOAD, Reason.RESTART, Reason.SCALE,
    Reason.STOP, Reason.DISOWNED, Reason.UNHEALTHY,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Child:
    """One living child. `id` is unique for ever, `pool:index` is what people call it."""

    id: str
    pool: str
    index: int
    generation: int
    started: float
    program: bool = False  # it says nothing of itself: how it ends tells
    awaits: str = ""  # the template that is still to fork it; "" once the process is there
    life: Life = Life.STARTING
    loaded: bool = False  # its code is imported: what it waits for now is not its fault
    ready: float | None = None
    worked: bool = False  # has finished a message
    spent: Reason | None = None  # asks for its successor
    overdue: bool = False  # a message of it has passed its last deadline
    over_memory: bool = False  # above max_memory_hard
    silent: bool = False  # its loop stands still
    disowned: bool = False  # belongs to an identity of this host that is dead for ever
    stop_by: float | None = None
    leaving: Reason | None = None  # why it was told to go, or says that it goes
    killed: bool = False
    answered: float = float("-inf")  # a template: when it last carried out an order


@dataclass(frozen=True, slots=True)
class Forked:
    """A child was made."""

    child: Child


@dataclass(frozen=True, slots=True)
class Ordered:
    """A template was asked for a child, which has its id before it has a process."""

    child: Child


@dataclass(frozen=True, slots=True)
class Born:
    """The template has forked what was ordered of it."""

    id: str
    at: float


@dataclass(frozen=True, slots=True)
class Unborn:
    """The order will not be carried out: there is no such child."""

    id: str


@dataclass(frozen=True, slots=True)
class Unfit:
    """What the import of this generation left behind would be shared by all whom its template forks."""

    pool: str
    generation: int


@dataclass(frozen=True, slots=True)
class ForkFailed:
    """No child could be made: EAGAIN, ENOMEM, EMFILE."""

    pool: str
    at: float
    delay_max: float
    draw: float = 0.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """The child has imported its application."""

    id: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The child says that it can work. One that was told to stop meanwhile stays stopping."""

    id: str
    at: float


@dataclass(frozen=True, slots=True)
class Worked:
    """The child has finished its first message."""

    id: str


@dataclass(frozen=True, slots=True)
class Spent:
    """The child asks for its successor."""

    id: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Leaving:
    """The child says that it goes, and why."""

    id: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Overdue:
    """A message of the child has passed its last deadline."""

    id: str


@dataclass(frozen=True, slots=True)
class OverMemory:
    """The child is above max_memory_hard."""

    id: str


@dataclass(frozen=True, slots=True)
class Silent:
    """The child's loop stands still."""

    id: str


@dataclass(frozen=True, slots=True)
class Disowned:
    """The identity of this host under which the child works is dead for ever."""

    id: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """What seemed overdue had ended when one looked again."""

    id: str


@dataclass(frozen=True, slots=True)
class StopSent:
    """The child was told to finish and leave."""

    id: str
    reason: Reason
    stop_by: float


@dataclass(frozen=True, slots=True)
class KillSent:
    """SIGKILL is on its way."""

    id: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Proved:
    """A generation of a pool has stood the test."""

    pool: str
    generation: int


@dataclass(frozen=True, slots=True)
class Died:
    """The child is dead and reaped. `draw` in [0, 1) spreads the restarts of many."""

    id: str
    at: float
    reason: Reason
    delay_max: float
    draw: float = 0.0


@dataclass(frozen=True, slots=True)
class Away:
    """The master could not look for so many seconds: what anybody was to do in them was not seen."""

    seconds: float


Told = Loaded | Ready | Worked | Spent | Leaving | StopSent | KillSent
Found = Overdue | OverMemory | Silent | Disowned | Cleared
_Made = Forked | Ordered | Born | Unborn | Unfit | ForkFailed
Event = _Made | Told | Found | Proved | Died | Away
