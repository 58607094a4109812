"""What the watcher watches: the application's sources and the configuration, and what they contained last.

Events of the kernel only say that it is time to look: they get lost in an overflow, and tell of writes that
changed nothing. The truth is what is on the disk, compared with what was there: a file whose stamp is new is
read, and only another content is a change.
"""

from __future__ import annotations

import glob
import hashlib
import importlib.util
import os
import stat
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from procqueue.core.errors import ConfigError
from procqueue.core.ignoring import NEVER, Pattern, is_editors_own, is_ignored, patterns
from procqueue.core.settings.decode import includes_of
from procqueue.core.settings.documents import read_document
from procqueue.core.settings.model import Settings

#: Seconds. A file that was written so shortly before it was read may have been written again since without
#: another stamp: clocks of file systems are coarse.
_FRESH = 0.1


@dataclass(frozen=True, slots=True)
class Changes:
    """What has another content than before."""

    code: tuple[str, ...]
    config: bool

    def __bool__(self) -> bool:
        return bool(self.code) or self.config


class Sources:
    """The files that are watched. After a `look`, `directories` are those in which events are of interest."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ours = tuple(patterns(settings.reload.ignore, settings.root))
        self._code: dict[str, _Seen] = {}  # as last seen
        self._config: dict[str, _Seen] = {}
        self._told = (self._code, self._config)
        self.directories: set[str] = set()
        self.look()
        self.told()

    def look(self, hints: Collection[str] = ()) -> Changes:
        """Return what differs from what was told. `hints`: paths that are read whatever their stamp says."""
        found = _Walk(self._settings.master.state_dir, self._ours)
        for path in self._settings.reload.paths:
            found.take(path)
        config, places = _configuration(self._settings)
        self.directories = {*found.directories, *places}
        self._code = dict(_seen(found.files.difference(config), self._code, hints))
        self._config = dict(_seen(config, self._config, hints))
        code, conf = self._told
        return Changes(tuple(_differing(code, self._code)), bool(_differing(conf, self._config)))

    def told(self) -> None:
        """Note that the master knows what was seen."""
        self._told = (self._code, self._config)

    def may_matter(self, path: str) -> bool:
        """True if an event at `path` is a reason to look."""
        name = os.path.basename(path)
        if path in self._code or path in self._config or path in self.directories:
            return True
        if name in NEVER or is_editors_own(name):
            return False
        return name.endswith((".py", ".toml")) or name == ".gitignore" or os.path.isdir(path)


def forget_compiled(paths: Sequence[str]) -> None:
    """Remove what Python compiled of files that have changed.

    It takes a file for unchanged that has the same size and was written in the same second.
    """
    for path in paths:
        with suppress(OSError, NotImplementedError):
            os.unlink(importlib.util.cache_from_source(path))


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was read. `stamp`: None if the file may change once more without another one."""

    stamp: tuple[int, ...] | None
    digest: bytes


@dataclass(slots=True)
class _Walk:
    """One walk through the directories, but for those that do not count."""

    state_dir: str
    ours: tuple[Pattern, ...]
    files: set[str] = field(default_factory=set)
    directories: set[str] = field(default_factory=set)

    def take(self, path: str) -> None:
        """Take a path of the configuration: a file counts whatever its name is."""
        if os.path.isdir(path):
            self._descend(path, ())
        else:
            self.files.add(path)  # it may come
            self.directories.add(_nearest(os.path.dirname(path)))

    def _descend(self, top: str, above: Sequence[Pattern]) -> None:
        try:
            entries = list(os.scandir(top))
        except OSError:
            return  # gone meanwhile, or not for us
        self.directories.add(top)
        written = [*above, *_gitignore(top)] if any(e.name == ".gitignore" for e in entries) else above
        said = (*written, *self.ours)  # what [reload] says has the last word
        for entry in entries:
            directory = _is_directory(entry)
            if is_ignored(entry.path, said, directory=directory):
                continue
            if directory:
                if not self._is_foreign(entry):
                    self._descend(entry.path, written)
            elif entry.name.endswith(".py") and not is_editors_own(entry.name):
                self.files.add(entry.path)

    def _is_foreign(self, entry: os.DirEntry[str]) -> bool:
        return (
            entry.name in NEVER
            or entry.path == self.state_dir
            or entry.path in self.directories
            or os.path.exists(os.path.join(entry.path, "pyvenv.cfg"))
        )


def _is_directory(entry: os.DirEntry[str]) -> bool:
    """True for a directory, but not for a link to one: it may lead back, or out of the tree."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _gitignore(directory: str) -> list[Pattern]:
    with suppress(OSError, UnicodeDecodeError), open(f"{directory}/.gitignore", encoding="utf-8") as file:
        return patterns(file, directory)
    return []


def _configuration(settings: Settings) -> tuple[set[str], set[str]]:
    """Return the files of the configuration as they are found now, and where more may come."""
    files = set(settings.files)
    for file in settings.files:
        for pattern in _includes(file):
            whole = os.path.normpath(os.path.join(os.path.dirname(file), pattern))
            # Without magic it may come later; its directory is watched all the same.
            files |= set(glob.glob(whole, recursive=True)) or {whole}
    return {file for file in files if not glob.has_magic(file)}, {
        _nearest(os.path.dirname(file)) for file in files if not glob.has_magic(os.path.dirname(file))
    }


def _includes(file: str) -> Sequence[str]:
    try:
        with open(file, encoding="utf-8") as stream:
            return includes_of(read_document(file, stream.read()), os.environ)
    except (OSError, UnicodeDecodeError, ConfigError):
        return ()  # half written, or wrong: the master says what


def _nearest(directory: str) -> str:
    """Return the directory, or the nearest above it that is there."""
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory


def _seen(
    paths: Collection[str], known: Mapping[str, _Seen], hints: Collection[str]
) -> Iterator[tuple[str, _Seen]]:
    """Yield what the files contain. Only regular ones are opened: others could hold up the reader."""
    for path in paths:
        try:
            found = os.stat(path)
            stamp = (found.st_ino, found.st_dev, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            before = known.get(path)
            if before is not None and before.stamp == stamp and path not in hints:
                yield path, before
                continue
            if not stat.S_ISREG(found.st_mode):
                continue
            with open(path, "rb") as file:
                digest = hashlib.blake2b(file.read(), digest_size=16).digest()
        except OSError:
            continue  # not there, or no longer: its absence is compared
        fresh = time.time() - found.st_ctime_ns / 1e9 < _FRESH
        yield path, _Seen(None if fresh else stamp, digest)


def _differing(old: Mapping[str, _Seen], new: Mapping[str, _Seen]) -> list[str]:
    def digest(seen: _Seen | None) -> bytes | None:
        return seen.digest if seen else None

    return sorted(path for path in old.keys() | new.keys() if digest(old.get(path)) != digest(new.get(path)))
