"""The control socket: one line of JSON in, one line of JSON out, for who may signal the master anyway.

It lies in the state directory; on top of its permissions the peer's user and groups are checked. A slow or
hostile client costs one of sixteen places for at most two seconds, and never makes the master wait.
"""

from __future__ import annotations

import errno
import json
import os
import selectors
import socket
import struct
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_MOST_CLIENTS = 16
_MOST_BYTES = 64 * 1024
_PATIENCE = 2.0
#: SO_PEERGROUPS, which Python does not name: the supplementary groups that the peer had when it connected.
_PEER_GROUPS = 59
_MOST_GROUPS_BYTES = 1024  # more, getsockopt of Python does not take


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask beside root and the master's user: permissions of the socket, its group (-1: ours)."""

    mode: int = 0o600
    group: int = -1


class GroupRefused(OSError):
    """The socket cannot be given to its group."""


class Client:
    """One connection. Its request is answered at once, or kept until the answer is known."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.received = b""
        self.unsent = b""
        self.asked = False
        self.until = time.monotonic() + _PATIENCE


class Control:
    """The listening end. `answer(request, client)` returns a document, or None to answer later."""

    def __init__(
        self,
        path: str,
        access: Access,
        selector: selectors.BaseSelector,
        answer: Callable[[dict[str, Any], Client], dict[str, Any] | None],
    ) -> None:
        self._selector = selector
        self._answer = answer
        self._clients: list[Client] = []
        self._resting_until = float("inf")
        self._path, self._access = path, access
        self._listener = _listen(path, access)
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def listen_again(self) -> None:
        """Listen at the same place anew: the socket was removed. Raises OSError."""
        listener = _listen(self._path, self._access)
        if self._resting_until == float("inf"):
            self._selector.unregister(self._listener)
        self._listener.close()
        self._listener, self._resting_until = listener, float("inf")
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def reply(self, client: Client, document: dict[str, Any]) -> None:
        """Answer a client, now or whenever it reads."""
        client.unsent = json.dumps(document).encode() + b"\n"
        client.until = time.monotonic() + _PATIENCE
        self._send(client)

    def next_deadline(self) -> float:
        """Return when the first impatient moment comes (monotonic; inf if none does)."""
        waiting = [c.until for c in self._clients if not c.asked or c.unsent]
        return min((*waiting, self._resting_until))

    def drop_late(self) -> None:
        """Close the clients that take too long to ask or to listen; listen again after a rest."""
        now = time.monotonic()
        if now >= self._resting_until:
            self._resting_until = float("inf")
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        for client in [c for c in self._clients if (not c.asked or c.unsent) and c.until <= now]:
            self._drop(client)

    def close(self) -> None:
        """Give everything back, after a last try to hand out what is unsent."""
        for client in list(self._clients):
            if client.unsent:
                client.connection.settimeout(0.2)
                try:
                    client.connection.sendall(client.unsent)
                except OSError:
                    pass
            self._drop(client)
        if self._resting_until == float("inf"):
            self._selector.unregister(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._rest()
            return  # or gone again
        connection.setblocking(False)
        if len(self._clients) >= _MOST_CLIENTS or not _may_ask(connection, self._access):
            connection.close()
            return
        client = Client(connection)
        self._clients.append(client)
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._receive(client))

    def _rest(self) -> None:
        """Stop listening for a while: no descriptor is free, and who waits would wake us for ever."""
        self._selector.unregister(self._listener)
        self._resting_until = time.monotonic() + 1.0

    def _receive(self, client: Client) -> None:
        try:
            data = client.connection.recv(_MOST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return
        if client.asked:
            return
        client.received += data
        if b"\n" in client.received:
            client.asked = True
            self._handle(client)
        elif len(client.received) > _MOST_BYTES:
            self._drop(client)

    def _handle(self, client: Client) -> None:
        try:
            request = json.loads(client.received)
            if not isinstance(request, dict):
                raise ValueError("not an object")
        except (ValueError, RecursionError) as error:
            self.reply(client, {"v": 1, "error": {"code": 2, "message": f"no request: {error}", "hint": ""}})
            return
        document = self._answer(request, client)
        if document is not None:
            self.reply(client, document)

    def _send(self, client: Client) -> None:
        try:
            sent = client.connection.send(client.unsent)
            client.unsent = client.unsent[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return
        if not client.unsent:
            self._drop(client)
            return
        events = selectors.EVENT_READ | selectors.EVENT_WRITE
        self._selector.modify(client.connection, events, lambda: self._send(client))

    def _drop(self, client: Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._selector.unregister(client.connection)
            client.connection.close()


def _listen(path: str, access: Access) -> socket.socket:
    """Bind below the directory's descriptor, so that a long path fits into a socket address."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    finally:
        os.umask(before)
        os.close(folder)
    try:
        os.chown(path, -1, access.group)
    except OSError as error:
        listener.close()
        os.unlink(path)
        raise GroupRefused(*error.args) from error
    os.chmod(path, access.mode)
    listener.setblocking(False)
    listener.listen(_MOST_CLIENTS)
    return listener


def _may_ask(connection: socket.socket, access: Access) -> bool:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, gid = struct.unpack("3i", credentials)
    if uid in (0, os.geteuid()):
        return True
    ours = os.getegid() if access.group == -1 else access.group
    return bool(access.mode & 0o020) and (gid == ours or ours in _groups_of_peer(connection))


def _groups_of_peer(connection: socket.socket) -> array[int]:
    try:
        return array("I", connection.getsockopt(socket.SOL_SOCKET, _PEER_GROUPS, _MOST_GROUPS_BYTES))
    except OSError:  # more than 256, or a kernel before 4.13
        return array("I")
