"""The logger: the child that takes the lines of all others, so that the master waits for no disk (law S2).

The master keeps the read ends of all pipes too, and the journal; so a logger that is killed is replaced,
and no line is lost. Messages from the master, each with "key", which names one life of one child:

    follow    lines of `name` come from the pipes `fds`; `own`: it is one of procqueue's own processes; `out`
              and `err` say where they go: {"to": …, "most": bytes, "backups": number}
    forget    write what is in its pipes now, and let them go
    reopen    files have been moved away (no key)
    will      a program to end if the master dies: pid, stop_signal, grace, stop_group; `fds` has its pidfd
    unwill    it is dead
    stop      write what is in all pipes now, and leave (no key)

and to the master: ready; tapped key (a line of its stdout matched the "tap" of its follow); ended key (its
pipes have ended, nobody needs the read ends any more); problem and solved with target, text, missing.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from procqueue.core.exits import Exit
from procqueue.process import lock
from procqueue.process.lifeline import Lifeline
from procqueue.process.log import line_of
from procqueue.process.logger import lines, ring
from procqueue.process.logger.files import FileTarget
from procqueue.process.logger.journal import Journal
from procqueue.process.logger.lines import batch_at
from procqueue.process.logger.pipes import Glass
from procqueue.process.logger.source import Next, Source
from procqueue.process.logger.targets import Syslog, Target, Terminal
from procqueue.process.logger.will import Wills
from procqueue.process.programs.readiness import LineTap
from procqueue.process.spawn import let_signals_in

#: Seconds for which a logger that leaves waits for a terminal that stands still.
_LAST_WAIT = 1.0
#: Seconds until the master is told again what it could not take.
_SAY_AGAIN = 0.1
#: Terminals and systemd send these to everybody; who takes the last words of all others leaves after them.
#: Locked in `folder` for as long as a logger lives: then the will of its master is carried out.
LOCK = "logger.lock"
_IGNORED = ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "PIPE", "XFSZ", "TTIN", "TTOU", "TSTP")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a logger works. `folder`: state_dir/logs. `journal`: new_journal(). `json`: an object a line."""

    folder: str
    journal: int
    json: bool = False
    stdout: int = 1
    stderr: int = 2


class Logger:
    """One logger process. `run` is its whole life."""

    def __init__(self, place: Place, lifeline: Lifeline) -> None:
        self._place = place
        self._lifeline = lifeline
        self._glass = Glass()
        self._journal = Journal(place.journal)
        self._wills = Wills(lambda event, key, pid: self._note(event, program=key, pid=pid))
        self._sources: dict[int, Source] = {}
        self._ready: dict[int, Source] = {}
        self._held: dict[int, Source] = {}
        self._unsaid: deque[tuple[str, dict[str, Any]]] = deque()
        self._files: dict[str, FileTarget] = {}
        self._syslog: Syslog | None = None
        self._terminals = self._open_terminals()
        self._leave_by = float("inf")
        self._orphaned = False
        self._step_in = float("inf")

    def run(self) -> int:
        """Take lines until told to stop, or until the master is dead and everybody else has left."""
        for name in _IGNORED:
            signal.signal(getattr(signal, f"SIG{name}"), signal.SIG_IGN)
        let_signals_in()
        self._poll = select.epoll()
        self._poll.register(self._lifeline.fileno(), select.EPOLLIN)
        with contextlib.suppress(OSError):  # the first line tells what is wrong
            os.makedirs(self._place.folder, mode=0o700, exist_ok=True)
        with contextlib.suppress(OSError, lock.Occupied):  # by the logger of a dead master
            lock.take(f"{self._place.folder}/{LOCK}")
        self._say("ready")
        while not self._is_over():
            self._turn()
        return Exit.OK

    def _turn(self) -> None:
        for fd, events in self._poll.poll(self._pause()):
            if source := self._sources.get(fd):
                source.closed |= bool(events & select.EPOLLHUP)
                self._ready[fd] = source
            elif fd == self._lifeline.fileno():
                self._hear()
            else:
                self._unblock(fd)
        now = time.monotonic()
        for fd, source in self._sources.items():
            if source.due <= now:
                self._ready[fd] = source
        for fd, source in list(self._ready.items()):
            self._move(fd, source, now)
        for terminal in self._terminals.values():
            self._flush(terminal)
        for file in self._files.values():
            file.retry(now)
        self._step_in = self._wills.step()
        self._speak()

    def _move(self, fd: int, source: Source, now: float) -> None:
        match source.move(self._glass, self._journal, now):
            case Next.MORE:
                self._stay()
                return
            case Next.HELD:
                self._held[fd] = source
            case Next.ENDED:
                self._stay()
                self._end(fd, source)
            case Next.WAIT:
                pass
        del self._ready[fd]

    def _stay(self) -> None:
        """Put off leaving: lines are still being written."""
        if self._leave_by != float("inf"):
            self._leave_by = time.monotonic() + _LAST_WAIT

    def _end(self, fd: int, source: Source) -> None:
        self._poll.unregister(fd)
        del self._sources[fd]
        self._held.pop(fd, None)
        source.close()
        if not any(other.key == source.key for other in self._sources.values()):
            self._say("ended", key=source.key)

    def _flush(self, terminal: Terminal) -> None:
        if terminal.blocked:
            return
        had_some = terminal.has_waiting
        terminal.flush()
        if terminal.blocked:
            self._poll.register(terminal.fileno(), select.EPOLLOUT)
        elif had_some:
            self._ready.update(self._held)
            self._held.clear()

    def _unblock(self, fd: int) -> None:
        self._poll.unregister(fd)
        for terminal in self._terminals.values():
            if terminal.fileno() == fd:
                terminal.blocked = False

    def _hear(self) -> None:
        for message in self._lifeline.hear(most_fds=2):
            match message["say"]:
                case "follow":
                    self._follow(message)
                case "forget":
                    self._give_up(message["key"])
                case "reopen":
                    self._reopen()
                case "will":
                    self._wills.add(message)
                case "unwill":
                    self._wills.drop(message["key"])
                case "stop":
                    self._give_up(None)
                    self._leave_by = time.monotonic() + _LAST_WAIT
        if self._lifeline.ended and not self._orphaned:
            self._orphaned = True
            self._poll.unregister(self._lifeline.fileno())
            if self._leave_by == float("inf"):
                self._note("master_died", pipes=len(self._sources))
                self._wills.execute()

    def _reopen(self) -> None:
        for file in self._files.values():
            file.reopen()
        if self._syslog is not None:
            self._syslog.reopen()

    def _follow(self, message: dict[str, Any]) -> None:
        if any(source.key == message["key"] for source in self._sources.values()):
            for fd in message["fds"]:  # said twice
                os.close(fd)
            return
        if not message["fds"]:
            self._tell("problem", message["name"], "no descriptor is free for its lines", 0)
        for stream, fd in zip(("out", "err"), message["fds"], strict=False):
            targets = self._targets(message["name"], message[stream], own=message.get("own", False))
            tap = message.get("tap", "") if stream == "out" else ""
            source = Source(
                message["key"], message["name"], stream, fd, targets, self._tap(message["key"], tap)
            )
            self._sources[fd] = self._ready[fd] = source
            self._poll.register(fd, select.EPOLLIN | select.EPOLLET)

    def _tap(self, key: str, pattern: str) -> Callable[[bytes], None]:
        """Return what hears the lines of a program that says by one of them that it is ready."""
        tap = LineTap(pattern)

        def hear(data: bytes) -> None:
            if any(tap.hear(line) for line in data.decode(errors="replace").splitlines()):
                self._say("tapped", key=key)

        return hear if pattern else _deaf

    def _give_up(self, key: str | None) -> None:
        """Take only what is in the pipes of one child, or of all, now."""
        for fd, source in self._sources.items():
            if key in (None, source.key):
                source.give_up()
                self._ready[fd] = source

    def _targets(self, name: str, spec: dict[str, Any], *, own: bool) -> list[Target]:
        """Return where lines go, the ring first."""
        kept = ring.path_of(self._place.folder, name, own=own)
        targets: list[Target] = [self._file(kept, ring.MOST, 1, lines.for_ring, mode=0o600)]
        match spec["to"]:
            case "none":
                pass
            case "" | "/dev/stdout":
                targets.append(self._terminals["stdout"])
            case "/dev/stderr":
                targets.append(self._terminals["stderr"])
            case "syslog":
                self._syslog = self._syslog or Syslog(self._tell)
                targets.append(self._syslog)
            case path:
                dress = lines.as_json if self._place.json else lines.for_file
                targets.append(self._file(path, spec.get("most", 0), spec.get("backups", 0), dress))
        return targets

    def _file(
        self, path: str, most: int, backups: int, dress: Callable[[lines.Batch], bytes], mode: int = 0o640
    ) -> FileTarget:  # fmt: skip
        if path not in self._files:
            self._files[path] = FileTarget(path, most, backups, dress, self._tell, mode=mode)
        return self._files[path]

    def _open_terminals(self) -> dict[str, Terminal]:
        dress = lines.as_json if self._place.json else lines.for_terminal
        out = Terminal(self._place.stdout, self._journal, 0, dress, "stdout", self._tell)
        if _are_one(self._place.stdout, self._place.stderr):
            return {"stdout": out, "stderr": out}
        err = Terminal(self._place.stderr, self._journal, 1, dress, "stderr", self._tell)
        return {"stdout": out, "stderr": err}

    def _tell(self, what: str, target: str, text: str, missing: int) -> None:
        self._say(what, target=target, text=text, missing=missing)

    def _say(self, what: str, **facts: Any) -> None:
        """Tell the master; what it cannot take now is told later, in this order."""
        self._unsaid.append((what, facts))
        self._speak()

    def _speak(self) -> None:
        while self._unsaid and self._lifeline.say(self._unsaid[0][0], **self._unsaid[0][1]):
            self._unsaid.popleft()

    def _note(self, event: str, **facts: Any) -> None:
        """Write a line of our own, where the master's are not any more."""
        own = batch_at(time.time(), "logger", "out", line_of("logger", f"warning {event}", facts))
        for target in self._targets("logger", {"to": ""}, own=True):
            data = target.dress(own)
            room = target.room()
            if target.prepare(data, 1) is not None and (room is None or len(data) <= room):
                target.write(data, 1)

    def _pause(self) -> float:
        """Return the seconds until something has to be done by itself."""
        if self._ready:
            return 0.0
        if self._unsaid and not self._orphaned:
            return _SAY_AGAIN
        times = [source.due for source in self._sources.values()]
        times += [file.trouble.due for file in self._files.values()]
        times.append(self._leave_by)
        pause = min(min(times) - time.monotonic(), self._step_in)
        return -1 if pause == float("inf") else max(0.0, pause)

    def _is_over(self) -> bool:
        if self._leave_by != float("inf"):
            left = self._sources or any(one.has_waiting for one in self._terminals.values())
            return not left or time.monotonic() > self._leave_by
        if not self._orphaned or self._sources or self._wills:
            return False
        self._leave_by = time.monotonic() + _LAST_WAIT
        return False


def _deaf(_data: bytes) -> None:
    """Hear nothing."""


def _are_one(one: int, other: int) -> bool:
    try:
        first, second = os.fstat(one), os.fstat(other)
    except OSError:
        return False
    return (first.st_dev, first.st_ino, first.st_rdev) == (second.st_dev, second.st_ino, second.st_rdev)
