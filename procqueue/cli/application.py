"""Importing the application, for the verbs that look at its tasks."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterable

from procqueue.cli.failures import Refusal
from procqueue.core.exits import Exit
from procqueue.core.settings.model import Settings


def modules_of(settings: Settings) -> list[str]:
    """Return the modules of the application, those of single queues too, in the order of their import."""
    own = (module for queue in settings.queues.values() for module in queue.app)
    return list(dict.fromkeys((*settings.app, *own)))


def import_application(settings: Settings) -> None:
    """Import all modules as a consumer would. Raises Refusal that says where it went wrong."""
    os.chdir(settings.root)
    if settings.path not in sys.path:
        sys.path.insert(0, settings.path)
    for module in modules_of(settings):
        try:
            importlib.import_module(module)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: an import must not look like a finished command
            raise Refusal(
                Exit.FAILED, f"cannot import {module}: {_place(error)}", _hint(error, settings)
            ) from error


def _hint(error: BaseException, settings: Settings) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"app and path in {settings.file} say what is imported from where; path is {settings.path}"
    return "consumers would not start with it either"


def _place(error: BaseException) -> str:
    told = "".join(traceback.format_exception_only(error)[-1:]).strip()
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {told}"
    frames: Iterable[traceback.FrameSummary] = reversed(traceback.extract_tb(error.__traceback__))
    skipped = (importlib.__file__, __file__)
    for frame in frames:
        if not frame.filename.startswith("<frozen") and frame.filename not in skipped:
            return f"{frame.filename}:{frame.lineno}: {told}"
    return told
