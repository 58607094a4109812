"""Exit codes: what every verb and process of procqueue answers to its caller.

One table for the command line, the master and its children.
Codes from 64 on follow sysexits.h where it has a fitting one.
"""

from enum import IntEnum


class Exit(IntEnum):
    """How a command, or a process of procqueue, ended."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_MASTER = 3
    DEGRADED = 4
    TIMED_OUT = 5
    ALREADY_RUNNING = 6
    UNREACHABLE = 69
    PERMISSION = 77
    CONFIG = 78

    # Children only: the master reads them to tell why a child left (last_exit.reason).
    CANNOT_IMPORT = 80
    DISOWNED = 81
