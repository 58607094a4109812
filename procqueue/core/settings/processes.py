"""[processes.*]: each program's settings, and the rules that reach over more than one key.

Programs inherit nothing from [defaults], which are the queues'. names.py has the rules over several programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from procqueue.core.settings.documents import Document
from procqueue.core.settings.environment import INDEX, Environment, placed_target
from procqueue.core.settings.keys import PROGRAM
from procqueue.core.settings.places import placed
from procqueue.core.settings.positions import Path
from procqueue.core.settings.program import ProgramSettings, Restart
from procqueue.core.settings.program_readers import check_where
from procqueue.core.settings.sections import Reading, Section
from procqueue.core.units import format_bytes, shown

ENVIRONMENT = tuple(field.name for field in fields(Environment))

_OF_A_SHELL = ("|", "||", "&", "&&", ";", ">", ">>", "<", "2>", "2>&1")


@dataclass(frozen=True, slots=True)
class Program:
    """One program as read: its settings, and the section that its values came from."""

    settings: ProgramSettings
    own: Section

    def place(self, key: str) -> tuple[Document, Path]:
        """Where to point for a problem of `key`."""
        return self.own.document, (*self.own.path, key)


def read_programs(
    reading: Reading, documents: Sequence[Document], root: str, host: str
) -> dict[str, Program]:
    """All programs of all documents, in the order of the files."""
    programs: dict[str, Program] = {}
    for document in documents:
        for name in reading.table(document, ("processes",)):
            known = partial(_names, name, root, host)
            own = reading.section(document, ("processes", name), PROGRAM, names=known)
            programs.setdefault(name, Program(_settings(name, own, root), own))
    for program in programs.values():
        _check_what_runs(reading, program)
        _check_memory(reading, program)
        _check_indices(reading, program)
    return programs


def environment_of(values: dict[str, Any], root: str) -> Environment:
    """Takes the keys of an environment out of `values`; its paths start at `root`."""
    own = {key: values.pop(key) for key in ENVIRONMENT if key in values}
    for key in ("env_file", "cwd"):
        if own.get(key):
            own[key] = placed(root, own[key])
    return Environment(**own)


def _names(name: str, root: str, host: str, values: Mapping[str, Any]) -> dict[str, str]:
    count = values.get("count", ProgramSettings(name).count)
    return {"index": INDEX, "name": name, "count": str(count), "root": root, "host": host}


def _settings(name: str, own: Section, root: str) -> ProgramSettings:
    values = dict(own.values)
    environment = environment_of(values, root)
    for key in ("stdout", "stderr"):
        if key in values:
            values[key] = placed_target(root, values[key])
    if "restart" in values:
        values["restart"] = Restart(values["restart"])
    return ProgramSettings(name, environment=environment, origins=own.origins(), **values)


def _check_what_runs(reading: Reading, program: Program) -> None:
    document, path = program.own.document, program.own.path
    written = [key for key in ("command", "target") if key in program.own.written]
    if not written:
        hint = 'add command = ["python", "-m", "shop.clock"], or target = "shop.clock:main"'
        reading.wrong(document, path, "says neither command nor target", hint)
    elif len(written) == 2:
        reading.wrong(document, (*path, "target"), "stands beside command", "keep one of the two")
    marks = [word for word in program.settings.command[1:] if word in _OF_A_SHELL]
    if marks:
        text = f"there is no shell: {shown(marks[0])} is handed to the program as an argument"
        reading.warn(document, (*path, "command"), text, 'if one is meant, write ["sh", "-c", "…"]')


def _check_memory(reading: Reading, program: Program) -> None:
    soft, hard = program.settings.max_memory, program.settings.max_memory_hard
    if 0 < hard < soft:
        document, path = program.place("max_memory_hard")
        text = f"{format_bytes(hard)} is less than max_memory, {format_bytes(soft)}, which could never act"
        reading.wrong(document, path, text, "the hard limit has to be the higher one")


def _check_indices(reading: Reading, program: Program) -> None:
    """Whether the first and the last copy can be checked: ${index} may make a port too large."""
    settings = program.settings
    for index in {settings.indices[0], settings.indices[-1]} if settings.indices else ():
        for key, check in (("ready", settings.ready), ("health", settings.health and settings.health.check)):
            if check and INDEX in check.where:
                document, path = program.place(key)
                reading.attempt(document, path, partial(check_where, check, index))
