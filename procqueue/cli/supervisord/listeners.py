"""[eventlistener:x]: of superlance's there are equals; all others speak a protocol that we do not have."""

from __future__ import annotations

import getopt
import posixpath
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from procqueue.cli.supervisord import values
from procqueue.cli.supervisord.program import Program
from procqueue.cli.supervisord.report import Mark
from procqueue.cli.supervisord.section import Section

_MIB = 1 << 20
_TO = ("-m", "--email", "-t", "--toEmail")
_SUBJECT = "procqueue: a program is given up"
_TICK = {"TICK_5": "5s", "TICK_60": "60s", "TICK_3600": "1h"}

#: Their long options, as superlance has them.
_MEMMON = (
    "help", "cumulative", "program=", "group=", "any=", "sendmail_program=", "email=", "uptime=", "name=",
)  # fmt: skip
_HTTPOK = (
    "help", "program=", "any", "timeout=", "code=", "body=", "gcore=", "coredir=", "eager", "not-eager",
    "restart-threshold=", "restart-timespan=", "external-script=", "grace-period=", "grace-count=",
    "sendmail_program=", "email=", "name=",
)  # fmt: skip

Find = Callable[[str], Sequence[Program]]  # what supervisorctl would call it → our programs


@dataclass(slots=True)
class Listeners:
    """What the listeners add; `find` takes a program's name, or GROUP:* or "" for all."""

    find: Find
    on_fatal: list[list[str]] = field(default_factory=list)

    def take(self, section: Section) -> None:
        """Translate one listener, or say that it cannot be."""
        if not section.typed("autostart", values.boolean, True):
            section.say(Mark.NOT_NEEDED, "", "is not started by itself there")
            section.used.update(section.options)
            return
        section.used.update(section.options)
        text = section.names.folded(section.marked("command"))
        try:
            words = shlex.split(text)
        except ValueError:
            words = []
        for at, word in enumerate(words):
            known = _KNOWN.get(posixpath.basename(word).removesuffix(".py"))
            if known is not None:
                try:
                    known(self, section, words[at + 1 :])
                except (getopt.GetoptError, ValueError) as error:
                    section.say(Mark.IMPOSSIBLE, "command", f"its arguments cannot be read: {error}")
                return
        text = "there is no protocol for listeners: [hooks] on_fatal, on_crash_loop, on_problem run commands"
        section.say(Mark.IMPOSSIBLE, "command" if section.says("command") else "", text)

    def memmon(self, section: Section, arguments: Sequence[str]) -> None:
        """-p PROGRAM=SIZE, -g GROUP=SIZE, -a SIZE → max_memory."""
        found, _ = getopt.gnu_getopt(list(arguments), "hcp:g:a:s:m:u:n:", _MEMMON)
        order = ("-a", "--any"), ("-g", "--group"), ("-p", "--program")  # the nearest wins
        for names in order:
            for option, value in found:
                if option in names:
                    self._limit(section, option, value)
        for option, value in found:
            if option in ("-m", "--email"):
                text = f"no mail to {value}: status says why a program was restarted"
                section.say(Mark.NOT_NEEDED, "command", text)
            elif option in ("-c", "--cumulative"):
                text = "memory of a program's children is not counted with it"
                section.say(Mark.CHANGED, "command", text)

    def _limit(self, section: Section, option: str, value: str) -> None:
        name, _, size = value.rpartition("=")
        limit = values.byte_size(size)
        found = self.find(
            "" if option in ("-a", "--any") else f"{name}:*" if option in ("-g", "--group") else name
        )
        if not found:
            section.say(Mark.IMPOSSIBLE, "command", f"memmon names {name}, which there is not")
        if limit < _MIB:
            section.say(Mark.IMPOSSIBLE, "command", f"{limit} bytes are no limit of memory")
            return
        for program in found:
            program.values["max_memory"] = limit
            section.say(
                Mark.CHANGED, "command", f"memmon: max_memory of {program.name}, looked at each second"
            )

    def httpok(self, section: Section, arguments: Sequence[str]) -> None:
        """-p PROGRAM, -g, -a and a URL → health."""
        found, rest = getopt.gnu_getopt(list(arguments), "hp:at:c:b:s:m:g:d:eEn:r:x:", _HTTPOK)
        options = dict(found)
        timeout = float(options.get("-t", options.get("--timeout", "10")))
        names = [value for option, value in found if option in ("-p", "--program")]
        if not rest or not rest[-1].startswith(("http://", "https://")) or not 0.05 <= timeout < 86400:
            section.say(
                Mark.IMPOSSIBLE, "command", "httpok names no http:// URL, or no time-out that can be meant"
            )
            return
        every = next((_TICK[e] for e in _events(section) if e in _TICK), "60s")
        programs = [one for name in names for one in self.find(name)] if names else list(self.find(""))
        for program in programs:
            check = rest[-1].replace("${", "$${")
            program.values["health"] = {"check": check, "every": every, "failures": 1, "timeout": timeout}
            section.say(Mark.CHANGED, "command", f"httpok: health of {program.name}; 2xx and 3xx are good")
        if not programs:
            section.say(Mark.IMPOSSIBLE, "command", "httpok names a program that there is not")

    def mail(self, section: Section, arguments: Sequence[str]) -> None:
        """crashmail -m, fatalmailbatch -t → [hooks] on_fatal."""
        words = list(arguments)
        to = [words[at + 1] for at, word in enumerate(words[:-1]) if word in _TO]
        to += [word.partition("=")[2] for word in words if word.partition("=")[0] in _TO and "=" in word]
        if not to:
            section.say(Mark.IMPOSSIBLE, "command", "names nobody to write to: see [hooks] on_fatal")
            return
        self.on_fatal.append(["mail", "-s", _SUBJECT, *to])
        text = "[hooks] on_fatal runs mail, when a program is given up rather than at each death"
        section.say(Mark.CHANGED, "command", text)


def _events(section: Section) -> list[str]:
    return values.strings(section.names.folded(section.marked("events")).upper())


_KNOWN: Mapping[str, Callable[[Listeners, Section, Sequence[str]], None]] = {
    "memmon": Listeners.memmon, "httpok": Listeners.httpok, "crashmail": Listeners.mail,
    "crashmailbatch": Listeners.mail, "fatalmailbatch": Listeners.mail,
}  # fmt: skip
