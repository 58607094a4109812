"""What Linux tells and is told about processes: prctl, /proc, pidfds. No policy.

Every function answers for a process that may vanish at any moment: None or an empty list says that it did.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import sys
import time
from functools import cache
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PAGE = os.sysconf("SC_PAGE_SIZE")


class NotLinux(RuntimeError):
    """The operating system lacks what consumers are supervised with."""


def require_linux() -> None:
    """Raise NotLinux where pidfds (Linux ≥ 5.4) cannot be had."""
    if not sys.platform.startswith("linux") or not hasattr(os, "pidfd_open"):
        raise NotLinux(
            "procqueue start needs Linux 5.4 or newer (pidfd); pushing and the sync driver work everywhere"
        )


def die_with_parent(signum: int) -> None:
    """Ask for `signum` when the thread that forked this process ends (PR_SET_PDEATHSIG)."""
    _prctl(_PR_SET_PDEATHSIG, signum)


def become_subreaper(yes: bool = True) -> None:
    """Become the parent of all orphaned descendants, or be it no longer."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(yes))


def thread_count() -> int:
    """Return how many kernel threads this process has, those of C libraries included."""
    return len(os.listdir("/proc/self/task"))


def raise_descriptor_limit() -> tuple[int, int]:
    """Let this process have as many descriptors as it may; return the limits before (soft, hard)."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    return before


def limit_descriptors(limits: tuple[int, int]) -> None:
    """Set the limits (soft, hard) of this process: user code may rely on what the system gives."""
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def require_free_descriptors(number: int) -> None:
    """Raise OSError (EMFILE) where fewer than so many are free."""
    taken: list[int] = []
    try:
        for _ in range(number):
            taken.append(os.eventfd(0))
    finally:
        for fd in taken:
            os.close(fd)


def children_of(pid: int) -> list[int]:
    """Return the direct children of a process."""
    found: list[int] = []
    for tasks in _read_all(f"/proc/{pid}/task", "children"):
        found += map(int, tasks.split())
    return found


def descendants_of(pid: int) -> list[int]:
    """Return all living descendants of a process, parents before their children."""
    found: list[int] = []
    queue = children_of(pid)
    while queue:
        child = queue.pop(0)
        if child not in found:
            found.append(child)
            queue += children_of(child)
    return found


def start_time_of(pid: int) -> int | None:
    """Return when the process started, in ticks since boot: with the pid it names a process for ever."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def is_stopped(pid: int) -> bool | None:
    """True if the process is stopped by a signal, None if there is none."""
    fields = _stat(pid)
    return fields[0] in ("T", "t") if fields else None


def resident_bytes_of(pid: int) -> int | None:
    """Return the resident set size in bytes, as ps shows it."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return None


def cpu_seconds_of(pid: int) -> float:
    """Return how long a process has used CPUs, 0.0 if there is none."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def memory() -> tuple[int, int]:
    """Return how many bytes of memory are available without swapping, and how many there are."""
    found = {}
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            name, _, rest = line.partition(":")
            found[name] = rest
    return int(found["MemAvailable"].split()[0]) * 1024, int(found["MemTotal"].split()[0]) * 1024


def free_cpus() -> float:
    """Return how many of the CPUs that we may use had nothing to do, over the last minute."""
    return max(0.0, len(os.sched_getaffinity(0)) - os.getloadavg()[0])


@cache
def boot_id() -> str:
    """Return the id of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def open_pidfd(pid: int, start_time: int | None = None) -> int | None:
    """Return a pidfd, or None if the process is gone or, by its start time, another one."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return None
    if start_time is not None and start_time_of(pid) != start_time:
        os.close(fd)
        return None
    return fd


def has_ended(pidfd: int) -> bool:
    """Return whether the process has ended, reaped or not."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def runs(pidfd: int) -> bool:
    """Return whether the process runs, and close its pidfd. One that nobody has reaped does not."""
    dead = has_ended(pidfd)
    os.close(pidfd)
    return not dead


def is_alive(pid: int) -> bool:
    """Return whether a process of that number runs."""
    pidfd = open_pidfd(pid)
    return pidfd is not None and runs(pidfd)


def kill_tree(pid: int) -> None:
    """SIGKILL the process group led by `pid`, and what escaped from the group but still descends from it.

    To be called while the leader is not reaped: only then the number cannot belong to somebody else.
    """
    escaped = descendants_of(pid)
    send_group(pid, signal.SIGKILL)
    for other in escaped:
        send(other, signal.SIGKILL)


def send(pid: int, signum: int) -> None:
    """Signal a process; one that is gone is no error."""
    try:
        os.kill(pid, signum)
    except (ProcessLookupError, PermissionError):
        pass


def send_by(pidfd: int, signum: int) -> None:
    """Signal the very process of a pidfd; one that is gone is no error."""
    try:
        signal.pidfd_send_signal(pidfd, signum)
    except (ProcessLookupError, PermissionError):
        pass


def send_group(pid: int, signum: int) -> None:
    """Signal the group led by `pid`, or the process alone where it has not made its group yet."""
    try:
        os.killpg(pid, signum)
    except (ProcessLookupError, PermissionError):
        send(pid, signum)


def wait_stopped(pid: int, seconds: float) -> bool:
    """Wait until a process that was sent SIGSTOP stands still; False if it did not within `seconds`."""
    give_up = time.monotonic() + seconds
    while True:
        stopped = is_stopped(pid)
        if stopped or stopped is None:
            return bool(stopped)
        if time.monotonic() > give_up:
            return False
        time.sleep(0.0002)


def _prctl(option: int, value: int) -> None:
    if _libc().prctl(option, value, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), f"prctl({option})")


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _stat(pid: int) -> list[str] | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None
    # The second field is the command in parentheses and may contain anything.
    return text[text.rindex(")") + 2 :].split()


def _read_all(folder: str, name: str) -> list[str]:
    texts: list[str] = []
    try:
        entries = os.listdir(folder)
    except OSError:
        return []
    for entry in entries:
        try:
            texts.append(Path(folder, entry, name).read_text())
        except OSError:
            continue
    return texts
