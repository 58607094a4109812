"""The sockets that are listened at: of hosts and ports, and at paths."""

from __future__ import annotations

import contextlib
import os
import socket
import stat

from procqueue.core.settings.web import Listen

_BACKLOG = 128


def listen(where: Listen) -> socket.socket:
    """Return a socket that listens. Raises OSError."""
    if where.path:
        return _at_path(where.path)
    # A name may have several addresses; the first is meant.
    family, kind, _, _, address = socket.getaddrinfo(
        where.host, where.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _at_path(path: str) -> socket.socket:
    """Listen at a path, for our own user; what a dead process left there is replaced."""
    if _is_dead(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(path)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


def _is_dead(path: str) -> bool:
    """Return whether a socket lies there at which nobody listens."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
    except FileNotFoundError:
        return False
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as asking:
        asking.settimeout(1.0)
        try:
            asking.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False
