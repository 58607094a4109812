"""procqueue keeps queue consumers running: a supervisor and a message queue in one command.

    from procqueue import task

    @task(queue="emails")
    def welcome(user_id: int) -> None: ...

    welcome.push(42)

Importing this module does no I/O and imports next to nothing: each name comes with its first use.
"""

TYPE_CHECKING = False  # `from typing import` would cost more than all of this
if TYPE_CHECKING:
    from procqueue.core.errors import AlreadyDecided as AlreadyDecided
    from procqueue.core.errors import BadArguments as BadArguments
    from procqueue.core.errors import Cancelled as Cancelled
    from procqueue.core.errors import ConfigError as ConfigError
    from procqueue.core.errors import DriverError as DriverError
    from procqueue.core.errors import DriverUnavailable as DriverUnavailable
    from procqueue.core.errors import Duplicate as Duplicate
    from procqueue.core.errors import Fail as Fail
    from procqueue.core.errors import Full as Full
    from procqueue.core.errors import GateClosed as GateClosed
    from procqueue.core.errors import NoMessage as NoMessage
    from procqueue.core.errors import ProcqueueError as ProcqueueError
    from procqueue.core.errors import PushError as PushError
    from procqueue.core.errors import PushInterrupted as PushInterrupted
    from procqueue.core.errors import PushUnknown as PushUnknown
    from procqueue.core.errors import Retry as Retry
    from procqueue.core.errors import SoftTimeout as SoftTimeout
    from procqueue.core.errors import TaskError as TaskError
    from procqueue.core.errors import TooLarge as TooLarge
    from procqueue.core.errors import UnknownQueue as UnknownQueue
    from procqueue.producer import aclose as aclose
    from procqueue.producer import close as close
    from procqueue.producer import connect as connect
    from procqueue.producer import push as push
    from procqueue.producer import queue as queue
    from procqueue.producer import using as using
    from procqueue.stored.groups import Group as Group
    from procqueue.stored.queue import Changed as Changed
    from procqueue.stored.queue import Queue as Queue
    from procqueue.stored.view import StoredMessage as StoredMessage
    from procqueue.tasks.call import Call as Call
    from procqueue.tasks.call import PushedMany as PushedMany
    from procqueue.tasks.call import Receipt as Receipt
    from procqueue.tasks.context import Message as Message
    from procqueue.tasks.context import current as current
    from procqueue.tasks.context import current_or_none as current_or_none
    from procqueue.tasks.failure import Failure as Failure
    from procqueue.tasks.listeners import Event as Event
    from procqueue.tasks.listeners import on as on
    from procqueue.tasks.middleware import Push as Push
    from procqueue.tasks.middleware import around as around
    from procqueue.tasks.middleware import around_push as around_push
    from procqueue.tasks.middleware import consumer_setup as consumer_setup
    from procqueue.tasks.middleware import consumer_teardown as consumer_teardown
    from procqueue.tasks.stopping import Stopping as Stopping
    from procqueue.tasks.stopping import stopping as stopping
    from procqueue.tasks.task import Task as Task
    from procqueue.tasks.task import task as task

__version__ = "0.1.0"

#: Where each public name lives; the same list as above, for the running program.
_HOMES = {
    "procqueue.core.errors": (
        "AlreadyDecided", "BadArguments", "Cancelled", "ConfigError", "DriverError", "DriverUnavailable",
        "Duplicate", "Fail", "Full", "GateClosed", "NoMessage", "ProcqueueError", "PushError",
        "PushInterrupted", "PushUnknown", "Retry", "SoftTimeout", "TaskError", "TooLarge", "UnknownQueue",
    ),
    "procqueue.producer": ("aclose", "close", "connect", "push", "queue", "using"),
    "procqueue.stored.groups": ("Group",),
    "procqueue.stored.queue": ("Changed", "Queue"),
    "procqueue.stored.view": ("StoredMessage",),
    "procqueue.tasks.call": ("Call", "PushedMany", "Receipt"),
    "procqueue.tasks.context": ("Message", "current", "current_or_none"),
    "procqueue.tasks.failure": ("Failure",),
    "procqueue.tasks.listeners": ("Event", "on"),
    "procqueue.tasks.middleware": ("Push", "around", "around_push", "consumer_setup", "consumer_teardown"),
    "procqueue.tasks.stopping": ("Stopping", "stopping"),
    "procqueue.tasks.task": ("Task", "task"),
}  # fmt: skip

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]

if not TYPE_CHECKING:  # else every misspelt name would look right to a type checker

    def __getattr__(name: str) -> object:
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOME_OF})
