"""Running a master in this process, and what can be in its way: for `start` and `work`."""

from __future__ import annotations

import errno
from collections.abc import Callable

from procqueue.cli.failures import Refusal
from procqueue.core.exits import Exit
from procqueue.process.kernel import NotLinux
from procqueue.process.lock import Occupied
from procqueue.process.statedir import BadStateDir

_NO_PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)


def in_foreground(run: Callable[[], int]) -> int:
    """Call `run`, which is a master's life; raise a Refusal for what it could not begin with."""
    try:
        return run()
    except Occupied as error:
        who = f"pid {error.pid}" if error.pid else "a process outside this container"
        hint = "procqueue status shows it; procqueue stop ends it"
        raise Refusal(Exit.ALREADY_RUNNING, f"a master runs already: {who}", hint, pid=error.pid) from None
    except BadStateDir as error:
        cause = error.__cause__
        permission = not isinstance(cause, OSError) or cause.errno in _NO_PERMISSION
        raise Refusal(Exit.PERMISSION if permission else Exit.CONFIG, str(error)) from None
    except NotLinux as error:
        raise Refusal(Exit.FAILED, str(error)) from None
