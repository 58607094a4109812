"""`procqueue tasks`: what the application's modules declare, and the values in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from procqueue.cli.options import Where, verb
from procqueue.cli.output import print_json, say, show, table
from procqueue.core.exits import Exit

if TYPE_CHECKING:
    from procqueue.core.settings.model import Settings
    from procqueue.tasks.runnable import Runnable

_KEYS = ("max_attempts", "handle_timeout", "kill_after", "on_timeout", "max_crashes")


@verb
def tasks(where: Where) -> Exit:
    """Import the application and list its tasks, their queues and own options."""
    settings = where.settings()

    from procqueue.cli.application import import_application
    from procqueue.tasks.registry import all_tasks

    import_application(settings)
    found = [_document(task, settings) for task in all_tasks()]
    if where.json:
        print_json({"v": 1, "tasks": found})
        return Exit.OK
    if not found:
        say(f"no tasks: none of {', '.join(settings.app)} declares one with @task")
        return Exit.OK
    rows = [(one["name"], one["queue"], _options(one)) for one in found]
    for line in table(("TASK", "QUEUE", "OWN OPTIONS"), rows):
        show(line)
    for one in found:
        if not one["in_file"]:
            say(f"warning: {one['name']}: the file has no queue {one['queue']!r}")
    return Exit.OK


def _document(task: Runnable, settings: Settings) -> dict[str, Any]:
    from procqueue.core.settings.model import QueueSettings

    queue = settings.queues.get(task.queue)
    policy = task.policy(queue or QueueSettings(task.queue))
    own = {key for key in _KEYS if getattr(task.options, key) is not None}
    source = f"queues.{task.queue}" if queue else "default"
    return {
        "name": task.name,
        "queue": task.queue,
        "in_file": queue is not None,
        "aliases": list(task.aliases),
        "place": task.place,
        "options": {
            key: {"value": getattr(policy, key), "from": "task" if key in own else source} for key in _KEYS
        },
    }


def _options(one: dict[str, Any]) -> str:
    own = [f"{key}={told['value']:g}" if isinstance(told["value"], float) else f"{key}={told['value']}"
           for key, told in one["options"].items() if told["from"] == "task"]  # fmt: skip
    return " ".join(own) or "-"
