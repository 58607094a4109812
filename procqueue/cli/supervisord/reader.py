"""A supervisord.conf as Supervisor reads it: the same parser, with the line that each value came from.

Sections and keys that stand twice are merged silently, " ;" and " #" cut a value, %(here)s is the directory
of the file that it stands in. What is lost in that way is a finding. expand.py replaces the rest.
"""

from __future__ import annotations

import configparser
import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from procqueue.core.units import shown

_LARGEST = 16 << 20
_COMMENTS = (";", "#")
_HERE = "%(here)s"


class Place(NamedTuple):
    """Where something stands; line 0: nowhere in particular."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Unreadable(Exception):
    """The file cannot be what is meant: `place` and a sentence."""

    def __init__(self, place: Place, text: str) -> None:
        super().__init__(f"{place}: {text}")
        self.place = place
        self.text = text


class Finding(NamedTuple):
    """Something that Supervisor drops or merges without a word."""

    place: Place
    section: str
    text: str


class Option(NamedTuple):
    """One value, and where it stands."""

    value: str
    place: Place


@dataclass(frozen=True, slots=True)
class Conf:
    """All sections of the file and of what it includes; later ones have been merged over earlier ones."""

    file: str
    here: str  # its directory, absolute
    sections: dict[str, dict[str, Option]] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)  # of the sections
    findings: list[Finding] = field(default_factory=list)


def read(path: str, expand_files: Callable[[str, str], str]) -> Conf:
    """The configuration in `path`. `expand_files(text, here)` replaces what stands in [include] files.

    Raises Unreadable.
    """
    conf = Conf(path, os.path.dirname(os.path.abspath(path)))
    _merge(conf, path)
    if "include" in conf.sections:
        _include(conf, expand_files)
    return conf


def _include(conf: Conf, expand_files: Callable[[str, str], str]) -> None:
    files = conf.sections["include"].get("files")
    if files is None:
        raise Unreadable(conf.places["include"], "[include] says no files")
    _replace_here(conf, conf.here)
    try:
        patterns = expand_files(files.value.replace(_HERE, conf.here), conf.here).split()
    except ValueError as error:
        raise Unreadable(files.place, f"[include] files: {error}") from None
    for pattern in patterns:
        found = sorted(glob.glob(os.path.join(conf.here, pattern)))
        if not found:
            conf.findings.append(Finding(files.place, "include", f"no file matches {shown(pattern)}"))
        for name in found:
            before = conf.sections["include"].get("files")
            _merge(conf, name)
            _replace_here(conf, os.path.dirname(os.path.abspath(name)))
            if conf.sections["include"].get("files") != before:
                text = "an included file includes nothing: Supervisor does not look at this"
                conf.findings.append(Finding(conf.sections["include"]["files"].place, "include", text))


def _replace_here(conf: Conf, here: str) -> None:
    # As Supervisor does it, file after file: what an earlier file said is replaced already.
    for options in conf.sections.values():
        for key, (value, place) in options.items():
            options[key] = Option(value.replace(_HERE, here), place)


def _merge(conf: Conf, path: str) -> None:
    """Parse one file and lay it over what there is."""
    lines = _Lines(_text(path), path)
    parser = configparser.RawConfigParser(
        dict_type=lines.record, strict=False, inline_comment_prefixes=_COMMENTS
    )  # type: ignore[call-overload]
    try:
        parser.read_file(lines, path)
    except configparser.MissingSectionHeaderError as error:
        raise Unreadable(Place(path, error.lineno), "stands before the first [section]") from None
    except configparser.ParsingError as error:
        line = error.errors[0][0] if error.errors else 0
        raise Unreadable(Place(path, line), "is neither key=value nor a [section]") from None
    except (configparser.Error, AttributeError, TypeError, ValueError):
        # Python's parser itself stumbles over some of what is not a configuration.
        raise Unreadable(Place(path, lines.last), "cannot be read as a configuration") from None
    lines.number = 0
    for section in ("DEFAULT", *parser.sections()):
        _merge_section(conf, section, parser, lines)
    for options in conf.sections.values():
        for key, option in conf.sections.get("DEFAULT", {}).items():
            options.setdefault(key, option)
    conf.findings.extend(lines.findings())


def _merge_section(conf: Conf, section: str, parser: configparser.RawConfigParser, lines: _Lines) -> None:
    own: Mapping[str, str] = parser.defaults() if section == "DEFAULT" else parser._sections[section]  # type: ignore[attr-defined]
    if section == "DEFAULT" and not own:
        return
    place = Place(lines.path, lines.headers.get(section, 0))
    if section in conf.sections:
        text = f"stands in {conf.places[section]} too: the two are merged, the later value wins"
        conf.findings.append(Finding(place, section, text))
    options = conf.sections.setdefault(section, {})
    conf.places.setdefault(section, place)
    for key, value in own.items():
        options[key] = Option(value, Place(lines.path, lines.of(own, key)))


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise Unreadable(Place(path, 0), f"cannot be read: {why.lower()}") from None
    if len(data) > _LARGEST:
        raise Unreadable(Place(path, 0), f"is larger than {_LARGEST >> 20} MiB")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unreadable(Place(path, line), f"not UTF-8: byte 0x{data[error.start]:02x}") from None
    if "\0" in text:
        raise Unreadable(Place(path, text.count("\n", 0, text.index("\0")) + 1), "holds a NUL character")
    return text.replace("\r\n", "\n").replace("\r", "\n")


class _Lines(Iterable[str]):
    """The lines of one file. The parser is given dictionaries that ask here which line it is at."""

    def __init__(self, text: str, path: str) -> None:
        self.path = path
        self.number = 0
        self.last = 0
        self.headers: dict[str, int] = {}
        self._lines = [line + "\n" for line in text.split("\n")]
        self._at: dict[tuple[int, str], int] = {}
        self._twice: list[tuple[int, str, int]] = []
        self._repeated: list[tuple[int, str]] = []
        self._kept: list[Any] = []

    def __iter__(self) -> Iterator[str]:
        for number, line in enumerate(self._lines, start=1):
            self.number = self.last = number
            yield line
        self.number = 0

    def record(self) -> dict[str, Any]:
        """Return a dictionary that tells us of every key."""
        made = _Record(self, top=not self._kept)
        self._kept.append(made)  # so that no id is used twice
        return made

    def of(self, mapping: Mapping[str, Any], key: str) -> int:
        """Return the line of a key in one of these dictionaries."""
        return self._at.get((id(mapping), key), 0)

    def saw(self, mapping: dict[str, Any], key: str) -> None:
        """Note that the parser sets this key."""
        if self.number:
            at = (id(mapping), key)
            if at in self._at:
                self._twice.append((self.number, key, self._at[at]))
            self._at[at] = self.number

    def asked(self, section: str, *, known: bool) -> None:
        """Note that the parser meets this section's header."""
        if self.number:
            if known:
                self._repeated.append((self.number, section))
            self.headers.setdefault(section, self.number)

    def findings(self) -> Iterator[Finding]:
        """What the parser lost or merged in this file, in the order of its lines."""
        found = [
            Finding(Place(self.path, line), "", f"{key} stands in line {first} too: the later one counts")
            for line, key, first in self._twice
        ]
        for line, section in self._repeated:
            text = f"[{section}] stands in line {self.headers[section]} too: the two are merged"
            found.append(Finding(Place(self.path, line), section, text))
        found += self._cuts()
        yield from sorted(found, key=lambda one: one.place.line)

    def _cuts(self) -> Iterator[Finding]:
        for at, line in enumerate(self._lines, start=1):
            key = line.partition("=")[0].strip().lower()
            if key not in ("command", "environment"):
                continue
            cut = min((i for mark in _COMMENTS if (i := _mark(line, mark)) > 0), default=0)
            if cut:
                text = (
                    f"{key} is cut at {shown(line[cut])}, with all that follows it: a comment to Supervisor"
                )
                yield Finding(Place(self.path, at), "", text)


def _mark(line: str, mark: str) -> int:
    """Return where a comment begins in a line, 0 if none does behind a value."""
    at = line.find(mark)
    while at > 0 and not line[at - 1].isspace():
        at = line.find(mark, at + 1)
    return max(at, 0)


class _Record(dict[str, Any]):
    """A dictionary of the parser's; the first one is that of all sections."""

    def __init__(self, lines: _Lines, *, top: bool) -> None:
        super().__init__()
        self._lines = lines
        self._top = top

    def __setitem__(self, key: str, value: Any) -> None:
        if not self._top:
            self._lines.saw(self, key)
        super().__setitem__(key, value)

    def __contains__(self, key: object) -> bool:
        known = super().__contains__(key)
        if self._top and isinstance(key, str):
            self._lines.asked(key, known=known)
        return known
