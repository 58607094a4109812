"""The settings that tests of an application run with: those of its file, or what the imported tasks need."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from procqueue.config import load
from procqueue.core.settings.model import (
    DriverSettings,
    LoggingSettings,
    QueueSettings,
    ReloadSettings,
    Settings,
)
from procqueue.tasks import registry


def read(config: str | None) -> Settings | None:
    """Return the settings of a file, None where there is none. Raises ConfigError."""
    return None if config is None else load(config)


def for_live(settings: Settings | None, folder: str) -> Settings:
    """Return what real consumers run with in `folder`: the same queues, all in one store, and nothing else.

    No programs and no hooks are run, no file is watched, and all output goes to one place.
    """
    if settings is None:
        settings = _of_imported_tasks(folder)
    return replace(
        settings,
        driver=DriverSettings(f"sqlite://{folder}/db/queue.db", durability="normal"),
        drivers={},
        master=replace(settings.master, state_dir=f"{folder}/run"),
        queues={name: _quiet(queue) for name, queue in settings.queues.items()},
        programs={},
        groups={},
        hooks=type(settings.hooks)(),
        reload=ReloadSettings((), enabled="never"),
        logging=LoggingSettings(settings.logging.level),
    )


def _quiet(queue: QueueSettings) -> QueueSettings:
    plain = QueueSettings(queue.name)
    return replace(queue, driver="", stdout=plain.stdout, stderr=plain.stderr)


def _of_imported_tasks(folder: str) -> Settings:
    """Return settings for the tasks that this process has imported."""
    tasks = registry.all_tasks()
    modules = sorted({task.origin[0] for task in tasks})
    queues = sorted({task.queue for task in tasks} or {"default"})
    file = Path(folder, "procqueue.toml")
    lines = [f"root = {json.dumps(os.getcwd())}", f"app = {json.dumps(modules)}"]  # noqa: PTH109
    file.write_text("\n".join([*lines, *(f"[queues.{name}]" for name in queues)]) + "\n")
    return load(str(file))
