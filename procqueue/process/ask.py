"""Asking a running master. Imported by the small verbs: json, os and socket only."""

from __future__ import annotations

import json
import os
import socket

TYPE_CHECKING = False  # without typing, whose import takes longer than all of this
if TYPE_CHECKING:
    from typing import Any

#: Seconds for a master to put its socket back, and between two looks.
_PUT_BACK, _LOOK = 3.0, 0.02


class NoMaster(Exception):
    """No master answers under this state directory."""


def ask(state_dir: str, verb: str, *, patience: float | None = 5.0, **facts: Any) -> dict[str, Any]:
    """Send one request to the master of `state_dir` and return its answer.

    `patience`: seconds to wait for the answer, None for as long as it takes. Raises NoMaster, TimeoutError.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(2.0)
    try:
        try:
            _connect(connection, state_dir)
        except FileNotFoundError:
            if not _comes_back(state_dir):
                raise
            _connect(connection, state_dir)
        connection.sendall(json.dumps({"v": 1, "verb": verb, **facts}).encode() + b"\n")
        connection.settimeout(patience)
        answer = b""
        while not answer.endswith(b"\n"):
            data = connection.recv(1 << 16)
            if not data:
                raise NoMaster(f"the master of {state_dir} went away before it answered")
            answer += data
        document: dict[str, Any] = json.loads(answer)
        return document
    except TimeoutError:
        raise
    except PermissionError as error:
        raise NoMaster(
            f"the master of {state_dir} may not be asked by this user ({error.strerror})"
        ) from error
    except OSError as error:
        raise NoMaster(f"no master is running under {state_dir} ({error.strerror})") from error
    finally:
        connection.close()


def _connect(connection: socket.socket, state_dir: str) -> None:
    folder = os.open(state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{folder}/control.sock")
    finally:
        os.close(folder)


def _comes_back(state_dir: str) -> bool:
    """Wake a master whose socket was removed, if there is one, and wait until it has put it back."""
    import time  # rarely needed, and a command is to answer at once

    from procqueue.process import lock

    give_up = time.monotonic() + _PUT_BACK
    woken = False
    while time.monotonic() < give_up and (pid := lock.holder(f"{state_dir}/master.lock")) is not None:
        if os.path.exists(f"{state_dir}/control.sock"):  # first: it may be one that only just starts
            return True
        woken = woken or _wake(pid)
        time.sleep(_LOOK)
    return False


def _wake(pid: int) -> bool:
    """Send USR1, which has it open its logs anew; False if it is not far enough yet to hear that."""
    import signal

    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            caught = next(line for line in file if line.startswith("SigCgt:")).split()[1]
        if int(caught, 16) >> (signal.SIGUSR1 - 1) & 1:
            os.kill(pid, signal.SIGUSR1)
            return True
    except (OSError, StopIteration):
        pass
    return False
