"""The watcher: the child that tells the master when sources or configuration have changed (development).

It is a process of its own, since watchfiles has a thread, and the master forks (law S2). Only directories
that count are watched, each for itself: a store in state_dir, a .git or a node_modules makes no noise and
takes no watch. What counts, and what a change is: sources.py; what the master does with "changed": reloads.py
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from procqueue.core.exits import Exit
from procqueue.core.settings.model import Settings
from procqueue.process.lifeline import Lifeline
from procqueue.process.sources import Changes, Sources, forget_compiled
from procqueue.process.spawn import let_signals_in

if TYPE_CHECKING:
    from watchfiles._rust_notify import RustNotify

#: Seconds of quiet after which a save is taken to be complete, and for how long that is waited for at most.
QUIET, MOST = 0.05, 0.5
#: Milliseconds between two looks of watchfiles at what its thread has gathered.
_STEP = 10
#: Seconds between two looks at the files where the kernel tells nothing; a slow file system gets more.
_POLL = 0.3
_POLL_SHARE = 5
#: File systems that others change without the kernel's knowledge.
_SILENT = ("nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "vboxsf", "ceph", "afs", "glusterfs")
_MOST_NAMED = 20


class Watcher:
    """One watcher process. `run` is its whole life."""

    def __init__(self, settings: Settings, lifeline: Lifeline) -> None:
        self._settings = settings
        self._lifeline = lifeline
        self._stop = _Stop(lifeline)

    def run(self) -> int:
        """Tell of changes until told to leave; return the exit code."""
        signal.signal(signal.SIGTERM, self._leave)
        for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(ignored, signal.SIG_IGN)
        let_signals_in()
        sources = Sources(self._settings)
        ready = False
        while not self._stop.is_set():
            events = self._events(sources)
            self._tell(sources, sources.look())  # what came before the watch stood
            if not ready:
                ready = self._lifeline.say("ready")
            self._follow(sources, events)
            events.close()
        return Exit.OK

    def _leave(self, _signum: int, _frame: object) -> None:
        self._lifeline.say("leaving", reason="stop")
        os._exit(0)

    def _follow(self, sources: Sources, events: Events) -> None:
        """Tell of changes while the same directories are to be watched."""
        while sources.directories == events.directories and not events.outdated:
            hints = events.wait()
            if hints is None:
                return
            self._tell(sources, sources.look(hints))

    def _tell(self, sources: Sources, changes: Changes) -> None:
        if not changes:
            sources.told()
            return
        forget_compiled(changes.code)
        names = changes.code[:_MOST_NAMED]
        if self._lifeline.say("changed", code=names, number=len(changes.code), config=changes.config):
            sources.told()

    def _events(self, sources: Sources) -> Events:
        """Return where events come from. A directory that is gone by now is seen by the next look."""
        if why := _why_to_poll(sources.directories):
            return self._polling(sources, why)
        from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

        directories = set(sources.directories)
        try:
            notify = RustNotify(sorted(directories), False, False, 0, False, True)
        except (OSError, WatchfilesRustInternalError) as error:
            return self._polling(sources, why_of(str(error)))
        return Inotify(notify, directories, sources, self._stop)

    def _polling(self, sources: Sources, why: str) -> Events:
        text = f"{why}; so files are compared every {_POLL:g} s instead, which takes more of a CPU"
        self._lifeline.say("note", text=text)
        return Polling(sources, self._stop)


class Events(Protocol):
    """Where it is heard that there may be a change. `outdated`: it may not hear of all any more."""

    outdated: bool

    @property
    def directories(self) -> set[str]:
        """Return where it listens."""

    def wait(self) -> frozenset[str] | None:
        """Wait for something, and then for quiet; return the paths, None when it is time to leave."""

    def close(self) -> None:
        """Give back what the kernel lends."""


class Inotify:
    """Events of the kernel."""

    def __init__(self, notify: RustNotify, directories: set[str], sources: Sources, stop: _Stop) -> None:
        self._notify = notify
        self.directories = directories
        self.outdated = False
        self._sources = sources
        self._stop = stop

    def wait(self) -> frozenset[str] | None:
        """Wait for something, and then for quiet; return the paths, None when it is time to leave."""
        found: set[str] = set()
        begun = last = 0.0
        while not found or (left := min(last + QUIET, begun + MOST) - time.monotonic()) > 0:
            patience = max(1, int(left * 1000)) if found else 0
            heard = self._notify.watch(_STEP, _STEP, patience, self._stop)
            if heard == "stop":
                return None
            if isinstance(heard, set) and (new := self._that_matter(path for _, path in heard)):
                last = time.monotonic()
                begun = begun or last
                found |= new
        return frozenset(found)

    def close(self) -> None:
        """Give back what the kernel lends."""
        self._notify.close()

    def _that_matter(self, paths: Iterable[str]) -> set[str]:
        found = {path for path in paths if self._sources.may_matter(path)}
        # One that was removed and made again is another directory, of the same name.
        self.outdated |= not found.isdisjoint(self.directories)
        return found


class Polling:
    """No events: the files are compared again and again."""

    outdated = False

    def __init__(self, sources: Sources, stop: _Stop) -> None:
        self._sources = sources
        self._stop = stop

    @property
    def directories(self) -> set[str]:
        """All that there are: new ones need no preparation."""
        return self._sources.directories

    def wait(self) -> frozenset[str] | None:
        """Wait for a change, and then for quiet; None when it is time to leave."""
        found, took = Changes((), config=False), 0.0
        while not found:
            if self._stop.wait(max(_POLL, _POLL_SHARE * took)):
                return None
            begun = time.monotonic()
            found = self._sources.look()
            took = time.monotonic() - begun
        give_up = time.monotonic() + MOST
        while not self._stop.wait(QUIET):
            before, found = found, self._sources.look()
            if found == before or time.monotonic() > give_up:
                return frozenset()
        return None

    def close(self) -> None:
        """Nothing was lent."""


class _Stop:
    """Whether it is time to leave: the master says so, or is gone. watchfiles asks it between two looks."""

    def __init__(self, lifeline: Lifeline) -> None:
        self._lifeline = lifeline
        self._told = False

    def is_set(self) -> bool:
        self._told |= any(message["say"] == "stop" for message in self._lifeline.hear())
        return self._told or self._lifeline.ended

    def wait(self, seconds: float) -> bool:
        """Sleep for so long, or until it is time."""
        poll = select.poll()
        poll.register(self._lifeline.fileno(), select.POLLIN)
        poll.poll(seconds * 1000)
        return self.is_set()


def why_of(error: str) -> str:
    """Say why the kernel gives no events, and what can be done."""
    if "os error 24" in error:
        return "no inotify instance is left (raise the sysctl fs.inotify.max_user_instances, or ulimit -n)"
    if "os error 28" in error or "limit" in error:
        return "no inotify watches are left (raise the sysctl fs.inotify.max_user_watches)"
    return f"the kernel tells of no changes ({error})"


def _why_to_poll(directories: Iterable[str]) -> str:
    """Return why events cannot be relied on, "" if they can."""
    forced = os.environ.get("WATCHFILES_FORCE_POLLING", "")
    if forced and forced.lower() not in ("false", "disable", "disabled"):
        return "WATCHFILES_FORCE_POLLING is set"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            mounts = kinds_of_mounts(file.read())
    except OSError:
        return ""
    for directory in sorted(directories):
        real = os.path.realpath(directory) + "/"
        place = max((p for p in mounts if real.startswith(p.rstrip("/") + "/")), key=len, default="")
        kind = mounts.get(place, "")
        if kind in _SILENT or kind.startswith("fuse"):
            return f"{directory} is on a file system ({kind}) that does not tell of all changes"
    return ""


def kinds_of_mounts(mountinfo: str) -> dict[str, str]:
    """Return the kind of file system of each place where one is mounted (proc(5), mountinfo)."""
    found = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        place = before.split(" ")[4]
        for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
            place = place.replace(code, character)
        found[place] = after.split(" ")[0]  # what is mounted last lies on top
    return found
