"""The configuration from the disk: follows includes, reads secrets, hands texts to decode.

What is right and wrong is decided in core/settings; here are only the ways in which reading itself can fail.
Every failure is a ConfigError that says what to do.
"""

from __future__ import annotations

import glob
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from procqueue.core.errors import ConfigError, Problem
from procqueue.core.settings.decode import Facts, decode, includes_of
from procqueue.core.settings.documents import Document, read_document
from procqueue.core.settings.model import Settings
from procqueue.core.settings.wrong import Wrong
from procqueue.core.units import shown
from procqueue.finding import absolute, find, read


def load(path: str | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of the configuration file `path`, or of the one that `find` finds.

    Raises ConfigError with every problem of the file and of those that it includes.
    """
    name = find(path, environ)
    file = absolute(name, environ)
    files = _Files(environ)
    files.take(name, file, ())
    if files.problems:  # without a file that is missing, everything that refers to it would look wrong too
        raise ConfigError(files.problems)
    facts = Facts(cpus=_cpus(), host=socket.gethostname(), read_secret=_secret)
    settings = decode(files.documents, file=file, environ=environ, facts=facts)
    return replace(settings, files=tuple(files.paths))


@dataclass(slots=True)
class _Files:
    """The main file and all that it includes, each once, in the order in which they are named."""

    environ: Mapping[str, str]
    documents: list[Document] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def take(self, name: str, file: str, chain: tuple[str, ...]) -> None:
        """Reads `file` and what it includes; `chain` holds the real paths of the files that led here."""
        real = os.path.realpath(file)
        self.seen.add(real)
        self.paths.append(file)
        try:
            document = read_document(name, _text(name, file))
            self.documents.append(document)
            patterns = includes_of(document, self.environ)
        except ConfigError as error:
            self.problems += error.problems
            return
        for pattern in patterns:
            self._include(document, file, pattern, (*chain, real))

    def _include(self, document: Document, file: str, pattern: str, chain: tuple[str, ...]) -> None:
        matches = self._matches(document, file, pattern)
        for match in matches:
            real = os.path.realpath(match)
            if real in chain:
                text = f"{shown(pattern)} leads back to {match}, which is being read: a cycle"
                hint = "let no file include itself or one that includes it"
                self.problems.append(document.problem(("include",), text, hint))
            elif real not in self.seen:
                shorter = os.path.relpath(match, os.path.dirname(file))
                self.take(os.path.join(os.path.dirname(document.name), shorter), match, chain)

    def _matches(self, document: Document, file: str, pattern: str) -> list[str]:
        directory = os.path.dirname(file)
        if glob.has_magic(pattern):
            found = glob.glob(os.path.join(glob.escape(directory), pattern), recursive=True)
            return sorted(map(os.path.normpath, found))
        match = os.path.normpath(os.path.join(directory, pattern))
        if os.path.lexists(match):
            return [match]
        text = f"there is no file {match}"
        hint = "mend the name; a pattern such as queues.d/*.toml may match nothing"
        self.problems.append(document.problem(("include",), text, hint))
        return []


def _text(name: str, file: str) -> str:
    data = read(name, file)
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        text = f"not UTF-8: byte 0x{data[error.start]:02x} at position {error.start}"
        raise ConfigError([Problem(name, line, "", text, "save the file as UTF-8")]) from None


def _secret(file: str) -> str:
    try:
        return _text(file, file)
    except ConfigError as error:
        first = error.problems[0]
        raise Wrong(
            f"{file}: {first.text}", "name a readable file with the password in its first line"
        ) from None


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
