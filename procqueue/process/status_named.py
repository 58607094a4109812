"""The part of the status document that is about some names: `procqueue status NAME…`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from procqueue.core.names import Known, resolve
from procqueue.process.status_programs import worst


def narrowed(
    document: dict[str, Any], names: Sequence[str], groups: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return the document with these queues, programs and copies only, and without the problems of others.

    Raises NoSuchName.
    """
    queues, programs = document["queues"], document["processes"]
    # One that is disabled has no copies; it is named all the same.
    copies = {name: [one["name"] for one in of["members"]] or [name] for name, of in programs.items()}
    meant = resolve(names, Known(tuple(queues), copies, groups))
    chosen = {
        name: _program(programs[name], meant.copies)
        for name in programs
        if not set(copies[name]).isdisjoint(meant.copies)
    }
    others = {*queues, *programs} - {*meant.queues, *chosen}
    return {
        **document,
        "queues": {name: queues[name] for name in meant.queues},
        "processes": chosen,
        "problems": [one for one in document["problems"] if one["about"].partition(":")[0] not in others],
        "notes": [one for one in document["notes"] if one["about"].partition(":")[0] not in others],
    }


def _program(program: dict[str, Any], copies: Collection[str]) -> dict[str, Any]:
    members = [one for one in program["members"] if one["name"] in copies]
    if len(members) == len(program["members"]):
        return program
    return {
        **program,
        "state": worst(one["state"] for one in members),
        "wanted": min(program["wanted"], len(members)),
        "ready": sum(one["state"] == "running" for one in members),
        "members": members,
    }
