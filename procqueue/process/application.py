"""The application: its modules are imported in a template, or else in each consumer. Never in the master."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence

from procqueue.core.record import MAX_ERROR
from procqueue.core.settings.model import QueueSettings, Settings
from procqueue.process.lifeline import Lifeline
from procqueue.process.log import Log


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
            lifeline.say("import_error", error=f"{module}: {_last_lines(error)}")
            return False
    return True


def _last_lines(error: BaseException) -> str:
    """Return where in the application it went wrong, and what."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    where = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{error.filename}:{error.lineno}: "
    return f"{where}{type(error).__name__}: {error}"[:MAX_ERROR]
