"""Asking a running master. Imported by the small verbs: json, os and socket only."""

from __future__ import annotations

import json
import os
import socket

TYPE_CHECKING = False  # without typing, whose import takes longer than all of this
if TYPE_CHECKING:
    from typing import Any


class NoMaster(Exception):
    """No master answers under this state directory."""


def ask(state_dir: str, verb: str, *, patience: float | None = 5.0, **facts: Any) -> dict[str, Any]:
    """Send one request to the master of `state_dir` and return its answer.

    `patience`: seconds to wait for the answer, None for as long as it takes. Raises NoMaster, TimeoutError.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(2.0)
    try:
        folder = os.open(state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            connection.connect(f"/proc/self/fd/{folder}/control.sock")
        finally:
            os.close(folder)
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
