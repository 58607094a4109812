"""Starting one copy of a program: fork, become it, exec; and the way on which a failure is told.

The parent never waits: a pipe that exec closes says that the program runs, or what went wrong before it.
Between fork and exec the child gives back everything that a Python master would leave to a stranger: its
descriptors, its blocked and ignored signals (SIGPIPE: `yes | head` would never end), its session.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import NoReturn

from procqueue.process import kernel
from procqueue.process.programs.environment import CannotBecome, become
from procqueue.process.programs.order import Failure, Order
from procqueue.process.spawn import close_all_but, let_signals_in, own_group, pidfd_of
from procqueue.process.stacks import open_file

#: The variable that names the owner: what exec'ed programs and all they start carry (law S5, sweep.py).
OWNER = "PROCQUEUE_OWNER"
#: The variable that tells a target the descriptor of the report; it speaks once it is imported.
REPORT = "PROCQUEUE_REPORT"
#: The variable that tells a target the descriptor of the file for its stacks.
STACKS = "PROCQUEUE_STACKS"
#: The exit code of a child that could not become its program; shells use it too.
NOT_BEGUN = 127
_MAX_WHY = 2000


class Report:
    """The reading end of what a child says before it is its program. Never blocks."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._read = b""
        self.over = False
        self.failure: Failure | None = None

    def fileno(self) -> int:
        """Return the descriptor, for a selector: readable when `hear` has something to learn."""
        return self._fd

    def hear(self) -> bool:
        """Read what there is; True once it is over: then `failure` stands, or is None if the program runs.

        A child that is killed before its exec looks like one that runs; its pidfd knows better.
        """
        while not self.over:
            try:
                data = os.read(self._fd, 4096)
            except BlockingIOError:
                return False
            self._read += data
            if not data or b"\n" in self._read:
                self.over = True
                self.failure = _understood(self._read.partition(b"\n")[0])
        return True

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)


@dataclass(slots=True)
class Started:
    """A fresh child. The pidfd is kept until it is reaped, the report until it is over."""

    pid: int
    pidfd: int
    report: Report


def start(order: Order) -> Started:
    """Fork a child that becomes the program of `order`.

    Raises OSError where no child can be made (EAGAIN, ENOMEM, EMFILE); everything later is in the report.
    """
    if (threads := kernel.thread_count()) != 1:
        raise RuntimeError(f"fork with {threads} threads: the child could inherit locks that nobody opens")
    read, write = os.pipe2(os.O_CLOEXEC)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        os.set_blocking(read, False)
        pid = os.fork()
        if pid == 0:
            os.close(read)  # so that a descriptor is free, whatever the limit
            _be_program(order, write)
        if not order.own_session:
            own_group(pid)
        return Started(pid, pidfd_of(pid), Report(read))
    except OSError:
        os.close(read)
        raise
    finally:
        os.close(write)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def tell(report: int, failure: Failure | None) -> None:
    """Say on the report why it cannot begin, or, with None, that it has begun."""
    said = asdict(failure) if failure else {}
    if failure:
        said["why"] = failure.why[:_MAX_WHY]
    os.write(report, json.dumps(said).encode() + b"\n")


def command_of(order: Order) -> tuple[str, ...]:
    """Return what is exec'ed: a target runs in an interpreter of its own, with nothing of the master's."""
    if order.target:
        # -P: the directory that it runs in is no place to import procqueue from.
        return (sys.executable, "-P", "-m", "procqueue.process.programs.target", order.path, order.target)
    return order.argv


def _understood(line: bytes) -> Failure | None:
    if not line:
        return None
    try:
        said = json.loads(line)
        return Failure(**said) if said else None
    except (ValueError, TypeError):
        return Failure("", "", "it died while it was telling why it cannot start")


def _be_program(order: Order, report: int) -> NoReturn:
    """Run the child up to its exec; never return."""
    try:
        signal.set_wakeup_fd(-1)
        if order.own_session:
            os.setsid()
        else:
            own_group(0)
        report = _take_descriptors(order, report)
        for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(signum, signal.SIG_DFL)
        let_signals_in()  # from here on a signal ends it: also while it hangs in a user database
        if order.descriptors is not None:
            kernel.limit_descriptors(order.descriptors)
        _adjust_oom_score(order.oom_score_adj)
        told = open_file(order.stacks) if order.stacks else -1  # as the master's user still
        variables = become(order.environment, os.environ) | _names(order)
        if order.target:
            os.set_inheritable(report, True)
            variables[REPORT] = str(report)
            if told >= 0:
                os.set_inheritable(told, True)
                variables[STACKS] = str(told)
        _exec(order, variables)
    except CannotBecome as error:
        tell(report, error.failure)
    except BaseException as error:  # the last frame of the process: whatever it is must be told
        tell(report, Failure("", "", f"{type(error).__name__}: {error}"))
    finally:
        # No atexit, no finalizers, no flush: they belong to the master, whose memory this is a copy of.
        os._exit(NOT_BEGUN)


def _take_descriptors(order: Order, report: int) -> int:
    """Have stdin, stdout, stderr, the report, and nothing else; return the number of the report."""
    wanted = [order.stdout, order.stderr]
    close_all_but({fd for fd in (report, *wanted) if fd is not None})
    null = os.open("/dev/null", os.O_RDWR)
    # All above the three first: what is given may be one of them, and a master may lack them.
    report = _above_three(report)
    for number, source in enumerate([_above_three(null if fd is None else fd) for fd in (None, *wanted)]):
        os.dup2(source, number)
    close_all_but({0, 1, 2, report})
    return report


def _above_three(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)


def _adjust_oom_score(score: int | None) -> None:
    if score is not None:
        try:
            with open("/proc/self/oom_score_adj", "w") as file:
                file.write(str(score))
        except OSError:
            pass  # our own wish, not the user's: /proc may be read-only in a container


def _names(order: Order) -> dict[str, str]:
    """Return the variables by which a program knows itself, and we know it."""
    names = {"PROCQUEUE_NAME": order.name, "PROCQUEUE_INDEX": str(order.index), OWNER: order.owner}
    if order.notify_socket:
        names["NOTIFY_SOCKET"] = order.notify_socket
    return names


def _exec(order: Order, variables: dict[str, str]) -> NoReturn:
    """Become the program, looked up in the PATH that it will have itself."""
    argv = command_of(order)
    try:
        os.execvpe(argv[0], argv, variables)
    except ValueError as error:  # a NUL byte, or a name with "="
        key = "command" if any("\0" in part for part in argv) else "env"
        raise CannotBecome(Failure(key, "", str(error))) from None
    except OSError as error:
        why = _why_not(argv[0], variables, error)
        raise CannotBecome(Failure("command", argv[0], why, error.errno or 0)) from None


def _why_not(command: str, variables: Mapping[str, str], error: OSError) -> str:
    search = variables.get("PATH", os.defpath)
    folders = [""] if "/" in command else search.split(os.pathsep)
    found = next((path for folder in folders if os.path.exists(path := os.path.join(folder, command))), None)
    if found is None:
        return "no such file" if "/" in command else f"no such command in PATH {search}"
    if os.path.isdir(found):
        return "is a directory"
    match error:
        case FileNotFoundError():
            return f"its interpreter {_interpreter_of(found)} does not exist"
        case PermissionError():
            return f"not executable by uid {os.geteuid()}"
        case OSError(errno=errno.ENOEXEC):
            return "exec format error: is its first line #!/bin/sh?"
        case BlockingIOError():
            return "too many processes of this user (limits: nproc)"
        case _:
            return (error.strerror or str(error)).lower()


def _interpreter_of(path: str) -> str:
    """Return what the first line of a script names; for a binary it is its loader, which nobody can name."""
    try:
        with open(path, "rb") as file:
            first = file.readline(256).decode(errors="replace")
    except OSError:
        first = ""
    return repr(first[2:].rstrip("\n")) if first.startswith("#!") else "(the loader)"
