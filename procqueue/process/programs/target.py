"""The interpreter of a program with a `target`: import, say so, call it, leave with what it returns.

    python -P -m procqueue.process.programs.target PATH MODULE:CALLABLE

An exec, and no fork of the master: the application finds an interpreter of its own, with nothing inherited.
It ends as a script does: None is 0, a number is the exit code, an exception is a traceback and 1.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable

from procqueue.core.exits import Exit
from procqueue.process import stacks
from procqueue.process.application import where_and_what
from procqueue.process.programs.exec import REPORT, STACKS, tell
from procqueue.process.programs.order import Failure
from procqueue.tasks.stopping import stopping


class NoTarget(Exception):
    """What was named is not there, or cannot be called."""


def main(path: str, target: str) -> object:
    """Run the target; return what it returned."""
    report = _take(REPORT)
    stacks.listen(-1 if (told := _take(STACKS)) is None else told)
    sys.argv = [target]  # what stands behind it is ours
    if path and path not in sys.path:
        sys.path.insert(0, path)
    try:
        function = find(target)
    except BaseException as error:  # SystemExit too: an import must not look like a finished life
        if not isinstance(error, NoTarget):
            traceback.print_exception(error)
        why = str(error) if isinstance(error, NoTarget) else where_and_what(error)
        failure = Failure("target", target, why)
        sys.stderr.write(f"cannot import {target}: {why}\n")
        if report is not None:
            tell(report, failure)
        return int(Exit.CANNOT_IMPORT)
    stopping.listen()
    if report is not None:
        tell(report, None)
        os.close(report)
    return function()


def find(target: str) -> Callable[[], object]:
    """Import the module and return the callable. Raises NoTarget, and whatever the import raises."""
    name, _, attributes = target.partition(":")
    found: object = importlib.import_module(name)
    if not attributes:
        raise NoTarget(f"it names no callable: say {name}:main")
    for attribute in attributes.split("."):
        if not hasattr(found, attribute):
            raise NoTarget(f"{name} has no {attributes}")
        found = getattr(found, attribute)
    if not callable(found):
        raise NoTarget(f"{target} cannot be called")
    if inspect.iscoroutinefunction(found):
        raise NoTarget(f"{target} is async: name a function that calls asyncio.run(...)")
    return found


def _take(variable: str) -> int | None:
    """Return the descriptor that a variable names, which no child shall have; None without a master."""
    fd = os.environ.pop(variable, "")
    if not fd.isdecimal():
        return None
    os.set_inheritable(int(fd), False)
    return int(fd)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))  # type: ignore[arg-type]
