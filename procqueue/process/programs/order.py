"""What is asked for when one copy of a program is to be started, and what is told when it cannot be.

Plain records: nothing here touches the system. Next: environment.py (becoming it), exec.py (starting it).
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field

from procqueue.core.settings.environment import Environment

#: What may be gone at the next attempt, though nobody changed a file: shortages and network disks.
_PASSING = frozenset(
    {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ETXTBSY, errno.ESTALE}
)


@dataclass(frozen=True, slots=True)
class Order:
    """One copy of a program, to be started.

    Either `argv` or `target` ("module:callable", found with `path` on sys.path). `owner` marks everything
    that comes of it: "<host>.<id>", never used again. `stdout`, `stderr`: descriptors of the caller, None
    for /dev/null. `notify_socket`: where it may speak of itself, "" for nowhere. `descriptors`: its limits
    (soft, hard) where the master has raised its own. `stacks`: where a target writes its
    stacks, a directory. `oom_score_adj`: None leaves the master's.
    """

    name: str
    index: int
    owner: str
    argv: tuple[str, ...] = ()
    target: str = ""
    path: str = ""
    environment: Environment = field(default_factory=Environment)
    own_session: bool = True
    stdout: int | None = None
    stderr: int | None = None
    notify_socket: str = ""
    descriptors: tuple[int, int] | None = None
    stacks: str = ""
    oom_score_adj: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a process could not begin: the key of the configuration that asked for too much, and its value."""

    key: str
    value: str
    why: str
    code: int = 0  # errno, 0 where there is none

    @property
    def may_pass(self) -> bool:
        """True if trying again may help although no file was changed."""
        return self.code in _PASSING

    def sentence(self, table: str, place: str = "") -> str:
        """Return it for people. `table`: "processes.clock"; `place`: "queues.toml:41", "" if unknown."""
        about = " ".join(part for part in (f"[{table}]", self.key, self.value) if part)
        return f"cannot start: {about}: {self.why}" + (f" ({place})" if place else "")
