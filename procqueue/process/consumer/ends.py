"""The ends of a consumer's life in the application: what is set up before it is ready, and torn down."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable

from procqueue.process.application import where_and_what
from procqueue.process.lifeline import Lifeline
from procqueue.process.log import Log
from procqueue.tasks import middleware, registry


def set_up(queues: Iterable[str], lifeline: Lifeline, log: Log) -> bool:
    """Call each consumer_setup, then make and set up the classes among the tasks of `queues`.

    What goes wrong is told to the master in one line, as for an import; then False.
    """
    try:
        for function in middleware.setups():
            function()
        served = set(queues)
        for task in registry.all_tasks():
            if task.instance is not None and task.queue in served:
                task.instance.get()
    except BaseException as error:  # SystemExit too: it must not look like a finished life
        log.error("setup_failed", error=f"{type(error).__name__}: {error}")
        sys.stderr.write("".join(traceback.format_exception(error)))
        lifeline.say("import_error", error=f"setup: {where_and_what(error)}")
        return False
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
