"""The ends of a consumer's life in the application: what is set up before it is ready, and torn down."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from importlib.util import find_spec

from procqueue.core.settings.model import QueueSettings
from procqueue.process.application import where_and_what
from procqueue.process.lifeline import Lifeline
from procqueue.process.log import Log
from procqueue.tasks import middleware, registry


def set_up(queue: QueueSettings, lifeline: Lifeline, log: Log) -> bool:
    """Call each consumer_setup, then make and set up the classes among the tasks that `queue` serves.

    What goes wrong is told to the master in one line, as for an import; then False.
    """
    if queue.loop == "uvloop" and find_spec("uvloop") is None:
        text = f'queues.{queue.name}.loop is "uvloop", which is not installed: pip install uvloop'
        log.error("setup_failed", error=text)
        lifeline.say("import_error", error=text)
        return False
    served = [task for task in registry.all_tasks() if task.queue in queue.serves]
    try:
        for function in middleware.setups():
            function()
        for task in served:
            if task.instance is not None:
                task.instance.get()
    except BaseException as error:  # SystemExit too: it must not look like a finished life
        log.error("setup_failed", error=f"{type(error).__name__}: {error}")
        sys.stderr.write("".join(traceback.format_exception(error)))
        lifeline.say("import_error", error=f"setup: {where_and_what(error)}")
        return False
    for task in served:
        if middleware.is_around_others_only(is_async=task.is_async):
            kind = "async def" if task.is_async else "def"
            log.warning("nothing_around", task=task.name, text=f"no around is {kind}, as this handler is")
    return True


def tear_down(log: Log) -> None:
    """Tear down what was set up, the last first; what goes wrong is logged."""
    instances = [task.instance for task in registry.all_tasks() if task.instance is not None]
    ends: list[Callable[[], object]] = [instance.tear_down for instance in instances]
    for end in (*ends, *middleware.teardowns()):
        try:
            end()
        except BaseException as error:
            log.error("teardown_failed", error=f"{type(error).__name__}: {error}")
