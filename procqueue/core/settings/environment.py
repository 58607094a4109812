"""What a process is born with (user, variables, directory, limits), and where its output goes.

Shared by queues and programs, and compared by reload: equal records mean that nothing is to be done. Users,
groups and files are names here; they are looked up in the child that needs them. Read on with program.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from procqueue.core.settings.places import placed

#: Stands for ${index} until a copy is made: the one character that no argument, variable or path can hold.
INDEX = "\0"
UNLIMITED = -1  # as resource.RLIM_INFINITY


def numbered(text: str, index: int) -> str:
    """`text` as the copy with this index has it."""
    return text.replace(INDEX, str(index))


class Limit(NamedTuple):
    """A resource limit: `name` is nofile, nproc, core, as, cpu, fsize, memlock or stack; sizes are bytes."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Environment:
    """What the process has of its own; "", None and 0 leave what the master has.

    `env` lies over what `env_file` says, which lies over the master's environment. Both are sorted, as the
    limits are: another order in the file is no change.
    """

    user: str = ""  # a name or a number
    group: str = ""  # a name or a number; "": that of the user
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # it may hold secrets
    env_file: str = ""
    cwd: str = ""  # "": the root
    umask: int | None = None
    nice: int = 0
    limits: tuple[Limit, ...] = ()
    login_env: bool = True  # with a user: HOME, USER, LOGNAME and SHELL are his

    def at(self, index: int) -> Environment:
        """The environment of one copy."""
        return replace(
            self,
            env=tuple((name, numbered(text, index)) for name, text in self.env),
            env_file=numbered(self.env_file, index),
            cwd=numbered(self.cwd, index),
        )


class To(StrEnum):
    """Where lines go."""

    MASTER = "master"  # the master's own stdout or stderr
    STDOUT = "stdout"  # of a stderr: where the stdout goes
    NONE = "none"
    SYSLOG = "syslog"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class LogTarget:
    """Where one stream of output goes; `path`, of To.FILE only, is absolute."""

    to: To = To.MASTER
    path: str = ""

    def at(self, index: int) -> LogTarget:
        """The target of one copy."""
        return replace(self, path=numbered(self.path, index))


AS_THE_MASTER = Environment()
MASTERS_OWN = LogTarget()
WITH_STDOUT = LogTarget(To.STDOUT)


def placed_target(root: str, target: LogTarget) -> LogTarget:
    """`target` with its path, if it has one, made absolute."""
    return replace(target, path=placed(root, target.path)) if target.to is To.FILE else target
