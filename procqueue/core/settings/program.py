"""[processes.NAME] as frozen records: any command or callable that procqueue keeps alive beside the queues.

Defaults stand here. Strings may hold INDEX where the file says ${index}; `copy` gives one process without.
What makes these records is processes.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from procqueue.core.settings.environment import AS_THE_MASTER, MASTERS_OWN, Environment, LogTarget, numbered
from procqueue.core.settings.positions import Origin

LOCALHOST = "127.0.0.1"


class Restart(StrEnum):
    """What follows on a program that ended by itself."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"  # an exit code that is not in ok_exit_codes, or a signal
    NEVER = "never"


class How(StrEnum):
    """The ways to see that a program is ready, or healthy."""

    TIME = "time"  # it has been up for start_seconds
    NOTIFY = "notify"  # it says READY=1, as to systemd
    LINE = "line"  # it prints a line in which a regular expression is found
    TCP = "tcp"  # it accepts connections
    HTTP = "http"  # it answers with 2xx or 3xx


@dataclass(frozen=True, slots=True)
class Check:
    """How to see it, and `where`: the expression of a line, PORT or HOST:PORT of tcp, the URL of http."""

    how: How = How.TIME
    where: str = ""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of a tcp check whose ${index} is filled in; without a host it is this one."""
        host, _, port = self.where.rpartition(":")
        return host.strip("[]") or LOCALHOST, int(port)

    def at(self, index: int) -> Check:
        """The check of one copy."""
        return replace(self, where=numbered(self.where, index))


@dataclass(frozen=True, slots=True)
class Health:
    """A check that is asked again and again once the program is ready: tcp or http."""

    check: Check
    every: float = 10.0
    failures: int = 3  # so many in a row, and the program is replaced
    timeout: float = 5.0

    def at(self, index: int) -> Health:
        """The health check of one copy."""
        return replace(self, check=self.check.at(index))


@dataclass(frozen=True, slots=True)
class ProgramCopy:
    """One process of a program: what it runs, is born with, writes to, and is asked."""

    name: str  # "clock:0"
    index: int
    command: tuple[str, ...]
    target: str
    environment: Environment
    stdout: LogTarget
    stderr: LogTarget
    ready: Check
    health: Health | None


@dataclass(frozen=True, slots=True)
class ProgramSettings:
    """One program. Either `command`, its arguments, or `target`, a callable "module:function"."""

    name: str
    command: tuple[str, ...] = ()
    target: str = ""
    enabled: bool = True
    count: int = 1
    index_start: int = 0
    autostart: bool = True
    after: tuple[str, ...] = ()  # programs that have to be ready first
    essential: bool = False  # its failure ends the master
    restart: Restart = Restart.ALWAYS
    ok_exit_codes: tuple[int, ...] = (0,)
    start_seconds: float = 1.0
    start_retries: int | None = 3  # starts that may fail after the first; None: forever
    start_timeout: float = 30.0
    restart_delay_max: float = 30.0
    stop_signal: str = "TERM"  # as in signal.Signals, without SIG; or RTMIN+3
    stop_group: bool = False
    grace: float = 10.0
    ready: Check = Check()
    health: Health | None = None
    environment: Environment = AS_THE_MASTER
    stdout: LogTarget = MASTERS_OWN
    stderr: LogTarget = MASTERS_OWN
    log_max_bytes: int = 50_000_000  # 0: one file that grows
    log_backups: int = 10
    max_memory: int = 0
    max_memory_hard: int = 0
    max_age: float = 0.0
    origins: Mapping[str, Origin] = field(default_factory=dict, compare=False, repr=False)  # of written keys

    @property
    def indices(self) -> range:
        """The indices of its copies."""
        return range(self.index_start, self.index_start + self.count)

    def copy(self, index: int) -> ProgramCopy:
        """The process with this index, which may be beyond `indices` (scaled by hand)."""
        return ProgramCopy(
            name=f"{self.name}:{index}",
            index=index,
            command=tuple(numbered(word, index) for word in self.command),
            target=self.target,
            environment=self.environment.at(index),
            stdout=self.stdout.at(index),
            stderr=self.stderr.at(index),
            ready=self.ready.at(index),
            health=self.health.at(index) if self.health else None,
        )
