"""The last resort: a kernel timer that ends a consumer whose handler hears nothing (law S8).

A handler in C that keeps the interpreter's lock hears no signal and no exception. Master or undertaker kill
it at its deadline; with both dead nobody would. So the kernel is asked beforehand to do it some seconds
later: they do it better, with all that descends from it. The timer also ends who stands still, or blocks all
signals. No fork and no exec inherits it: a consumer makes its own, and what a handler starts has none. Its
clock, like that of all deadlines, stands still while the machine is suspended.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import os
import signal
import time
from collections.abc import Callable
from typing import Any

#: Those who watch come first, by so many seconds.
_LATER = 5.0
#: To set the timer costs 2.4 µs: it is left alone while it is late by no more than so many seconds.
_SLACK = 5.0


class LastResort:
    """The kernel timer of this process. Without one (seccomp, no more timers) nothing is armed."""

    def __init__(self) -> None:
        self._timer: _Timer | None = None
        self._at = self._final = math.inf
        self.missing = ""  # why there is none
        try:
            self._timer = _Timer()
        except (OSError, AttributeError) as error:
            self.missing = str(error)

    def after(self, moment: float) -> None:
        """Have this process ended 5 to 10 s after a monotonic moment, or never; the last call counts."""
        due = moment + _LATER
        if not due <= self._at <= due + _SLACK:
            self._set(due + _SLACK)

    def for_good(self, seconds: float, note: Callable[[int], None]) -> None:
        """Have this process ended 5 s after `seconds` from now, whatever comes; the first call counts.

        `note`: is told the moment (monotonic ms) before.
        """
        if self._final == math.inf and self._timer is not None:
            self._final = time.monotonic() + seconds + _LATER
            note(int(self._final * 1000))
            self._set(self._at)

    def _set(self, wanted: float) -> None:
        # A loop, in this order, because `for_good` may come from a signal handler in the middle of it.
        while self._timer is not None and (moment := min(wanted, self._final)) != self._at:
            self._timer.set(moment)
            self._at = moment


class _Timer:
    """timer_create(2): SIGKILL to this process at a monotonic moment."""

    def __init__(self) -> None:
        timer_create, self._settime = _functions()
        event = _Event(signo=signal.SIGKILL, notify=_SIGEV_SIGNAL)
        self._id = ctypes.c_void_p()
        if timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._id)) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), "timer_create")
        self._when = _Setting()
        self._when_ref = ctypes.byref(self._when)

    def set(self, moment: float) -> None:
        """Fire at `moment`, at once if it has passed; never, if it is infinite."""
        # By what is left: libfaketime, which people test with, takes every moment for one of the wall clock.
        left = 0.0 if moment == math.inf else max(0.001, moment - time.monotonic())
        self._when.seconds, self._when.nanoseconds = int(left), int(left % 1 * 1e9)
        # Fails in the forked child of a handler, which has no such timer: nothing to be said about it.
        self._settime(self._id, 0, self._when_ref, None)


_SIGEV_SIGNAL = 0


class _Event(ctypes.Structure):
    """struct sigevent: 64 bytes."""

    _fields_ = (
        ("value", ctypes.c_void_p), ("signo", ctypes.c_int), ("notify", ctypes.c_int),
        ("rest", ctypes.c_byte * 48),
    )  # fmt: skip


class _Setting(ctypes.Structure):
    """struct itimerspec: an interval, which stays 0, and what is left."""

    _fields_ = (
        ("again_seconds", ctypes.c_long), ("again_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long),
    )  # fmt: skip


@functools.cache
def _functions() -> tuple[Any, Any]:
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "timer_create"):  # before glibc 2.34 it was a library of its own
        library = ctypes.CDLL("librt.so.1", use_errno=True)
    library.timer_settime.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    return library.timer_create, library.timer_settime


with contextlib.suppress(OSError, AttributeError):  # looked up before the fork; who needs it will say so
    _functions()
