"""[defaults] and [queues.*]: each queue's settings, and the rules that reach over more than one key.

A key of the queue wins over [defaults], which wins over the model. A problem is told where its value stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from procqueue.core.settings.documents import Document
from procqueue.core.settings.environment import INDEX, placed_target
from procqueue.core.settings.keys import QUEUE
from procqueue.core.settings.model import OnTimeout, QueueSettings, Scale
from procqueue.core.settings.positions import Path
from procqueue.core.settings.processes import environment_of
from procqueue.core.settings.sections import Reading, Section
from procqueue.core.settings.wrong import nearest
from procqueue.core.units import format_bytes, format_seconds, shown


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue as read: its settings, and the sections that its values came from."""

    settings: QueueSettings
    own: Section
    defaults: Section

    def wrote(self, key: str) -> Section | None:
        """The section that gave `key`, or None if it has its default."""
        return next((section for section in (self.own, self.defaults) if key in section.values), None)

    def place(self, key: str) -> tuple[Document, Path]:
        """Where to point for a problem of `key`: the document that wrote it, the path as the queue's own."""
        section = self.wrote(key) or self.own
        return section.document, (*section.path, key)


def read_queues(
    reading: Reading, documents: Sequence[Document], cpus: int, root: str, host: str
) -> dict[str, Queue]:
    """All queues of all documents, in the order of the files."""
    holder = next((document for document in documents if "defaults" in document.tree), documents[0])
    queues: dict[str, Queue] = {}
    for document in documents:
        for name in reading.table(document, ("queues",)):
            known = partial(_names, name, root, host)
            defaults = reading.section(holder, ("defaults",), QUEUE, names=known)
            own = reading.section(document, ("queues", name), QUEUE, names=known)
            queues.setdefault(name, Queue(_settings(name, own, defaults, cpus, root), own, defaults))
    if not queues:
        reading.section(holder, ("defaults",), QUEUE, names=partial(_names, "", root, host))
    for queue in queues.values():
        _check_serves(reading, queue, queues)
        _check_memory(reading, queue)
        _check_concurrency(reading, queue)
        _check_index(reading, queue)
    return queues


def warn_of_graces(reading: Reading, queues: dict[str, Queue], master: Section, host_timeout: float) -> None:
    """Warns of written graces that end runs too early, or let the host be declared dead meanwhile."""
    for queue in queues.values():
        settings = queue.settings
        if settings.grace is not None:
            document, path = queue.place("grace")
            if settings.grace < settings.handle_timeout:
                _warn_short(reading, document, path, settings.grace, settings)
            if settings.grace >= host_timeout:
                _warn_long(reading, document, path, settings.grace, host_timeout)
    cap = master.values.get("grace")
    if cap is None:
        return
    document, path = master.document, (*master.path, "grace")
    slow = [queue.settings for queue in queues.values() if queue.settings.handle_timeout > cap]
    if slow:
        _warn_short(reading, document, path, cap, max(slow, key=lambda settings: settings.handle_timeout))
    if cap >= host_timeout:
        _warn_long(reading, document, path, cap, host_timeout)


def _names(name: str, root: str, host: str, _: Mapping[str, Any]) -> dict[str, str]:
    return {"index": INDEX, "name": name, "root": root, "host": host}


def _settings(name: str, own: Section, defaults: Section, cpus: int, root: str) -> QueueSettings:
    values = {**defaults.values, **own.values}
    match values.get("processes"):
        case "cpus":
            values["processes"] = cpus
        case Scale() as scale:
            values |= {"processes": scale.min, "scale": scale}
    if isinstance(served := values.get("serves"), dict):
        values |= {"serves": tuple(served), "weights": tuple(served.values())}
    if "on_timeout" in values:
        values["on_timeout"] = OnTimeout(values["on_timeout"])
    for key in ("stdout", "stderr"):
        if key in values:
            values[key] = placed_target(root, values[key])
    environment = environment_of(values, root)
    origins = {**defaults.origins(), **own.origins()}
    return QueueSettings(name, environment=environment, origins=origins, **values)


def _check_serves(reading: Reading, queue: Queue, queues: dict[str, Queue]) -> None:
    for name in queue.settings.serves:
        if name not in queues:
            document, path = queue.place("serves")
            hint = nearest(name, queues) or f"add [queues.{name}]"
            reading.wrong(document, path, f"there is no queue {shown(name)}", hint)


def _check_memory(reading: Reading, queue: Queue) -> None:
    soft, hard = queue.settings.max_memory, queue.settings.max_memory_hard
    if 0 < hard < soft:
        document, path = queue.place("max_memory_hard")
        text = f"{format_bytes(hard)} is less than max_memory, {format_bytes(soft)}, which could never act"
        reading.wrong(document, path, text, "the hard limit has to be the higher one")


def _check_concurrency(reading: Reading, queue: Queue) -> None:
    settings = queue.settings
    if settings.executor == "sync" and settings.concurrency > 1:
        document, path = queue.place("concurrency")
        text = f'is {settings.concurrency}, and executor = "sync" runs one message after the other'
        hint = 'use executor = "threads" or "auto", or raise processes instead'
        reading.wrong(document, path, text, hint)


def _check_index(reading: Reading, queue: Queue) -> None:
    environment = queue.settings.environment
    texts = {
        "env": "".join(text for _, text in environment.env), "env_file": environment.env_file,
        "cwd": environment.cwd,
    }  # fmt: skip
    for key, text in texts.items():
        if INDEX in text:
            document, path = queue.place(key)
            reading.wrong(
                document, path, "all consumers of a queue have the same one, so there is no ${index} in it",
                "only stdout and stderr can differ",
            )  # fmt: skip


def _warn_short(reading: Reading, document: Document, path: Path, grace: float, queue: QueueSettings) -> None:
    limit = f"the handle_timeout of [queues.{queue.name}], {format_seconds(queue.handle_timeout)}"
    text = f"{format_seconds(grace)} is shorter than {limit}: a stop may kill a run that is still allowed"
    reading.warn(document, path, text, "leave grace out to have it derived from handle_timeout")


def _warn_long(reading: Reading, document: Document, path: Path, grace: float, host_timeout: float) -> None:
    text = f"{format_seconds(grace)} is not below host_timeout, {format_seconds(host_timeout)}"
    reading.warn(document, path, text, "raise master.host_timeout, or shorten the grace")
