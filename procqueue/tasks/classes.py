"""Classes as tasks: one instance in each process, made and set up by its first use there.

`thumb = task(queue="images")(Thumb)`: `handle` is the handler, `setup`, `failed(failure)` and `teardown` are
optional. A forked child makes an instance of its own.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class Handles(Protocol[P, R_co]):
    """A class that can be a task."""

    def handle(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Handle one message."""


class Instance:
    """The one instance of a task's class in this process."""

    def __init__(self, kind: type[Any]) -> None:
        self.kind = kind
        self._pid = 0
        self._made: Any = None

    def get(self) -> Any:
        """Return it; the first use in a process makes it and sets it up. Raises what the class raises."""
        if self._pid != os.getpid():
            made = self.kind()
            if hasattr(made, "setup"):
                made.setup()
            self._made, self._pid = made, os.getpid()
        return self._made

    def tear_down(self) -> None:
        """Call its teardown, if it was made in this process; the next use makes another."""
        if self._pid == os.getpid():
            made, self._made, self._pid = self._made, None, 0
            if hasattr(made, "teardown"):
                made.teardown()

    def handler(self) -> Callable[..., Any]:
        """Return the function that stands for `handle`, with its signature."""

        def handle(*args: Any, **kwargs: Any) -> Any:
            return self.get().handle(*args, **kwargs)

        wrapped = inspect.getattr_static(self.kind, "handle")
        signature = inspect.signature(wrapped)
        handle.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])  # type: ignore[attr-defined]
        handle.__wrapped__ = wrapped  # type: ignore[attr-defined]
        handle.__module__, handle.__qualname__ = self.kind.__module__, self.kind.__qualname__
        handle.__name__, handle.__doc__ = self.kind.__name__, self.kind.__doc__
        return handle

    def failed(self, failure: Any) -> Any:
        """Have the instance hear of a message that is not run again."""
        return self.get().failed(failure)


def is_reachable(kind: type[Any]) -> bool:
    """Return whether a class has its name in its module: not yet while its own statement runs."""
    found: Any = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is kind


def why_not(kind: type[Any]) -> str:
    """Return why a class cannot be a task, "" if it can."""
    handle = inspect.getattr_static(kind, "handle", None)
    if not inspect.isfunction(handle):
        return "a class needs a method handle(self, …) to be a task"
    for name in ("setup", "failed", "teardown"):
        if inspect.iscoroutinefunction(inspect.getattr_static(kind, name, None)):
            return f"its {name} is async, and nobody would await it; only handle can be async def"
    if inspect.isgeneratorfunction(handle) or inspect.isasyncgenfunction(handle):
        return "its handle is a generator (it has a yield), so calling it would run nothing"
    try:
        inspect.signature(kind).bind()
    except TypeError as error:
        return f"each consumer makes one by calling it without arguments, and its __init__ says: {error}"
    except ValueError:  # a signature that cannot be had
        pass
    return ""
