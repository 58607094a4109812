"""Names of queues, programs and groups: one name space, so that a verb's NAME means one thing.

The rules over names stand here: what a name may be, that it is used once, who is in a group, who comes after
whom.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from procqueue.core.settings.documents import Document
from procqueue.core.settings.positions import Origin, Path
from procqueue.core.settings.processes import Program
from procqueue.core.settings.program_readers import names
from procqueue.core.settings.queues import Queue
from procqueue.core.settings.readers import NAME, RESERVED_NAMES
from procqueue.core.settings.sections import Reading
from procqueue.core.settings.wrong import nearest
from procqueue.core.units import shown


def check_names(reading: Reading, documents: Sequence[Document]) -> None:
    """Whether each name can be one, and stands for one thing only."""
    first: dict[str, tuple[Document, Path]] = {}
    for table, what in (("queues", "queue"), ("processes", "program"), ("groups", "group"), ("cron", "cron")):
        for document in documents:
            for name in reading.table(document, (table,)):
                path = (table, name)
                _check_name(reading, document, path, what)
                other, there = first.setdefault(name, (document, path))
                if there[0] != table:
                    text = f"the name {shown(name)} is taken by [{'.'.join(there)}]"
                    place = f"{other.name}:{other.line(there)}"
                    reading.wrong(
                        document, path, f"{text} ({place})", "give each its own name: verbs know no other"
                    )


def _check_name(reading: Reading, document: Document, path: Path, what: str) -> None:
    name = path[-1]
    if name in RESERVED_NAMES:
        reading.wrong(
            document,
            path,
            f"the name {shown(name)} is reserved: it means every queue and program",
            "choose another name",
        )
    elif not NAME.fullmatch(name):
        reading.wrong(
            document,
            path,
            f"{shown(name)} cannot be the name of a {what}",
            "use 1 to 64 of a-z 0-9 . _ -, beginning with a letter or a digit",
        )


def read_groups(
    reading: Reading, documents: Sequence[Document], members: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """[groups]: the members of each, which are queues and programs; nobody is in two."""
    groups: dict[str, tuple[str, ...]] = {}
    home: dict[str, str] = {}
    for document in documents:
        for group, written in reading.table(document, ("groups",)).items():
            path = ("groups", group)
            found = reading.attempt(document, path, partial(names, written), ())
            for name in found:
                if name not in members:
                    hint = nearest(name, members) or "its members are queues and programs"
                    reading.wrong(document, path, f"there is no queue or program {shown(name)}", hint)
                elif home.setdefault(name, group) != group:
                    text = f"{shown(name)} is in the group {shown(home[name])} already"
                    reading.wrong(document, path, text, "take it out of one of the two")
            groups.setdefault(group, found)
    return groups


def origins_of_groups(reading: Reading, documents: Sequence[Document]) -> dict[str, Origin]:
    """Where each group was written, as "groups.web"."""
    return {
        f"groups.{name}": Origin(document.name, document.line(("groups", name)), "groups")
        for document in documents
        for name in reading.table(document, ("groups",))
    }


def check_after(reading: Reading, programs: Mapping[str, Program], queues: Mapping[str, Queue]) -> None:
    """Whether all that programs wait for can come, and in which order nobody waits for himself."""
    for name, program in programs.items():
        document, path = program.place("after")
        for other in program.settings.after:
            if other in queues:
                text = f"{shown(other)} is a queue, and a program can only come after programs"
                reading.wrong(document, path, text, "take it out")
            elif other not in programs:
                hint = nearest(other, programs) or f"add [processes.{other}]"
                reading.wrong(document, path, f"there is no program {shown(other)}", hint)
            elif program.settings.enabled and not programs[other].settings.enabled:
                text = f"{shown(other)} is disabled, so {name} would wait for ever"
                reading.wrong(
                    document, path, text, f"take it out, or enabled = false out of [processes.{other}]"
                )
            elif program.settings.autostart and not programs[other].settings.autostart:
                text = f"{shown(other)} is started by hand, and {name} waits until then"
                reading.warn(document, path, text, f"say autostart = false for {name} too")
    for circle in _circles({name: program.settings.after for name, program in programs.items()}):
        document, path = programs[circle[0]].place("after")
        reading.wrong(
            document, path, f"waits for itself: {' → '.join((*circle, circle[0]))}", "break the circle"
        )


def _circles(after: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Each circle once, from the member that comes first in the file. No recursion: a chain may be long."""
    found: list[list[str]] = []
    done: set[str] = set()
    order = list(after)
    for start in order:
        trail: list[str] = []
        ways = [iter((start,))]
        while ways:
            name = next(ways[-1], None)
            if name is None:
                ways.pop()
                if trail:
                    done.add(trail.pop())
            elif name in trail:
                circle = trail[trail.index(name) :]
                first = min(range(len(circle)), key=lambda at: order.index(circle[at]))
                found.append(circle[first:] + circle[:first])
            elif name in after and name not in done:
                trail.append(name)
                ways.append(iter(after[name]))
    return found
