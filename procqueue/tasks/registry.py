"""The registry: which names stand for which task. The one mutable state of procqueue's modules.

It is filled by importing the application's modules and asked by consumers, `tasks`, and pushes by name.
"""

from __future__ import annotations

from types import FunctionType

from procqueue.core.errors import TaskError
from procqueue.tasks.runnable import Runnable

_tasks: dict[str, Runnable] = {}  # every name and alias → its task


def register(task: Runnable) -> None:
    """Make `task` known under its name and aliases.

    The same function declared again (a module imported anew) takes the place of the earlier one.
    Raises TaskError, naming both places, if another function has one of the names; then nothing changed.
    """
    names = (task.name, *task.aliases)
    for name in names:
        known = _tasks.get(name)
        if known is not None and known.origin != task.origin:
            raise TaskError(
                f"two tasks are named {name!r}: {known.place} and {task.place}; "
                'give one of them another name: @task(name="…")'
            )
    earlier = _tasks.get(task.name)
    if earlier is not None:
        forget(earlier)  # with the aliases that it no longer has
    for name in names:
        _tasks[name] = task


def find(name: str) -> Runnable | None:
    """Return the task of that name or alias, or None."""
    return _tasks.get(name)


def origin_of(function: object) -> object:
    """Return what stays the same when a module is imported anew: where a function stands, else it itself."""
    if isinstance(function, FunctionType) and "<" not in function.__qualname__:
        return function.__module__, function.__qualname__
    return function


def all_tasks() -> list[Runnable]:
    """Return every task once, sorted by name."""
    return sorted(set(_tasks.values()), key=lambda task: task.name)


def nearest(name: str) -> str:
    """Return the known name that is most like `name`, or ""."""
    from difflib import get_close_matches  # only a mistake pays for it

    return next(iter(get_close_matches(name, _tasks, n=1)), "")


def forget(task: Runnable) -> None:
    """Make `task` unknown again: for tests, and for code that declares tasks while it runs."""
    for name in [name for name, known in _tasks.items() if known is task]:
        del _tasks[name]
