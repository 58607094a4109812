"""What the configuration says, as frozen records: the only form in which the rest of procqueue sees it.

Defaults stand here and nowhere else. Times are seconds, sizes are bytes, 0 switches a limit off, paths are
absolute. Imported by the small verbs too, so nothing here is slow to import. What makes them is decode.py.
Two configurations that compare equal want the same: lines of the file are kept, and not compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from procqueue.core.errors import Problem
from procqueue.core.settings.environment import (
    AS_THE_MASTER,
    MASTERS_OWN,
    WITH_STDOUT,
    Environment,
    LogTarget,
)
from procqueue.core.settings.positions import Origin
from procqueue.core.settings.program import ProgramSettings
from procqueue.core.settings.web import WebSettings
from procqueue.core.units import MAX_SECONDS

GRACE_WITHOUT_TIMEOUT = 25.0  # fits the 30 s that systemd-run containers and Kubernetes give by default


class OnTimeout(StrEnum):
    """What becomes of a message whose handler was killed at its deadline, or ended after it."""

    RETRY = "retry"
    PARK = "park"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class RetryDelays:
    """The pauses between the attempts of a message: a list whose last repeats, or a growing series.

    `listed`, if not empty, is the list (seconds). Otherwise the n-th pause is base * factor ** n, at most
    `max` (0: no limit), shortened by a random share of up to `jitter`, so that what failed together parts.
    """

    listed: tuple[float, ...] = ()
    base: float = 5.0
    factor: float = 2.0
    max: float = 3600.0
    jitter: float = 0.0

    def delay(self, attempts_before: int, draw: float = 0.0) -> float:
        """Seconds to wait after a run that ended badly and had `attempts_before` such runs before it.

        `draw` is a random number in [0, 1); only jitter uses it.
        """
        if self.listed:
            return self.listed[min(max(attempts_before, 0), len(self.listed) - 1)]
        limit = self.max or MAX_SECONDS
        try:
            pause = min(self.base * float(self.factor) ** max(attempts_before, 0), limit)
        except OverflowError:
            pause = limit
        return pause * (1.0 - self.jitter * draw)


@dataclass(frozen=True, slots=True)
class DriverSettings:
    """Where messages are stored. `url` is complete (also with the password): print it through urls.masked."""

    url: str = field(repr=False)
    prefix: str = "pq"
    durability: str = "store"  # redis: store; sqlite: fsync | normal
    connect_timeout: float = 5.0
    timeout: float = 5.0
    max_body: int = 1 << 20
    mode: int = 0o600
    group: str = ""  # a name or a number; "": that of who makes the files

    @property
    def scheme(self) -> str:
        """The kind of driver: redis, rediss, unix, redis+sentinel, sqlite or sync."""
        return self.url.partition(":")[0]


@dataclass(frozen=True, slots=True)
class MasterSettings:
    """The master's own place and patience."""

    state_dir: str
    socket_mode: int = 0o600
    socket_group: str = ""  # a name or a number; "": that of the master
    name: str = ""
    grace: float | None = None  # None: auto; a number caps the grace of all queues
    host_timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class LoggingSettings:
    """Lines of procqueue's own, and where those of children go that name nothing else."""

    level: str = "info"  # debug | info | warning | error
    format: Literal["text", "json"] = "text"
    file: LogTarget = MASTERS_OWN
    max_bytes: int = 50_000_000  # 0: one file that grows
    backups: int = 10


@dataclass(frozen=True, slots=True)
class ReloadSettings:
    """Whether changed files are a reason to reload, and which files."""

    paths: tuple[str, ...]
    ignore: tuple[str, ...] = ()  # patterns
    enabled: Literal["auto", "always", "never"] = "auto"


@dataclass(frozen=True, slots=True)
class HookSettings:
    """Commands (each a list of arguments, run without a shell) for what people want to hear of."""

    on_fatal: tuple[tuple[str, ...], ...] = ()
    on_crash_loop: tuple[tuple[str, ...], ...] = ()
    on_problem: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """A number of consumers that follows the load: more while the oldest message waits over `target_wait`."""

    max: int
    min: int = 1
    target_wait: float = 5.0


@dataclass(frozen=True, slots=True)
class Keep:
    """How many messages that nobody will run are kept, and how long (seconds); 0: no limit."""

    count: int = 100_000
    age: float = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """One queue, and the consumers that belong to it."""

    name: str
    enabled: bool = True
    app: tuple[str, ...] = ()  # what this queue adds to Settings.app
    processes: int = 1  # with a scale: its least
    scale: Scale | None = None
    serves: tuple[str, ...] = ()  # in strict order; left empty, it becomes the queue itself
    weights: tuple[int, ...] = ()  # of each in `serves`, if they are served by weight and not in order
    handle_timeout: float = 60.0
    kill_after: float = 5.0
    on_timeout: OnTimeout = OnTimeout.RETRY
    max_attempts: int = 3  # 0: forever
    retry_seconds: RetryDelays = RetryDelays(listed=(5.0, 30.0, 300.0))
    max_crashes: int = 3
    max_messages: int = 0
    max_age: float = 0.0
    jitter: float = 0.1
    max_memory: int = 0
    max_memory_hard: int = 0
    grace: float | None = None  # None: derived from handle_timeout and kill_after
    surge: int = 1
    after_timeout: Literal["recycle", "keep"] = "recycle"
    start_timeout: float = 30.0
    start_seconds: float = 1.0
    restart_delay_max: float = 30.0
    unknown_task_wait: float = 600.0
    gate_closed: Literal["raise", "drop"] = "raise"
    length_levels: tuple[tuple[str, int], ...] = (("info", 10), ("warning", 50), ("error", 500))
    keep_failed: Keep = Keep()
    keep_timeout: Keep = Keep()
    concurrency: int = 1
    max_running: int = 0  # over all consumers and hosts
    executor: str = "auto"  # auto | sync | threads | async
    loop: str = "asyncio"  # | uvloop
    preload: str = "auto"  # auto | always | never
    driver: str = ""  # one of Settings.drivers; "": Settings.driver
    environment: Environment = AS_THE_MASTER
    stdout: LogTarget = MASTERS_OWN
    stderr: LogTarget = WITH_STDOUT
    origins: Mapping[str, Origin] = field(default_factory=dict, compare=False, repr=False)  # of written keys

    def __post_init__(self) -> None:
        if not self.serves:
            object.__setattr__(self, "serves", (self.name,))

    @property
    def most_processes(self) -> int:
        """The largest number of consumers that the file allows."""
        return self.scale.max if self.scale else self.processes

    def effective_grace(self, cap: float | None = None) -> float:
        """Seconds between soft stop and hard kill: the number written, else handle_timeout + kill_after.

        25 s where handle_timeout is off. `cap` (the master's grace, or what a container gives) bounds it all.
        """
        if self.grace is not None:
            own = self.grace
        elif self.handle_timeout:
            own = self.handle_timeout + self.kill_after
        else:
            own = GRACE_WITHOUT_TIMEOUT
        return own if cap is None else min(own, cap)


@dataclass(frozen=True, slots=True)
class CronSettings:
    """What is pushed at times of the clock, once for each tick over all hosts."""

    name: str
    task: str
    schedule: str
    queue: str = "default"  # neither master nor scheduler knows the task's own: they never import it
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    timezone: str = "UTC"
    catch_up: Literal["none", "last", "all"] = "last"
    overlap: Literal["skip", "allow"] = "skip"
    origins: Mapping[str, Origin] = field(default_factory=dict, compare=False, repr=False)

    def place(self, key: str) -> tuple[str, int]:
        """The file and line of a key, of any of its keys if that one is not written."""
        origin = self.origins.get(key) or next(iter(self.origins.values()), None)
        return (origin.file, origin.line) if origin else ("", 0)


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration of one application on this host."""

    file: str  # the main file, absolute, symbolic links kept
    root: str
    path: str  # goes on sys.path
    app: tuple[str, ...]
    driver: DriverSettings
    master: MasterSettings
    queues: dict[str, QueueSettings]
    programs: dict[str, ProgramSettings]
    groups: dict[str, tuple[str, ...]]  # of queues and programs
    reload: ReloadSettings
    drivers: dict[str, DriverSettings] = field(default_factory=dict)  # those with a name
    crons: dict[str, CronSettings] = field(default_factory=dict)
    logging: LoggingSettings = LoggingSettings()
    hooks: HookSettings = HookSettings()
    web: WebSettings = field(default_factory=WebSettings)
    files: tuple[str, ...] = field(default=(), compare=False)  # all files read, the main file first
    warnings: tuple[Problem, ...] = field(default=(), compare=False)
    origins: Mapping[str, Origin] = field(default_factory=dict, compare=False, repr=False)  # "driver.url" …

    @property
    def needs_driver(self) -> bool:
        """Whether anybody has to open the driver: with programs alone nobody does."""
        return bool(self.queues)

    @property
    def used_drivers(self) -> dict[str, DriverSettings]:
        """The drivers of the queues, by name; "" is the one without."""
        names = dict.fromkeys(queue.driver for queue in self.queues.values())
        return {name: self.drivers[name] if name else self.driver for name in names}

    def driver_of(self, queue: str) -> DriverSettings:
        """The driver of a queue."""
        name = self.queues[queue].driver
        return self.drivers[name] if name else self.driver

    def of_driver(self, name: str) -> Settings:
        """What of it belongs to one driver, as if there were no other."""
        queues = {one.name: replace(one, driver="") for one in self.queues.values() if one.driver == name}
        return replace(
            self,
            driver=self.drivers[name] if name else self.driver,
            drivers={},
            queues=queues,
            crons={cron.name: cron for cron in self.crons.values() if cron.queue in queues},
        )

    def nothing_to_run(self) -> Problem | None:
        """Why `start` has nothing to do with this configuration, though producers can use it; or None."""
        if self.driver.scheme != "sync":  # no other can be: see drivers.py
            return None
        text = "sync:// runs each task inside push, so there is nothing for start to run"
        return Problem(self.file, 0, "driver.url", text, "for consumers, use a redis:// or sqlite:/// url")
