"""The application: its modules are imported in a template, or else in each consumer. Never in the master."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from procqueue.core.record import MAX_ERROR
from procqueue.core.settings.environment import Environment
from procqueue.core.settings.model import QueueSettings, Settings
from procqueue.process import kernel
from procqueue.process.lifeline import Lifeline
from procqueue.process.log import Log
from procqueue.process.programs.environment import CannotBecome, apply


def modules_of(settings: Settings, queue: QueueSettings) -> tuple[str, ...]:
    """Return the modules that the consumers of a queue import, in this order."""
    return tuple(dict.fromkeys((*settings.app, *queue.app)))


def import_application(path: str, modules: Sequence[str], lifeline: Lifeline, log: Log) -> bool:
    """Import the modules that register the tasks; what goes wrong is told to the master in one line."""
    if path not in sys.path:
        sys.path.insert(0, path)
    for module in modules:
        try:
            importlib.import_module(module)
        except BaseException as error:  # SystemExit too: an import must not look like a finished life
            log.error("import_failed", module=module, error=f"{type(error).__name__}: {error}")
            lines = traceback.format_exception(error)
            sys.stderr.write("".join(lines))
            lifeline.say("import_error", error=f"{module}: {where_and_what(error)}")
            return False
    return True


def become_what_is_asked(queue: QueueSettings, lifeline: Lifeline, parent_death: int) -> bool:
    """Take on the user, variables, limits … of a queue; what goes wrong is told to the master.

    `parent_death`: the signal that was asked for when the parent dies. A change of user takes it back.
    """
    if queue.environment == Environment():
        return True
    parent = os.getppid()
    try:
        apply(queue.environment)
        kernel.die_with_parent(parent_death)
        if os.getppid() != parent:
            os._exit(0)  # it died meanwhile: no signal will tell
        return True
    except CannotBecome as error:
        origin = queue.origins.get(error.failure.key, "")
        lifeline.say("import_error", error=error.failure.sentence(f"queues.{queue.name}", str(origin)))
        return False


def where_and_what(error: BaseException) -> str:
    """Return where in the application an import went wrong, and what, in one line."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    # What called the import is ours; where the module itself is missing, nothing comes behind it.
    importing = next((n for n, f in enumerate(frames) if f.filename == importlib.__file__), -1)
    where = "".join(f"{f.filename}:{f.lineno}: " for f in frames[importing + 1 :][-1:])
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{error.filename}:{error.lineno}: "
    return f"{where}{type(error).__name__}: {error}"[:MAX_ERROR]
