"""The tree of errors: everything procqueue raises on purpose, one sentence each.

    ProcqueueError
    ├── ConfigError            the configuration cannot be used; `problems` lists all of it
    ├── TaskError              a task is declared in a way that cannot work
    ├── NoMessage              current() was asked outside a message
    ├── AlreadyDecided         a second verdict was recorded for one run
    ├── PushError
    │   ├── UnknownQueue       the configuration has no such queue
    │   ├── BadArguments       the arguments do not fit the task, or are no JSON
    │   ├── TooLarge           the body is over max_body
    │   ├── GateClosed         the queue takes no messages now
    │   ├── Duplicate          a message with that unique key is there already
    │   ├── PushInterrupted    push_many ended early
    │   └── PushUnknown        the push was sent and its answer never came
    └── DriverError
        ├── DriverUnavailable  the store cannot be reached now; asking again later may succeed
        ├── Full               the store refuses to grow
        ├── Stale              the store's files were replaced: only a new process can go on
        ├── Newer              the stored layout is of a newer procqueue
        ├── Gap                a chunk of a session came before the one in front of it
        ├── UnknownSession     the store does not know the session of a chunk
        ├── Gone               this consumer was reclaimed: its id is dead
        └── Unknown            the store has never heard of this consumer

Control flow of handlers (Retry, Fail, SoftTimeout) stands below the tree: it is no failure of procqueue.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class ProcqueueError(Exception):
    """Base of all errors that procqueue raises on purpose."""


class Problem(NamedTuple):
    """One thing that is wrong with the configuration, and what to do about it."""

    file: str
    line: int  # 1-based; 0 where no line can be named
    key: str  # dotted, as written: "queues.emails.processes"
    text: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        about = f"{where}: {self.key}: {self.text}" if self.key else f"{where}: {self.text}"
        return f"{about} ({self.hint})" if self.hint else about


class ConfigError(ProcqueueError):
    """The configuration cannot be used; `problems` has every reason, in the order of the file."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


class TaskError(ProcqueueError, TypeError):
    """A task is declared in a way that cannot work."""


class NoMessage(ProcqueueError):
    """There is no current message: the code does not run inside a handler."""


class AlreadyDecided(ProcqueueError):
    """The handler recorded a second verdict (release, delete, fail) for the same run."""


class PushError(ProcqueueError):
    """The message was not pushed."""


class UnknownQueue(PushError):
    """The configuration has no queue of that name."""


class BadArguments(PushError, TypeError):
    """The arguments do not fit the task's signature, or cannot be written as JSON."""


class TooLarge(PushError):
    """The encoded message is larger than the driver's max_body."""


class GateClosed(PushError):
    """The gate of the queue is closed (`procqueue gate close`), and nothing was stored."""


class Duplicate(PushError):
    """A message with that unique key is there already (on_duplicate="raise"). `id` is that message's."""

    def __init__(self, text: str, id: str) -> None:
        super().__init__(text)
        self.id = id


class PushUnknown(PushError):
    """The push was sent, and no answer came: it may or may not be stored.

    `receipt.repeat()`, or `await receipt.arepeat()`, sends it again so that it is stored once (law D10).
    """

    def __init__(self, text: str, ids: tuple[str, ...] = (), receipt: Any = None) -> None:
        super().__init__(text)
        self.ids = ids
        self.receipt = receipt  # tasks.call.Unanswered


class PushInterrupted(PushError):
    """push_many ended early: `done` messages, in the order given, are stored."""

    def __init__(self, text: str, done: int) -> None:
        super().__init__(text)
        self.done = done


class DriverError(ProcqueueError):
    """The store refused or could not do what was asked."""


class DriverUnavailable(DriverError):
    """The store cannot be reached now; asking again later may succeed."""

    sent: bool = False  # True: the request had left, so it may have been carried out
    holder: int = 0  # the process of this host that keeps all others out, if one does and it is known


class Full(DriverError):
    """The store refuses to grow: its memory or disk is used up."""


class Stale(DriverError):
    """The store's files were removed or replaced under this process: only a new one can go on."""


class Newer(DriverError):
    """The stored layout was written by a newer procqueue than this one."""


class Gap(DriverError):
    """The chunk is not the next of its session: the store has those up to `last`. Nothing was stored."""

    def __init__(self, text: str, last: int) -> None:
        super().__init__(text)
        self.last = last


class UnknownSession(DriverError):
    """The store has never heard of this session, or no longer. Nothing was stored."""


class Gone(DriverError):
    """This consumer id was reclaimed; it is never used again, and the process has to leave."""


class Unknown(DriverError):
    """The store does not know this consumer id: it lost its memory, or a week has passed since its end."""


class Retry(Exception):
    """Raised by a handler: run this message again; counts an attempt.

    `after`: seconds, a duration such as "10s", or None for the delay of the policy.
    """

    def __init__(self, after: float | str | None = None) -> None:
        super().__init__(after)
        self.after = after


class Fail(Exception):
    """Raised by a handler: this message failed for good; no further attempt."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class SoftTimeout(BaseException):
    """handle_timeout has passed. A BaseException, so that `except Exception` does not swallow it."""


class Cancelled(SoftTimeout):
    """Somebody has cancelled the message that is being handled: finish soon, it will not be run again."""
