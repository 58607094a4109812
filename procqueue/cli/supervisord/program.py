"""[program:x] → [processes.x]: what runs, when it is started again, how it stops. logs.py has its output.

Where a number is written differently in each copy (%(process_num)02d), one program becomes several.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from procqueue.cli.supervisord import logs, values
from procqueue.cli.supervisord.expand import Differs, Names, has_marks, of_environment
from procqueue.cli.supervisord.report import Mark, Report
from procqueue.cli.supervisord.section import Section
from procqueue.cli.supervisord.toml import Value

_MOST_RETRIES = 1_000_000
_MOST_COPIES = 10_000
_LONGEST = 10 * 365 * 86400
_NO_STOP = "STOP"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What [supervisord] gives to every program."""

    names: Names
    env: Mapping[str, str]  # with marks
    directory: str  # with marks; "" where it says none
    umask: int | None


@dataclass(slots=True)
class Program:
    """One program of ours, and whom it stands for: (what supervisorctl calls it, our copy)."""

    name: str
    values: dict[str, Value] = field(default_factory=dict)
    copies: list[tuple[str, str]] = field(default_factory=list)
    priority: tuple[int, int] = (999, 999)
    after: list[str] = field(default_factory=list)

    @property
    def by_hand(self) -> bool:
        """True if nobody starts it by himself, so that nobody may wait for it."""
        return self.values.get("autostart") is False or self.values.get("enabled") is False


def translate(section: Section, group: str, name: str, around: Surroundings) -> list[Program]:
    """The programs that one section stands for. `name` is ours, which is free, as `name`-anything is."""
    own = section.name.partition(":")[2].strip()
    constants: dict[str, str | int] = {**section.names.constants, "program_name": own, "group_name": group}
    names = replace(section.names, constants=constants)
    section = replace(section, names=names)
    count = section.typed("numprocs", values.integer, 1)
    start = section.typed("numprocs_start", values.integer, 0)
    if count > _MOST_COPIES or start < 0:
        section.refuse("numprocs", f"numprocs {count} from {start} cannot be translated")
        return []
    indices = range(start, start + max(count, 0))
    constants["numprocs"] = count
    names.indices = indices
    if not _names_are_right(section, count):
        return []
    try:
        return [_Draft(section, name, group, around).made()]
    except Differs:
        return _split(section, name, group, around, indices)


def _names_are_right(section: Section, count: int) -> bool:
    template = section.options["process_name"].value if section.says("process_name") else "%(program_name)s"
    if count > 1 and "%(process_num)" not in template:
        section.refuse("process_name", "has to hold %(process_num) where numprocs is more than 1")
        return False
    return True


def _split(
    section: Section, name: str, group: str, around: Surroundings, indices: Sequence[int]
) -> list[Program]:
    """One program for each copy; what is said of the first is true of all."""
    made: list[Program] = []
    report = Report()
    width = len(str(indices[-1]))
    for index in indices:
        names = replace(section.names, constants=dict(section.names.constants), indices=(index,))
        names.unset = section.names.unset
        one = replace(section, names=names, report=report if made else section.report)
        made.append(_Draft(one, f"{name}-{index:0{width}}", group, around, alone=True).made())
    # The attempt before this one has said some things already.
    section.report.lines[:] = list(dict.fromkeys(section.report.lines))
    text = (
        f"a number is written differently in each copy: {len(made)} programs {made[0].name} … {made[-1].name}"
    )
    section.say(Mark.CHANGED, "numprocs", f"{text}, which {name}-* addresses")
    return made


class _Draft:
    """One [processes.NAME] in the making."""

    def __init__(
        self, section: Section, name: str, group: str, around: Surroundings, *, alone: bool = False
    ) -> None:
        self._section = section
        self._around = around
        self._alone = alone
        self._group = group
        self._program = Program(name)
        self._values = self._program.values

    def made(self) -> Program:
        """The program; all keys of the section are looked at."""
        env = self._environment()
        self._extend(env)
        self._command()
        self._copies()
        self._starting()
        self._stopping()
        self._surroundings(env)
        self._values.update(logs.targets(self._section, self._around.directory))
        self._priority()
        if self._section.says("serverurl"):
            self._section.say(Mark.NOT_NEEDED, "serverurl", "children get no SUPERVISOR_SERVER_URL")
        return self._program

    def _environment(self) -> dict[str, str]:
        """The variables with marks, [supervisord]'s under its own."""
        section = self._section
        text = section.marked("environment")
        env = {**self._around.env, **variables(section, "environment", text)}
        if section.says("environment"):
            section.say(Mark.SAME, "environment", f"env, {len(env)} variables")
        return env

    def _extend(self, env: Mapping[str, str]) -> None:
        """What stands after environment sees these variables as ENV_…"""
        constants = self._section.names.constants
        own = {f"ENV_{name}": text for name, text in env.items()}
        again = [name for name in own if f"%({name})" in self._section.options.get("environment", ("",))[0]]
        if again and len(self._section.names.indices) > 1:
            text = (
                f"{again[0][4:]} is used in the environment that sets it: here each copy gets the first one's"
            )
            self._section.say(Mark.CHANGED, "environment", text)
        constants.update(own)

    def _command(self) -> None:
        section = self._section
        if not section.says("command"):
            section.refuse("command", "is missing")
            return
        text = section.marked("command")
        try:
            words = shlex.split(text)
            exact = shlex.split(self._today(text))
        except ValueError as error:
            self._disabled(f"cannot be split into words: {str(error).lower()}")
            return
        if not words or not words[0] or (not exact and not of_environment(text)):
            self._disabled("is empty")
            return
        said = False
        known = all(name in section.names.environ for name in of_environment(text))
        if known and [self._today(word) for word in words] != exact:
            section.say(
                Mark.CHANGED, "command", "a variable's value is split into words: that of today is written"
            )
            words, said = exact, True
        self._values["command"] = [section.written("command", word) for word in words]
        if "/" in words[0] and not words[0].startswith(("/", "\0")):
            said = True
            section.say(Mark.CHANGED, "command", "a relative path: it is looked for in the program's cwd")
        if not said:
            where = "" if words[0].startswith("/") else "; it is looked for on the program's own PATH"
            section.say(Mark.SAME, "command", f"command{where}")

    def _today(self, text: str) -> str:
        """`text` with the environment's values of today; the number of the copy stays."""
        names = self._section.names
        for name in of_environment(text):
            text = text.replace(f"\0{name}\0", names.environ.get(name, ""))
        return text

    def _disabled(self, why: str) -> None:
        self._values.update(command=["false"], enabled=False)
        self._section.say(Mark.IMPOSSIBLE, "command", f"{why}: Supervisor gives it up, here it is disabled")

    def _copies(self) -> None:
        section, names, name = self._section, self._section.names, self._program.name
        indices = names.indices
        if len(indices) != 1:
            self._values["count"] = len(indices)
            section.say(Mark.SAME, "numprocs", "count")
        if indices and indices[0] and not self._alone:
            self._values["index_start"] = indices[0]
            section.say(Mark.SAME, "numprocs_start", "index_start")
        for at, index in enumerate(indices):
            process = self._process_name(index)
            known = process if process == self._group else f"{self._group}:{process}"
            own = 0 if self._alone else index if indices[0] else at
            self._program.copies.append((known, f"{name}:{own}"))
        if section.says("process_name"):
            shown = f"supervisorctl's {self._program.copies[0][0]} is {name}:0" if indices else ""
            section.say(Mark.CHANGED, "process_name", shown or "there is no copy")

    def _process_name(self, index: int) -> str:
        """What supervisorctl calls the copy; however its number is written, it is no reason to split."""
        names = replace(self._section.names, indices=(index,))
        section = replace(self._section, names=names)
        return names.folded(section.marked("process_name", str(names.constants["program_name"])))

    def _starting(self) -> None:
        self._put("autostart", values.boolean, True, "autostart")
        self._put("startsecs", values.integer, 1, "start_seconds", self._seconds)
        self._put("autorestart", values.restart, "on-failure", "restart", note=_of_restart)
        self._put("exitcodes", values.exit_codes, [0], "ok_exit_codes")
        self._values.setdefault("restart", "on-failure")  # Supervisor's default, and not ours
        self._put("startretries", values.integer, 3, "start_retries", _retries, note=_of_retries)

    def _seconds(self, number: int) -> int:
        return min(max(number, 0), _LONGEST)

    def _stopping(self) -> None:
        section = self._section
        self._put("stopsignal", values.signal_name, "TERM", "stop_signal", self._signal)
        self._put("stopwaitsecs", values.integer, 10, "grace", self._grace)
        group = self._put("stopasgroup", values.boolean, False, "stop_group")
        kill = section.typed("killasgroup", values.boolean, bool(group))
        if group and not kill:
            section.refuse("killasgroup", "cannot be false where stopasgroup is true")
        elif section.says("killasgroup"):
            mark = Mark.SAME if kill else Mark.CHANGED
            section.say(mark, "killasgroup", "the hard kill always takes the whole group")

    def _signal(self, name: str) -> str:
        if name == _NO_STOP:
            self._section.say(Mark.IMPOSSIBLE, "stopsignal", "STOP ends nothing: TERM is written")
            return "TERM"
        return name

    def _grace(self, number: int) -> Value:
        if number > 0:
            return min(number, _LONGEST)
        self._section.say(Mark.CHANGED, "stopwaitsecs", "killed at once: 0.1 s is the least grace")
        return "100ms"

    def _surroundings(self, env: Mapping[str, str]) -> None:
        section = self._section
        if section.says("user"):
            self._values["user"] = section.written("user", section.typed("user", values.account, "root"))
            text = "user; HOME, USER, LOGNAME and SHELL are his too, unless login_env = false"
            section.say(Mark.CHANGED, "user", text)
        umask = section.typed("umask", values.octal, self._around.umask)
        if umask is not None:
            self._values["umask"] = f"{umask & 0o777:03o}"
            if section.says("umask"):
                section.say(Mark.SAME, "umask", "umask")
        directory = section.marked("directory") or self._around.directory
        if directory.startswith("~"):
            section.say(
                Mark.IMPOSSIBLE, "directory", "neither Supervisor nor we replace the ~: name the whole path"
            )
        elif directory:
            self._values["cwd"] = section.written("directory", directory)
            if section.says("directory"):
                relative = not posixpath.isabs(directory) and not has_marks(directory)
                text = "cwd, relative to root" if relative else "cwd"
                section.say(Mark.CHANGED if relative else Mark.SAME, "directory", text)
        if env:
            self._values["env"] = {name: section.written("environment", text) for name, text in env.items()}

    def _priority(self) -> None:
        priority = self._section.typed("priority", values.integer, 999)
        self._program.priority = (priority, priority)
        if self._section.says("priority"):
            text = "all start at once, as there; init --from --order makes it after, which waits until ready"
            self._section.say(Mark.NOT_NEEDED, "priority", text)

    def _put(
        self,
        key: str,
        parse: Callable[[str], Any],
        default: Any,
        ours: str,
        convert: Callable[[Any], Value] = lambda value: value,
        note: Callable[[Any], str] = lambda _: "",
    ) -> Any:
        """Translate a key that means the same; return our value. What is left out stays out."""
        section = self._section
        before = len(section.report.lines)
        value = section.typed(key, parse, default)
        if not section.says(key):
            return value
        found = self._values[ours] = convert(value)
        if len(section.report.lines) == before:
            differs = note(found)
            section.say(Mark.CHANGED if differs else Mark.SAME, key, f"{ours}{differs}")
        return found


def _of_restart(restart: str) -> str:
    return "; never also where it ends before startsecs" if restart == "never" else ""


def _of_retries(retries: int | str) -> str:
    much = isinstance(retries, str) or retries > 30
    return "; pauses grow to restart_delay_max, 30s, not by a second each time" if much else ""


def _retries(number: int) -> Value:
    return "forever" if number > _MOST_RETRIES else max(number, 0)


def variables(section: Section, key: str, text: str) -> dict[str, str]:
    """KEY=value pairs with marks; where a value of today changes how they are read, it is written."""
    names = section.names
    try:
        found = values.variables(text)
        exact = values.variables(names.folded(text)) if has_marks(text) and not names.unset else found
    except ValueError as error:
        section.refuse(key, str(error))
        return {}
    same = {names.folded(name): names.folded(item) for name, item in found.items()}
    if not names.unset and any("\0" in name for name in found):
        return exact
    if has_marks(text) and not names.unset and same != exact:
        if "\0index\0" in text and len(names.indices) > 1:
            raise Differs
        section.say(
            Mark.CHANGED, key, "a variable's value is read as part of the list: that of today is written"
        )
        return exact
    return {name: item for name, item in found.items() if name and "\0" not in name}
