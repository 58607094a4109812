"""Making a child: fork without exec, and what the child does first, in this order (law S4).

The child inherits *everything*: the siblings' lifelines (a killed master would go unnoticed), the control
socket (clients would hang), the wake-up descriptor (its signals would arrive in the master). So it gives
all of that back by number before it does anything else, and never frees the objects that own the numbers.
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
) -> Born:
    """Fork; the child runs `body(lifeline)` and leaves with what it returns.

    `parent_death`: the signal for the child when its parent dies, None for none. `keep`: further
    descriptors that the child needs. `descriptors`: its limits (soft, hard), None for ours.
    Raises OSError where no child can be made (EAGAIN, ENOMEM, EMFILE).
    """
    if (threads := kernel.thread_count()) != 1:
        raise RuntimeError(f"fork with {threads} threads: the child could inherit locks that nobody opens")
    ours, theirs = pair()
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os.close(ours.fileno())  # so that a descriptor is free, whatever the limit
            if descriptors is not None:
                kernel.limit_descriptors(descriptors)
            _be_child(body, theirs, parent, parent_death, {0, 1, 2, theirs.fileno(), *keep})
        # In both processes: whoever is first makes the group before anyone may signal it.
        _own_group(pid)
        born = Born(pid, _pidfd_of(pid), ours)
        theirs.close()
        return born
    except OSError:
        ours.close()
        theirs.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _pidfd_of(pid: int) -> int:
    """Return the pidfd of a fresh child; one that cannot be watched must not live."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def let_signals_in() -> None:
    """End the blocking that began before the fork; a child calls it once its handlers stand."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _be_child(
    body: Callable[[Lifeline], int],
    lifeline: Lifeline,
    parent: int,
    parent_death: int | None,
    keep: set[int],
) -> None:
    """Run the child with all signals blocked until its body lets them in; never return."""
    status = 70
    try:
        signal.set_wakeup_fd(-1)
        _close_all_but(keep)
        _own_group(0)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD):
            signal.signal(signum, signal.SIG_DFL)
        if parent_death is not None:
            kernel.die_with_parent(parent_death)
        if os.getppid() != parent:
            os._exit(0)  # it died before prctl: no signal will tell
        random.seed()
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


def _close_all_but(keep: set[int]) -> None:
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd not in keep:
            try:
                os.close(fd)
            except OSError:
                pass  # the descriptor of this very listing


def _own_group(pid: int) -> None:
    try:
        os.setpgid(pid, 0)
    except (PermissionError, ProcessLookupError):
        pass
