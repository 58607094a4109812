"""What NAME means on the command line: queues, programs and their copies, groups, patterns. Pure.

`NAME:INDEX` is one copy of a program, `GROUP:*` all of a group, `all` everything; `*`, `?` and `[…]` match as
in a shell. The order of the configuration is kept, and nothing is named twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

ALL = "all"


@dataclass(frozen=True, slots=True)
class Known:
    """Everything that has a name. `programs`: the number of copies; `groups`: their members."""

    queues: Sequence[str]
    programs: Mapping[str, Sequence[str]]  # name → its copies, "clock:0"
    groups: Mapping[str, Sequence[str]]

    def all(self) -> list[str]:
        """Return every name that a person may mean, but for the copies."""
        return [*self.queues, *self.programs, *self.groups]


@dataclass(frozen=True, slots=True)
class Targets:
    """What is meant: queues, and copies of programs."""

    queues: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()


class NoSuchName(ValueError):
    """Nothing has this name."""

    def __init__(self, name: str, what: str = "queue, program or group") -> None:
        super().__init__(f"there is no {what} {name!r}")
        self.name = name


def resolve(names: Iterable[str], known: Known) -> Targets:
    """Return what the names mean. Raises NoSuchName."""
    queues: dict[str, None] = {}
    copies: dict[str, None] = {}
    for name in names:
        found = _one(name, known)
        if not found.queues and not found.copies and name != ALL:
            raise NoSuchName(name)
        queues |= dict.fromkeys(found.queues)
        copies |= dict.fromkeys(found.copies)
    order = [copy for copies_of in known.programs.values() for copy in copies_of]
    return Targets(
        tuple(name for name in known.queues if name in queues), tuple(one for one in order if one in copies)
    )


def _one(name: str, known: Known) -> Targets:
    if name == ALL:
        return Targets(tuple(known.queues), tuple(c for copies in known.programs.values() for c in copies))
    group, colon, rest = name.partition(":")
    members: Sequence[str] | None = known.groups.get(group)
    if members is not None and rest in ("", "*"):
        return _members(members, known)
    if colon:
        return Targets(
            copies=tuple(c for copies in known.programs.values() for c in copies if fnmatchcase(c, name))
        )
    matching = [n for n in (*known.queues, *known.programs) if fnmatchcase(n, name)]
    return _members(matching, known)


def _members(names: Iterable[str], known: Known) -> Targets:
    names = list(names)
    copies = [copy for name in names for copy in known.programs.get(name, ())]
    return Targets(tuple(name for name in names if name in known.queues), tuple(copies))
