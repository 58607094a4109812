"""What a task says about its own bad endings, laid over what its queue says: `@task` over `[queues.*]`.

The values are read by the same parsers as the configuration file, so that both understand the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from procqueue.core.errors import TaskError
from procqueue.core.policy import Policy
from procqueue.core.settings.model import OnTimeout, QueueSettings, RetryDelays
from procqueue.tasks.call import NOTHING, Asked, asked

#: What `retry_seconds` takes: a number or a duration, a list of them, or base, factor, max, jitter.
RetrySeconds = float | str | Iterable[float | str] | Mapping[str, float | str] | RetryDelays

ErrorClasses = type[BaseException] | Iterable[type[BaseException]]


@dataclass(frozen=True, slots=True)
class Options:
    """A task's own keys; None leaves the decision to the queue.

    `retry_on`: only these exceptions are tried again. `fail_on`: these never are; it wins over `retry_on`.
    """

    max_attempts: int | None = None  # 0: forever
    retry_seconds: RetryDelays | None = None
    retry_on: tuple[type[BaseException], ...] | None = None
    fail_on: tuple[type[BaseException], ...] = ()
    handle_timeout: float | None = None
    kill_after: float | None = None
    on_timeout: OnTimeout | None = None
    max_crashes: int | None = None
    executor: str | None = None  # auto, sync, threads, async
    asked: Asked = NOTHING  # of each of its pushes

    def over(self, queue: QueueSettings) -> Policy:
        """Return the policy in force for this task's messages on `queue`."""
        return Policy(
            max_attempts=_first(self.max_attempts, queue.max_attempts),
            retry_seconds=_first(self.retry_seconds, queue.retry_seconds),
            max_crashes=_first(self.max_crashes, queue.max_crashes),
            on_timeout=_first(self.on_timeout, queue.on_timeout),
            handle_timeout=_first(self.handle_timeout, queue.handle_timeout),
            kill_after=_first(self.kill_after, queue.kill_after),
            unknown_task_wait=queue.unknown_task_wait,
        )

    def is_final(self, error: BaseException) -> bool:
        """Return whether a handler that ended with `error` is not to be run again."""
        if isinstance(error, self.fail_on):
            return True
        return self.retry_on is not None and not isinstance(error, self.retry_on)


NO_OPTIONS = Options()

_ASKED_KEYS = ("expires", "priority", "unique", "until", "on_duplicate")


def queue_policy(queue: QueueSettings) -> Policy:
    """Return the policy of `queue` itself: for messages whose task is unknown, or cannot be read."""
    return NO_OPTIONS.over(queue)


def read_options(written: Mapping[str, Any]) -> Options:
    """Return the keys of one `@task(…)` that are not None. Raises TaskError naming the key."""
    given = {key: value for key, value in written.items() if value is not None}
    if not given:
        return NO_OPTIONS
    readers = _readers()
    options: dict[str, Any] = {}
    if wishes := {key: given.pop(key) for key in _ASKED_KEYS if key in given}:
        try:
            options["asked"] = asked(**wishes).checked()
        except (ValueError, TypeError) as error:
            raise TaskError(str(error)) from None
    for key, value in given.items():
        if key not in readers:
            raise TaskError(f"{key}: {_unknown(key, readers)}")
        try:
            options[key] = readers[key](value)
        except (ValueError, TypeError) as error:
            raise TaskError(f"{key}: {error}") from None
    return Options(**options)


def _readers() -> dict[str, Any]:
    from procqueue.core.settings import readers as read  # only a task with keys of its own pays for it

    return {
        "max_attempts": read.max_attempts,
        "retry_seconds": lambda value: _delays(value, read.retry_delays),
        "retry_on": _classes,
        "fail_on": _classes,
        "handle_timeout": read.duration,
        "kill_after": read.needed_duration(0.05),
        "on_timeout": lambda value: OnTimeout(read.choice(*OnTimeout)(value)),
        "max_crashes": read.whole(1, 1_000_000),
        "executor": read.choice(*read.EXECUTORS),
    }


def _unknown(key: str, known: Iterable[str]) -> str:
    from procqueue.core.settings.wrong import nearest

    known = [*known, *_ASKED_KEYS, "queue", "name", "aliases"]
    return f"there is no such key; {nearest(key, known) or 'the keys are ' + ', '.join(known)}"


def _delays(value: Any, read: Any) -> Any:
    if isinstance(value, RetryDelays):
        return value
    if isinstance(value, (str, int, float, list, tuple)):
        return read(value)
    return read(dict(value) if isinstance(value, Mapping) else list(value))


def _classes(value: Any) -> tuple[type[BaseException], ...]:
    classes = (value,) if isinstance(value, type) else tuple(value)
    for one in classes:
        if not (isinstance(one, type) and issubclass(one, BaseException)):
            raise TypeError(f"{one!r} is no class of exceptions")
    return classes


def _first(own: Any, inherited: Any) -> Any:
    return inherited if own is None else own
