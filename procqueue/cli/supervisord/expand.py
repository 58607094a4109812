"""%(…)s as Supervisor expands it, but for what is known at run time only: that becomes a mark.

`\\0NAME\\0` stands for our ${NAME} until the text is `written`, or for the value of today (`folded`).
No value can hold the mark, as no file with a NUL is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from procqueue.core.units import shown

_SPEC = re.compile(r"%%|%(?:\(([^()]*)\))?([#0\- +]*(?:\d+)?(?:\.\d+)?[hlL]?)([A-Za-z])")
_MARK = re.compile("\0([A-Za-z0-9_]+)\0")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OURS = frozenset(("index", "name", "count", "root", "host"))  # ${…} that are not of the environment


class Unexpandable(ValueError):
    """A % expression that Supervisor refuses, or that has no equal."""


class Differs(Exception):
    """A number that is written differently in each copy: only a program for each can say that."""


@dataclass(slots=True)
class Names:
    """What %(…)s can name in one section; `indices` are its process_nums."""

    constants: dict[str, str | int]
    environ: Mapping[str, str]
    indices: Sequence[int] = ()
    unset: set[str] = field(default_factory=set)  # variables that are used and have no value here

    def expand(self, text: str) -> str:
        """`text` with marks for what a copy or the environment decides. Raises Unexpandable, Differs."""
        if "%" not in text:
            return text
        found = _SPEC.sub(self._one, text)
        if "%" in _SPEC.sub("", text):
            raise Unexpandable(f"{shown(text)} has a % that is no %(NAME)s: write %% for a percent sign")
        return found

    def folded(self, text: str, index: int | None = None) -> str:
        """`text` with the values of today in place of the marks."""

        def value(mark: re.Match[str]) -> str:
            if mark[1] == "index":
                return str(self.indices[0] if index is None else index)
            return self.environ.get(mark[1], "")

        return _MARK.sub(value, text)

    def _one(self, spec: re.Match[str]) -> str:
        name, flags, kind = spec[1], spec[2], spec[3]
        if spec[0] == "%%":
            return "%"
        if name is None:
            raise Unexpandable(f"{shown(spec[0])} has no name: write %% for a percent sign")
        if name == "process_num" and len(self.indices) > 1:
            return self._numbered(flags + kind)
        if name == "process_num" and self.indices:
            return _formatted(flags + kind, name, self.indices[0])
        if name in self.constants:
            return _formatted(flags + kind, name, self.constants[name])
        if not name.startswith("ENV_"):
            raise Unexpandable(f"%({name}) cannot be expanded here: there is no such name")
        return self._variable(name[4:], flags + kind)

    def _numbered(self, form: str) -> str:
        """Zeros that all copies have in common may stand before the number; else they differ."""
        texts = [_formatted(form, "process_num", index) for index in self.indices]
        heads = {text.removesuffix(str(i)) for text, i in zip(texts, self.indices, strict=True)}
        if len(heads) > 1 or not all(
            text.endswith(str(index)) for text, index in zip(texts, self.indices, strict=True)
        ):
            raise Differs
        return heads.pop() + "\0index\0"

    def _variable(self, name: str, form: str) -> str:
        if name not in self.environ:
            self.unset.add(name)
        if form == "s" and _VARIABLE.fullmatch(name) and name not in _OURS:
            return f"\0{name}\0"
        return _formatted(form, f"ENV_{name}", self.environ.get(name, ""))


def _formatted(form: str, name: str, value: str | int) -> str:
    try:
        return ("%" + form) % value
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        raise Unexpandable(f"%({name}){form} cannot be expanded: {error}") from None


def has_marks(text: str) -> bool:
    """True if something of `text` is known at run time only."""
    return "\0" in text


def of_environment(text: str) -> list[str]:
    """The variables that `text` is made from."""
    return [name for name in _MARK.findall(text) if name != "index"]


def written(text: str) -> str:
    """`text` as our file says it: ${NAME} for a mark, and what looks like one of ours made literal."""
    if "$\0" in text:
        raise Unexpandable("a $ before %(…)s cannot be said: $${ is a literal ${")
    return _MARK.sub(r"${\1}", text.replace("${", "$${"))


def once(names: Names, environ: Mapping[str, str]) -> Callable[[str, str], str]:
    """The expansion of [include] files: everything has the value of today."""

    def expand(text: str, here: str) -> str:
        own = Names({**names.constants, "here": here}, environ)
        found = own.folded(own.expand(text))
        if own.unset:
            raise Unexpandable(f"the environment variable {shown(min(own.unset))} is not set")
        return found

    return expand
