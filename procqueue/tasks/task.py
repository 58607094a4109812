"""`@task`: a function becomes a task that can be called, pushed, and told about its failures.

Declaring does no I/O and imports nothing that could: the producer, which stands beside the tasks and not
below them, is imported by the first push.
Next to read: registry.py (names), arguments.py (what may be pushed), producer.py (where it goes).
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, Protocol, TypeVar, overload

from procqueue.core import wire
from procqueue.core.errors import BadArguments, TaskError
from procqueue.core.policy import Policy
from procqueue.core.settings.model import OnTimeout, QueueSettings
from procqueue.tasks import registry
from procqueue.tasks.arguments import Arguments, encode
from procqueue.tasks.call import (
    ANYWHERE,
    NOTHING,
    Call,
    Delay,
    OnDuplicate,
    Placed,
    PushedMany,
    Receipt,
    placed,
)
from procqueue.tasks.classes import Handles, Instance, is_reachable, why_not
from procqueue.tasks.options import ErrorClasses, Options, RetrySeconds, read_options

if TYPE_CHECKING:
    from procqueue.tasks.failure import Failure

P = ParamSpec("P")
R = TypeVar("R")
Hook = TypeVar("Hook", bound="Callable[[Failure], object]")

_NAME = re.compile(r"\S{1,250}")


class Task(Generic[P, R]):
    """A named function whose calls can be pushed. Calling it is a plain call."""

    __name__: str

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str,
        queue: str = "default",
        aliases: tuple[str, ...] = (),
        options: Options | None = None,
        instance: Instance | None = None,
    ) -> None:
        self.function = function
        self.name = name
        self.queue = queue
        self.aliases = aliases
        self.options = options or Options()
        asked = self.options.asked
        self._anywhere = ANYWHERE if asked == NOTHING else replace(ANYWHERE, asked=asked)
        self.instance = instance  # of a class
        self.is_async = inspect.iscoroutinefunction(function if instance is None else instance.kind.handle)
        self.failed_hook: Callable[[Failure], object] | None = None
        if instance is not None and hasattr(instance.kind, "failed"):
            self.failed_hook = instance.failed
        self._policies: dict[int, tuple[QueueSettings, Policy]] = {}
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Task {self.name} of queue {self.queue}>"

    def push(self, *args: P.args, **kwargs: P.kwargs) -> Receipt:
        """Store a message that runs this task with these arguments.

        Raises BadArguments, TooLarge, UnknownQueue; DriverUnavailable if it could not be stored in time,
        PushUnknown if it was sent and no answer came: `.receipt.repeat()` sends it again, stored once.
        """
        from procqueue import producer

        return producer.push_body(self.name, self.queue, self.encode(args, kwargs), self._anywhere)

    async def apush(self, *args: P.args, **kwargs: P.kwargs) -> Receipt:
        """Push without blocking the event loop; see push."""
        from procqueue import producer

        return await producer.apush_body(self.name, self.queue, self.encode(args, kwargs), self._anywhere)

    def using(
        self,
        *,
        delay: Delay | None = None,
        at: datetime | None = None,
        queue: str | None = None,
        id: str | None = None,
        remember: Delay | None = None,
        expires: Delay | None = None,
        priority: int | None = None,
        unique: bool | str | None = None,
        until: Delay | None = None,
        on_duplicate: OnDuplicate | None = None,
        debounce: Delay | None = None,
    ) -> Using[P]:
        """Return this task with options for its pushes.

        `delay` is seconds, "10m" or a timedelta; `at` a datetime with a time zone; both at once is an error.
        `id` is up to 128 of A-Z a-z 0-9 . _ : @ - and unique in its queue while its message exists, and for
        `remember` (written like `delay`) after the message was handled or forgotten.

        `expires`: not begun so long after the push, it is dropped. `priority`: -9 to 9, higher goes first.
        `unique`: True (this task with the same arguments, written the same way) or a key that only one
        message of the queue may have `until` it is "done" or "begun", or for a time; `on_duplicate`: "drop"
        the new one, "replace" what still waits, or "raise" Duplicate. `debounce`: run once, so long after
        the last push; that is a delay with unique=True, replaced until it begins.
        """
        where = placed(
            delay, at, queue, id, remember, debounce=debounce, before=self.options.asked, expires=expires,
            priority=priority, unique=unique, until=until, on_duplicate=on_duplicate,
        )  # fmt: skip
        return Using(self, where)

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call:
        """Return these arguments as a call, for push_many."""
        return Call(self.name, args, dict(kwargs))

    def push_many(self, calls: Iterable[Call], chunk: int = 100) -> PushedMany:
        """Push calls of this task, reading them lazily, in one round trip for each `chunk` (at most 100).

        A chunk is stored whole or not at all. Raises PushInterrupted, whose `done` says how many calls, in
        the order given, are stored, and whose cause says why it ended. Duplicates are counted, never raised.
        """
        from procqueue import producer

        bodies = (self._encode_call(call) for call in calls)
        return producer.push_bodies(self.name, self.queue, bodies, chunk, self.options.asked)

    def on_failed(self, hook: Hook) -> Hook:
        """Have `hook` called with the Failure of a message that is not run again. At least once, anywhere."""
        if inspect.iscoroutinefunction(hook):
            raise TaskError(f"{self.name}: on_failed is for plain functions, and {_place(hook)} is async")
        if self.failed_hook is not None:
            raise TaskError(f"{self.name} has an on_failed already: {_place(self.failed_hook)}")
        self.failed_hook = hook
        return hook

    def policy(self, queue: QueueSettings) -> Policy:
        """Return the policy in force for this task's messages on `queue`: its own keys over the queue's."""
        known = self._policies.get(id(queue))
        if known is None:
            # The settings are kept beside the policy: while they live, nothing else has their id().
            known = self._policies[id(queue)] = (queue, self.options.over(queue))
        return known[1]

    @functools.cached_property
    def arguments(self) -> Arguments:
        """How the function takes its arguments; known at the first use, when all annotations are defined."""
        return Arguments(self.function)

    @functools.cached_property
    def place(self) -> str:
        """Where the function stands: "module.name (file:line)"."""
        return _place(inspect.unwrap(self.function) if self.instance else self.function)

    @property
    def origin(self) -> tuple[str, str]:
        """What makes two declarations the same one: the module and the name of the function in it."""
        return self.function.__module__, self.function.__qualname__

    def encode(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """Return the body of a message with these arguments. Raises BadArguments as the consumer would."""
        body, document = encode(self.name, args, kwargs)
        try:
            self.arguments.bind(document)
        except BadArguments as error:
            raise BadArguments(f"{self.name}: {error}") from None
        return body

    def _encode_call(self, call: Call) -> bytes:
        if not isinstance(call, Call):
            raise BadArguments(f"push_many takes calls, as call(…) of the task makes them, not {call!r:.60}")
        if call.task != self.name:
            raise ValueError(f"{call.task} is another task than {self.name}, whose push_many this is")
        return self.encode(call.args, call.kwargs)


class Using(Generic[P]):
    """A task with options for its pushes; what `task.using(…)` returns. It can be used many times."""

    __slots__ = ("_placed", "_task")

    def __init__(self, task: Task[P, Any], placed: Placed) -> None:
        self._task = task
        self._placed = placed

    def push(self, *args: P.args, **kwargs: P.kwargs) -> Receipt:
        """Push as Task.push does, with these options."""
        from procqueue import producer

        task = self._task
        return producer.push_body(task.name, task.queue, task.encode(args, kwargs), self._placed)

    async def apush(self, *args: P.args, **kwargs: P.kwargs) -> Receipt:
        """Push without blocking the event loop; see push."""
        from procqueue import producer

        task = self._task
        return await producer.apush_body(task.name, task.queue, task.encode(args, kwargs), self._placed)


class Declare(Protocol):
    """What task(…) returns: it makes a task of a function, or of a class."""

    @overload
    def __call__(self, function: type[Handles[P, R]], /) -> Task[P, R]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(function: type[Handles[P, R]], /) -> Task[P, R]: ...


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(
    *,
    queue: str = "default",
    name: str | None = None,
    aliases: Iterable[str] = (),
    max_attempts: int | str | None = None,
    retry_seconds: RetrySeconds | None = None,
    retry_on: ErrorClasses | None = None,
    fail_on: ErrorClasses | None = None,
    handle_timeout: float | str | None = None,
    kill_after: float | str | None = None,
    on_timeout: OnTimeout | str | None = None,
    max_crashes: int | None = None,
    expires: Delay | None = None,
    priority: int | None = None,
    unique: bool | str | None = None,
    until: Delay | None = None,
    on_duplicate: OnDuplicate | None = None,
    executor: str | None = None,
) -> Declare: ...


def task(
    function: Callable[..., Any] | None = None,
    /,
    *,
    queue: str = "default",
    name: str | None = None,
    aliases: Iterable[str] = (),
    **options: Any,
) -> Any:
    """Declare a function as a task: `@task`, or `@task(queue="emails", max_attempts=5)`.

    A class with a method `handle` becomes one by `thumb = task(queue="images")(Thumb)`: each consumer makes
    one instance, calls its `setup()` before it is ready, and its `teardown()` when it leaves.

    `name` is module.qualname unless given, `aliases` are older names whose messages it handles too.
    The other keys lie over those of the queue. Raises TaskError saying what is wrong and what to do.
    """

    def declare(function: Callable[..., Any]) -> Task[..., Any]:
        _check_function(function)
        own = _stable_name(function) if name is None else _checked_name(name, function)
        others = (aliases,) if isinstance(aliases, str) else tuple(aliases)
        try:
            read = read_options(options)
            _check_executor(function, read.executor)
        except TaskError as error:
            raise TaskError(f"{_place(function)}: @task({error})") from None
        instance = Instance(function) if isinstance(function, type) else None
        declared = Task(
            function if instance is None else instance.handler(),
            name=own,
            queue=_checked_queue(queue, function),
            aliases=tuple(_checked_name(alias, function) for alias in others),
            options=read,
            instance=instance,
        )
        registry.register(declared)
        return declared

    return declare if function is None else declare(function)


def _check_function(function: Any) -> None:
    if isinstance(function, Task):
        _refuse(function.function, "it is a task already: one @task is enough")
    if isinstance(function, type):
        _check_class(function)
        return
    if not isinstance(function, FunctionType):
        _refuse(function, "a task is a plain function, defined with def at the top of a module")
    if inspect.isasyncgenfunction(function):
        _refuse(function, "it is an async generator (it has a yield), so calling it would run nothing")
    if inspect.isgeneratorfunction(function):
        _refuse(function, "it is a generator (it has a yield), so calling it would run nothing")
    where, _, _ = function.__qualname__.rpartition(".")
    if where and not where.endswith("<locals>"):
        _refuse(function, f"it is a method of {where}; decorate a function at the top of a module")


def _check_executor(function: Callable[..., Any], executor: str | None) -> None:
    is_async = inspect.iscoroutinefunction(getattr(function, "handle", function))
    if is_async and executor in ("sync", "threads"):
        raise TaskError(f'executor: "{executor}" is for def; an async def runs on the event loop')
    if not is_async and executor == "async":
        raise TaskError('executor: "async" is for async def; a def runs "sync" or in "threads"')


def _check_class(kind: type[Any]) -> None:
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    # Above a class statement the class has no name yet; and afterwards its name would mean the task.
    known = frame is None or any(value is kind for value in frame.f_locals.values())
    if not (known or is_reachable(kind)):
        name = kind.__name__
        _refuse(kind, f"@task above a class would hide it; write below it: {name.lower()} = task(…)({name})")
    if why := why_not(kind):
        _refuse(kind, why)


def _stable_name(function: Callable[..., Any]) -> str:
    if function.__module__ == "__main__":
        _refuse(
            function,
            "it stands in the program that was started (__main__), which a consumer cannot import; "
            'move it to a module, or name it: @task(name="…")',
        )
    if "<" in function.__qualname__:
        kind = "a lambda" if function.__name__ == "<lambda>" else "defined inside a function"
        _refuse(function, f'it is {kind}, so it has no stable name; give it one: @task(name="…")')
    return f"{function.__module__}.{function.__qualname__}"


def _checked_name(name: object, function: Callable[..., Any]) -> str:
    if not (isinstance(name, str) and _NAME.fullmatch(name) and name.isprintable()):
        _refuse(function, f"{name!r} cannot be its name: 1 to 250 printable characters without spaces")
    return name


def _checked_queue(queue: object, function: Callable[..., Any]) -> str:
    if not (isinstance(queue, str) and wire.is_queue_name(queue)):
        _refuse(function, f"{queue!r} cannot be the name of a queue: 1 to 64 of a-z 0-9 . _ -")
    return queue


def _refuse(function: Any, why: str) -> NoReturn:
    raise TaskError(f"{_place(function)} cannot be a task: {why}")


def _place(function: Any) -> str:
    name = f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"
    code = getattr(function, "__code__", None)
    return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"
