"""[cron.*]: what is pushed at times of the clock.

Here is what can be said without the library that reads schedules and without the host's time zones; the rest
is process/crontab.py's, which `check`, `start` and a reload ask.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

from procqueue.core.settings.documents import Document
from procqueue.core.settings.keys import CRON
from procqueue.core.settings.model import CronSettings
from procqueue.core.settings.sections import Reading, Section
from procqueue.core.settings.wrong import nearest
from procqueue.core.units import shown


def read_crons(
    reading: Reading, documents: Sequence[Document], queues: Collection[str]
) -> dict[str, CronSettings]:
    """All crons of all documents, in the order of the files."""
    crons: dict[str, CronSettings] = {}
    for document in documents:
        for name in reading.table(document, ("cron",)):
            section = reading.section(document, ("cron", name), CRON)
            for key in ("task", "schedule"):
                if key not in section.written:
                    hint = f'write {key} = "{"shop.tasks.report" if key == "task" else "0 3 * * *"}"'
                    reading.wrong(document, section.path, f"says no {key}", hint)
            values = {"task": "", "schedule": "", **section.values}
            cron = CronSettings(name, origins=section.origins(), **values)
            _check_queue(reading, section, cron, queues)
            _check_json(reading, section)
            if cron.catch_up == "all" and cron.overlap == "skip":
                text = 'with overlap = "skip" only the first of the ticks that were missed is pushed'
                reading.warn(
                    document, (*section.path, "catch_up"), text, 'say overlap = "allow", or "last" here'
                )
            crons.setdefault(name, cron)
    return crons


def _check_queue(reading: Reading, section: Section, cron: CronSettings, queues: Collection[str]) -> None:
    if cron.queue in queues or section.unreadable("queue"):
        return
    if "queue" in section.written:
        hint = nearest(cron.queue, queues) or f"add [queues.{cron.queue}]"
        text = f"there is no queue {shown(cron.queue)}"
        reading.wrong(section.document, (*section.path, "queue"), text, hint)
    else:
        text = "says no queue, and there is no [queues.default]"
        reading.wrong(section.document, section.path, text, "add queue = …")


def _check_json(reading: Reading, section: Section) -> None:
    for key in ("args", "kwargs"):
        if wrong := _not_json(section.values.get(key)):
            hint = "the task's annotations turn strings into dates, UUIDs and the like"
            reading.wrong(section.document, (*section.path, key), f"{wrong} cannot be written as JSON", hint)


def _not_json(value: Any) -> str:
    match value:
        case dict():
            return next((wrong for item in value.values() if (wrong := _not_json(item))), "")
        case list() | tuple():
            return next((wrong for item in value if (wrong := _not_json(item))), "")
        case None | bool() | int() | str():
            return ""
        case float() if math.isfinite(value):
            return ""
        case _:
            return shown(value)
