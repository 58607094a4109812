"""A whole supervisord.conf → the text of our file, the report, and who is who.

Nothing here reads or writes a file. Programs come in the order of the file; groups, listeners and the order
of priorities need all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from procqueue.cli.supervisord import logs, program, toml, values, whole
from procqueue.cli.supervisord.expand import Names
from procqueue.cli.supervisord.listeners import Listeners
from procqueue.cli.supervisord.program import Program
from procqueue.cli.supervisord.reader import Conf, Place
from procqueue.cli.supervisord.report import Line, Mark, Report
from procqueue.cli.supervisord.section import Section
from procqueue.core.errors import ConfigError
from procqueue.core.settings.readers import RESERVED_NAMES

_LONGEST_NAME = 56  # of 64: a number may follow


@dataclass(frozen=True, slots=True)
class Translation:
    """What `init --from` writes and says."""

    text: str
    lines: list[Line]
    copies: list[tuple[str, str]]  # (GROUP:NAME as supervisorctl says it, NAME:INDEX)
    unset: tuple[str, ...]  # variables of the environment that start will want
    programs: int


def translate(
    conf: Conf, environ: Mapping[str, str], host: str, *, order: bool, root: str = ""
) -> Translation:
    """Translate. `root` is written if given. Raises ConfigError with all that Supervisor would refuse."""
    work = _Work(conf, environ, host)
    work.run()
    if order:
        _order(work.programs)
    if work.report.problems:
        raise ConfigError(work.report.problems)
    files = [place.file for place in (Place(conf.file, 0), *conf.places.values())]
    copies = [pair for one in work.programs for pair in one.copies]
    text = work.text(root)
    return Translation(
        text, work.report.in_order(files), copies, tuple(sorted(work.unset)), len(work.programs)
    )


@dataclass(slots=True)
class _Work:
    conf: Conf
    environ: Mapping[str, str]
    host: str
    report: Report = field(default_factory=Report)
    programs: list[Program] = field(default_factory=list)
    by_section: dict[str, list[Program]] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    tables: dict[str, dict[str, toml.Value]] = field(default_factory=dict)
    taken: set[str] = field(default_factory=lambda: set(RESERVED_NAMES))
    unset: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Translate all sections."""
        for place, section, text in self.conf.findings:
            self.report.add(Mark.FINDING, place, section, "", text)
        names = Names({"here": self.conf.here, "host_node_name": self.host}, self.environ, unset=self.unset)
        supervisord = self._section("supervisord", names)
        if "supervisord" not in self.conf.sections:
            text = "there is no [supervisord]: Supervisor would refuse the file"
            self.report.add(Mark.FINDING, Place(self.conf.file, 0), "", "", text)
        around = whole.surroundings(supervisord)
        self.tables = whole.tables(supervisord, around.directory, terminal=self._uses_terminal())
        self._finish(supervisord)
        homes = self._homes(names)
        for name in self.conf.sections:
            if name.startswith("program:"):
                self._program(name, homes.get(name, (name[8:].strip(), None)), names, around)
        self._groups(homes)
        self._others(names)

    def _uses_terminal(self) -> bool:
        keys = ("stdout_logfile", "stderr_logfile")
        values_of = (o[key].value for o in self.conf.sections.values() for key in keys if key in o)
        return any(value in logs.TERMINAL for value in values_of)

    def _section(self, name: str, names: Names) -> Section:
        options = self.conf.sections.get(name, {})
        place = self.conf.places.get(name, Place(self.conf.file, 0))
        own = replace(names, constants=dict(names.constants)) if name != "supervisord" else names
        return Section(name, place, options, own, self.report)

    def _finish(self, section: Section) -> None:
        section.say_unknown(self.conf.sections.get("DEFAULT", {}))

    def _homes(self, names: Names) -> dict[str, tuple[str, int | None]]:
        """The group of each program section that is in one, and that group's priority."""
        homes: dict[str, tuple[str, int | None]] = {}
        for name in self.conf.sections:
            if not name.startswith("group:"):
                continue
            section = self._section(name, names)
            group = name[6:].strip()
            priority = section.typed("priority", values.integer, 999)
            members: list[str] = []
            for member in section.typed("programs", values.strings, members):
                inside = f"program:{member}"
                if f"fcgi-program:{member}" in self.conf.sections:
                    section.say(Mark.IMPOSSIBLE, "programs", f"{member} is a fcgi-program")
                elif inside not in self.conf.sections:
                    section.refuse("programs", f"names the program {member!r}, which there is not")
                elif homes.setdefault(inside, (group, priority))[0] != group:
                    text = f"{member} is in {homes[inside][0]} too, and would run twice: it runs there"
                    section.say(Mark.IMPOSSIBLE, "programs", text)
            if section.says("priority"):
                section.say(Mark.NOT_NEEDED, "priority", "all start at once; --order makes it after")
            self._finish(section)
        return homes

    def _program(
        self, name: str, home: tuple[str, int | None], names: Names, around: program.Surroundings
    ) -> None:
        section = self._section(name, names)
        theirs = name.partition(":")[2].strip()
        try:
            values.name(theirs)
        except ValueError as error:
            section.refuse("", str(error))
            return
        ours = self._name(theirs)
        if ours != theirs:
            text = f"is called {ours}: names are made of a-z 0-9 . _ - and stand once"
            self.report.add(Mark.CHANGED, section.place, name, "", text)
        made = program.translate(section, home[0], ours, around)
        for one in made:
            one.priority = (home[1] if home[1] is not None else one.priority[0], one.priority[1])
            self.taken.add(one.name)
        if len(made) > 1:
            self.groups[ours] = [one.name for one in made]
        self.programs += made
        self.by_section[name] = made
        self._finish(section)

    def _name(self, theirs: str) -> str:
        plain = re.sub(r"[^a-z0-9._-]", "-", theirs.lower()).lstrip("._-")[:_LONGEST_NAME] or "program"
        found, number = plain, 2
        while found in self.taken:
            found, number = f"{plain}-{number}", number + 1
        self.taken.add(found)
        return found

    def _groups(self, homes: Mapping[str, tuple[str, int | None]]) -> None:
        for name in self.conf.sections:
            if not name.startswith("group:"):
                continue
            theirs, place = name[6:].strip(), self.conf.places[name]
            sections = [inside for inside, home in homes.items() if home[0] == theirs]
            members = [one.name for inside in sections for one in self.by_section.get(inside, [])]
            for inside in sections:  # a member of two groups there would be: the larger one has it
                self.groups.pop(self._split_name(inside), None)
            if len(members) == 1 and members[0] == theirs:
                self.report.add(Mark.SAME, place, name, "", f"{theirs} is the program alone")
            elif members:
                ours = self._name(theirs)
                self.groups[ours] = members
                text = f"[groups] {ours}" + ("" if ours == theirs else ", as the name is taken")
                self.report.add(Mark.SAME if ours == theirs else Mark.CHANGED, place, name, "", text)

    def _split_name(self, section: str) -> str:
        made = self.by_section.get(section, [])
        return next((group for group, members in self.groups.items() if made and made[0].name in members), "")

    def _others(self, names: Names) -> None:
        listeners = Listeners(self._find)
        master = self.tables.setdefault("master", {})
        known = ("supervisord", "include")
        for name in self.conf.sections:
            kind = name.partition(":")[0]
            section = self._section(name, names)
            if kind == "eventlistener":
                listeners.take(section)
            elif name == "include":
                text = "included here, in place; the file that is written is one"
                section.say(Mark.SAME, "files", text)
            elif name not in known and kind not in ("program", "group") and not whole.other(section, master):
                section.say(Mark.FINDING, "", "unknown to Supervisor, which ignores it")
        if listeners.on_fatal:
            self.tables["hooks"] = {"on_fatal": listeners.on_fatal}

    def _find(self, name: str) -> list[Program]:
        """The programs that supervisorctl calls so: NAME, GROUP:NAME, GROUP:*; "" is all of them."""
        group, _, process = name.rpartition(":")
        found = []
        for section, made in self.by_section.items():
            own = section.partition(":")[2].strip()
            theirs = {known for one in made for known, _ in one.copies}
            inside = any(known.partition(":")[0] == group for known in theirs)
            if not name or own == name or name in theirs or (process == "*" and inside):
                found += made
        return found

    def text(self, root: str) -> str:
        """The file."""
        parts = [f"# Written by procqueue init from {toml.value(self.conf.file)[1:-1]}.\n"]
        if root:
            parts.append(toml.table((), {"root": root.replace("${", "$${")}))
        parts += [toml.table((name,), table) for name, table in self.tables.items() if table]
        for one in self.programs:
            own = {**one.values, "after": one.after} if one.after else one.values
            parts.append(toml.table(("processes", one.name), own))
        if self.groups:
            parts.append(toml.table(("groups",), self.groups))
        return "\n".join(parts)


def _order(programs: list[Program]) -> None:
    """Let each program come after those of the priority before its own."""
    levels: dict[tuple[int, int], list[Program]] = {}
    for one in programs:
        levels.setdefault(one.priority, []).append(one)
    before: list[str] = []
    for priority in sorted(levels):
        for one in levels[priority]:
            one.after = list(before)
        before = [one.name for one in levels[priority] if not one.by_hand] or before
