"""Ending a program with all that came of it, and nobody else (law S5).

The master is the subreaper of all its children: what came of a program descends from its first process, or
from an orphan that the kernel has given to the master. An orphan belongs to the program whose owner's tag is
in its environment, or whose first process leads its session or group. So a look costs a few reads for each
orphan, however many processes the machine has; only `owners` reads all of /proc.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Container
from typing import NamedTuple

from procqueue.process import kernel
from procqueue.process.programs.exec import OWNER

#: Looking again finds what was forked while the last look lasted; what forks faster waits for the next sweep.
_LOOKS = 20
_TAG = f"{OWNER}=".encode()


class Member(NamedTuple):
    """A process, named for ever: its number, and when it started (ticks since boot)."""

    pid: int
    start_time: int


def ask_to_leave(leader: int, signum: int, *, group: bool = False) -> None:
    """Send the stop signal to a program's first process, or to its whole group, and let it hear that.

    CONT, because a stopped process hears nothing.
    """
    send = kernel.send_group if group else kernel.send
    send(leader, signum)
    send(leader, signal.SIGCONT)


def end(leader: int, owner: str, known: Container[int] = ()) -> int:
    """SIGKILL everything that belongs to a copy; return how many of it had left its group.

    `leader` is its first process, alive or dead, but not reaped: only then its number, and with it the
    group's and the session's, cannot be somebody else's. `known`: children of this process that are no
    orphans.
    """
    escaped: set[Member] = set()
    for look in range(_LOOKS):
        new = {one for one in members(leader, owner, known) if not _in_group(one.pid, leader)} - escaped
        if look == 0:
            kernel.send_group(leader, signal.SIGKILL)
        elif not new:
            break
        for member in new:
            kill(member)
        escaped |= new
    return len(escaped)


def members(leader: int, owner: str, known: Container[int] = ()) -> list[Member]:
    """Return all living processes that belong to a copy, its first one too; parents before their children."""
    found = [leader, *kernel.descendants_of(leader)]
    for orphan in kernel.children_of(os.getpid()):
        if orphan not in known and orphan not in found and _is_of(orphan, leader, owner):
            found += [orphan, *kernel.descendants_of(orphan)]
    living = [pid for pid in dict.fromkeys(found) if kernel.is_alive(pid)]
    return [Member(pid, start) for pid in living if (start := kernel.start_time_of(pid)) is not None]


def owner_of(pid: int) -> str | None:
    """Return whose tag a process carries; None if it has none, is gone, or is another user's.

    A process that was forked without exec shows the environment of the one that exec'ed.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:
        return None
    tags = (variable.removeprefix(_TAG) for variable in variables if variable.startswith(_TAG))
    return next((tag.decode(errors="surrogateescape") for tag in tags), None)


def owners() -> dict[str, list[Member]]:
    """Return all processes of the machine that carry a tag, by owner: what a dead master has left, say."""
    found: dict[str, list[Member]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal() and (owner := owner_of(int(name))) is not None:
            start = kernel.start_time_of(int(name))
            if start is not None:
                found.setdefault(owner, []).append(Member(int(name), start))
    return found


def kill(member: Member) -> None:
    """SIGKILL exactly this process; one that is gone, or not ours to signal, is no error."""
    pidfd = kernel.open_pidfd(member.pid, member.start_time)
    if pidfd is None:
        return
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    finally:
        os.close(pidfd)


def _is_of(pid: int, leader: int, owner: str) -> bool:
    try:
        if leader in (os.getpgid(pid), os.getsid(pid)):
            return True
    except ProcessLookupError:
        return False
    return owner_of(pid) == owner


def _in_group(pid: int, leader: int) -> bool:
    try:
        return os.getpgid(pid) == leader
    except ProcessLookupError:
        return True  # it is gone
