"""Making a child: fork without exec, and what the child does first, in this order (law S4).

The child inherits *everything*: the siblings' lifelines (a killed master would go unnoticed), the control
socket (clients would hang), the wake-up descriptor (its signals would arrive in the master). So it gives
all of that back by number before it does anything else, and never frees the objects that own the numbers.
A template forks twice: its grandchild is the master's child, for the master is their subreaper.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass

from procqueue.process import kernel
from procqueue.process.lifeline import Lifeline, pair


@dataclass(slots=True)
class Born:
    """What the parent knows of a fresh child. The pidfd is kept until the child is reaped."""

    pid: int
    pidfd: int
    lifeline: Lifeline


def fork_child(
    body: Callable[[Lifeline], int],
    *,
    parent_death: int | None,
    keep: Collection[int] = (),
    descriptors: tuple[int, int] | None = None,
    output: tuple[int, int] = (1, 2),
) -> Born:
    """Fork; the child runs `body(lifeline)` and leaves with what it returns.

    `parent_death`: the signal for the child when its parent dies, None for none. `keep`: further
    descriptors that the child needs. `descriptors`: its limits (soft, hard), None for ours. `output`: what it
    is to have as stdout and stderr.
    Raises OSError where no child can be made (EAGAIN, ENOMEM, EMFILE).
    """
    if (threads := kernel.thread_count()) != 1:
        raise RuntimeError(f"fork with {threads} threads: the child could inherit locks that nobody opens")
    ours, theirs = pair()
    parent = os.getpid()
    keep = {0, 1, 2, theirs.fileno(), *keep}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        _flush()
        pid = os.fork()
        if pid == 0:
            os.close(ours.fileno())  # so that a descriptor is free, whatever the limit
            if descriptors is not None:
                kernel.limit_descriptors(descriptors)
            take_output(output)
            _be_child(body, theirs, parent, parent_death, lambda: close_all_but(keep))
        # In both processes: whoever is first makes the group before anyone may signal it.
        own_group(pid)
        born = Born(pid, pidfd_of(pid), ours)
        theirs.close()
        return born
    except OSError:
        ours.close()
        theirs.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def fork_for(
    master: int,
    body: Callable[[Lifeline], int],
    lifeline: Lifeline,
    *,
    close: Collection[int],
    output: tuple[int, int] = (1, 2),
) -> tuple[int, int]:
    """Fork a child for the master, the nearest subreaper above this template; return its pid and pidfd.

    A child in between forks it and ends, and is reaped before this returns: then the master is the parent of
    the other. That one runs nothing before the master says "go" on `lifeline`, so that no consumer works of
    which master and scheduler do not know. `close`: what it must not keep of the template's; everything else
    that is open belongs to the application. `output`: what the child is to have as stdout and stderr.
    Raises OSError where no child can be made.
    """
    read, write = os.pipe2(os.O_CLOEXEC)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        _flush()
        between = os.fork()
        if between == 0:
            take_output(output)
            _be_between(body, lifeline, master, (*close, read, write), write)
        os.close(write)
        write = -1
        told = os.read(read, 8)
        _, status = os.waitpid(between, 0)
        if len(told) != 8:
            code = max(os.waitstatus_to_exitcode(status), 0)
            raise OSError(code, os.strerror(code) if code else "killed before it could fork")
        pid = int.from_bytes(told, "little")
        return pid, os.pidfd_open(pid)
    finally:
        os.close(read)
        if write != -1:
            os.close(write)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def pidfd_of(pid: int) -> int:
    """Return the pidfd of a fresh child; one that cannot be watched must not live."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def take_output(output: tuple[int, int]) -> None:
    """Make these descriptors stdout and stderr."""
    for number, fd in zip((1, 2), output, strict=True):
        if fd != number:
            os.dup2(fd, number)


def let_signals_in() -> None:
    """End the blocking that began before the fork; a child calls it once its handlers stand."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _be_between(
    body: Callable[[Lifeline], int], lifeline: Lifeline, master: int, close: Collection[int], write: int
) -> None:
    """Fork the child that was ordered, say its pid, and end, so that the subreaper becomes its parent."""
    code = 70
    try:
        pid = os.fork()
        if pid == 0:
            _be_child(body, lifeline, master, signal.SIGTERM, lambda: _close(close), ordered=True)
        os.write(write, pid.to_bytes(8, "little"))
        code = 0
    except OSError as error:
        code = error.errno or code
    finally:
        os._exit(code)


def _be_child(
    body: Callable[[Lifeline], int],
    lifeline: Lifeline,
    parent: int,
    parent_death: int | None,
    give_back: Callable[[], None],
    *,
    ordered: bool = False,
) -> None:
    """Run the child with all signals blocked until its body lets them in; never return."""
    status = 70
    try:
        signal.set_wakeup_fd(-1)
        give_back()
        own_group(0)
        if ordered:
            if lifeline.wait_first() != "go":
                os._exit(0)  # told to stop, or forgotten, before it had begun
        else:  # an ordered one keeps the handlers that the application has set
            for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD):
                signal.signal(signum, signal.SIG_DFL)
            for signum in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU):
                signal.signal(signum, signal.SIG_IGN)  # the master's handlers are nothing here
        if parent_death is not None:
            kernel.die_with_parent(parent_death)
        if os.getppid() != parent:
            os._exit(0)  # it died before prctl: no signal will tell
        _reseed()
        gc.enable()
        status = body(lifeline)
    except BaseException:  # the last frame of the process: whatever it is must be told, then it leaves
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:  # user code may have put anything in their place
            # No atexit, no finalizers: they belong to the master, whose memory this is a copy of.
            os._exit(status)


def _reseed() -> None:
    """Give the process randomness of its own. numpy does not do it by itself after a fork."""
    random.seed()
    try:
        sys.modules["numpy.random"].seed()
    except (KeyError, AttributeError):
        pass


def _flush() -> None:
    """Write out what both processes would write, each once."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, ValueError, OSError):  # user code may have put anything in their place
            pass


def _close(fds: Collection[int]) -> None:
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            pass  # the application was there before


def close_all_but(keep: set[int]) -> None:
    """Close every descriptor by number, but these."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd not in keep:
            try:
                os.close(fd)
            except OSError:
                pass  # the descriptor of this very listing


def own_group(pid: int) -> None:
    """Let a child lead its own process group; one that is gone is no error."""
    try:
        os.setpgid(pid, 0)
    except (PermissionError, ProcessLookupError):
        pass
