"""The configuration from the disk: finds the file, follows includes, reads secrets, hands texts to decode.

What is right and wrong is decided in core/settings; here are only the ways in which reading itself can fail.
Every failure is a ConfigError that says what to do. Light to import: verbs that only ask a master use it.
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
from procqueue.core.settings.rescue import state_dir_in
from procqueue.core.settings.wrong import Wrong
from procqueue.core.units import shown

PLACES = ("procqueue.toml", "etc/queues.toml")
LARGEST_FILE = 16 << 20  # a configuration is never so large; a device or a log named by mistake is


def load(path: str | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of the configuration file `path`, or of the one that `find` finds.

    Raises ConfigError with every problem of the file and of those that it includes.
    """
    name = find(path, environ)
    file = _absolute(name, environ)
    files = _Files(environ)
    files.take(name, file, ())
    if files.problems:  # without a file that is missing, everything that refers to it would look wrong too
        raise ConfigError(files.problems)
    facts = Facts(cpus=_cpus(), host=socket.gethostname(), read_secret=_secret)
    settings = decode(files.documents, file=file, environ=environ, facts=facts)
    return replace(settings, files=tuple(files.paths))


def find(path: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The name of the configuration file: `path`, PROCQUEUE_CONFIG, ./procqueue.toml, ./etc/queues.toml.

    The first two are taken as they are; whether such a file exists shows when it is read. Raises ConfigError.
    """
    named = path or environ.get("PROCQUEUE_CONFIG")
    if named:
        return named
    found = next((place for place in PLACES if os.path.lexists(place)), None)
    if found:
        return found
    text = f"no configuration file: neither {PLACES[0]} nor {PLACES[1]} is in {_here(environ)}"
    hint = "name it by -c FILE or PROCQUEUE_CONFIG, or write one: an app and a [queues.NAME]"
    raise ConfigError([Problem(PLACES[0], 0, "", text, hint)])


def state_dir_of(path: str | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """The absolute state_dir, for verbs that talk to a running master; the rest of the file may be broken.

    PROCQUEUE_STATE_DIR needs no file at all. Raises ConfigError if there is no file, or no state_dir in it
    that can be read.
    """
    if given := environ.get("PROCQUEUE_STATE_DIR"):
        return _absolute(given, environ)
    name = find(path, environ)
    file = _absolute(name, environ)
    text = _read(name, file).decode("utf-8", errors="replace").removeprefix("\ufeff")
    return state_dir_in(text, file=file, name=name, environ=environ)


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
    data = _read(name, file)
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        text = f"not UTF-8: byte 0x{data[error.start]:02x} at position {error.start}"
        raise ConfigError([Problem(name, line, "", text, "save the file as UTF-8")]) from None


def _read(name: str, file: str) -> bytes:
    try:
        with open(file, "rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        problem = Problem(name, 0, "", f"there is no file {file}", "mend the name, or write the file")
    except IsADirectoryError:
        problem = Problem(name, 0, "", "is a directory", "name the file in it, such as etc/queues.toml")
    except PermissionError:
        problem = Problem(name, 0, "", f"user {os.geteuid()} may not read it", "mend its owner or its mode")
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        problem = Problem(
            name, 0, "", f"cannot be read: {getattr(error, 'strerror', error)}", "mend the name"
        )
    else:
        if len(data) <= LARGEST_FILE:
            return data
        problem = Problem(
            name, 0, "", f"is larger than {LARGEST_FILE >> 20} MiB", "name a configuration file"
        )
    raise ConfigError([problem])


def _secret(file: str) -> str:
    try:
        return _text(file, file)
    except ConfigError as error:
        first = error.problems[0]
        raise Wrong(
            f"{file}: {first.text}", "name a readable file with the password in its first line"
        ) from None


def _absolute(path: str, environ: Mapping[str, str]) -> str:
    if "\0" in path:
        raise ConfigError([Problem(path, 0, "", "a path cannot hold a NUL character", "mend the name")])
    if os.path.isabs(path):
        return os.path.normpath(path)
    return os.path.normpath(os.path.join(_here(environ), path))


def _here(environ: Mapping[str, str]) -> str:
    """The current directory by the name that the user came by.

    getcwd would resolve /srv/app/current, a link that moves with each release, to the release of today; the
    shell keeps the name in PWD. As `pwd -L` does, it is believed if it still means this directory.
    """
    named = environ.get("PWD", "")
    try:
        if os.path.isabs(named) and os.path.samefile(named, "."):
            return named
    except (OSError, ValueError):
        pass
    try:
        return os.getcwd()
    except OSError as error:
        text = f"the current directory cannot be told: {error.strerror}"
        raise ConfigError([Problem(".", 0, "", text, "change to a directory that exists")]) from None


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
