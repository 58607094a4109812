"""Asking a program whether it answers: a TCP connection, or one GET over HTTP. Never blocks, never resolves.

One `Probing` is one program that is asked again and again: for its readiness, later for its health. It is a
few steps on the selector of the master (connect, send, read the status line) and no child: an answer costs
four system calls. Only addresses and localhost: a name could hang in a resolver.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

_LOCALHOST = ("127.0.0.1", "::1")
_STATUS_LINE = len("HTTP/1.1 200")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: whether one of the addresses takes a connection on `port`, and how it answers `request`.

    An empty `request` is content with the connection. `shown` is it for people.
    """

    shown: str
    addresses: tuple[str, ...]
    port: int
    request: bytes = b""


def tcp(port: int, host: str = "localhost") -> Question:
    """Ask whether somebody takes connections on this port. Raises ValueError for a host that is a name."""
    return Question(f"tcp:{host}:{port}", _addresses_of(host), port)


def http(url: str) -> Question:
    """Ask whether a GET of `url` is answered by a status of 200 to 399.

    Raises ValueError for what cannot be asked without blocking: another scheme, a host that is a name.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{url!r} is no address like http://127.0.0.1:8000/health")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or any(character <= " " for character in path):
        raise ValueError(f"the path {path!r} has characters that must be percent-encoded")
    head = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\nUser-Agent: procqueue\r\n"
    request = f"{head}Accept: */*\r\nConnection: close\r\n\r\n".encode()
    return Question(url, _addresses_of(parts.hostname), parts.port or 80, request)


def _addresses_of(host: str) -> tuple[str, ...]:
    if host == "localhost":
        return _LOCALHOST
    try:
        return (str(ipaddress.ip_address(host)),)
    except ValueError:
        raise ValueError(f"the host {host!r} is a name: say its address, or localhost") from None


class Probing:
    """Asks one question every `every` seconds, beginning at once, and tells each answer to `told`.

    `told("")` is a good one, else it is the reason in words; what has no answer within `timeout` seconds is a
    bad one. `tick(now)` wants to be called at `at` (monotonic seconds). `told` may close this object.
    """

    def __init__(
        self,
        question: Question,
        selector: selectors.BaseSelector,
        told: Callable[[str], None],
        *,
        every: float,
        timeout: float,
        now: float,
    ) -> None:
        self.question = question
        self.at = now
        self._selector = selector
        self._told = told
        self._every = every
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._next = now
        self._untried: list[str] = []
        self._unsent = b""
        self._read = b""
        self._closed = False

    def tick(self, now: float) -> None:
        """Begin an attempt, or end one that takes too long, if it is time."""
        if self._closed or now < self.at:
            return
        if self._socket is not None:
            self._answer(f"no answer within {self._timeout:g} s")
        elif now >= self._next:
            self._next = now + self._every
            self.at = now + self._timeout
            self._untried = list(self.question.addresses)
            self._try_next("no address")

    def close(self) -> None:
        """Ask no more. `tick` may still be called."""
        self._closed = True
        self.at = float("inf")
        self._hang_up()

    def _try_next(self, why: str) -> None:
        """Connect to the next address; without one the answer is `why`."""
        self._hang_up()
        if not self._untried:
            self._answer(why)
            return
        address = self._untried.pop(0)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            self._socket = socket.socket(
                family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            )
            code = self._socket.connect_ex((address, self.question.port))
        except OSError as error:  # no descriptor is free, or no such family
            self._try_next(_words(error.errno))
            return
        if code not in (0, errno.EINPROGRESS):
            self._try_next(_words(code))
            return
        self._unsent, self._read = self.question.request, b""
        self._selector.register(self._socket, selectors.EVENT_WRITE, self._connected)

    def _connected(self) -> None:
        assert self._socket is not None
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._try_next(_words(code))
        elif met_itself(self._socket):
            self._try_next(_words(errno.ECONNREFUSED))
        elif self._unsent:
            self._selector.modify(self._socket, selectors.EVENT_WRITE, self._send)
            self._send()
        else:
            self._answer("")

    def _send(self) -> None:
        assert self._socket is not None
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError as error:
            self._answer(_words(error.errno))
            return
        if not self._unsent:
            self._selector.modify(self._socket, selectors.EVENT_READ, self._receive)

    def _receive(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(4096)
        except BlockingIOError:
            return
        except OSError as error:
            self._answer(_words(error.errno))
            return
        self._read += data
        if len(self._read) >= _STATUS_LINE or not data:
            self._answer(_judge(self._read))

    def _answer(self, why: str) -> None:
        self._hang_up()
        self.at = self._next
        self._told(why)

    def _hang_up(self) -> None:
        if self._socket is not None:
            if self._socket.fileno() in self._selector.get_map():
                self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None


def met_itself(connection: socket.socket) -> bool:
    """True if a connection has the same address at both ends.

    The kernel may give it the very port that it asks for: with nobody there it then answers itself.
    """
    return bool(connection.getsockname() == connection.getpeername())


def _judge(answer: bytes) -> str:
    words = answer.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1][:3].isdigit():
        return "no HTTP answer" if answer else "closed without an answer"
    status = int(words[1][:3])
    return "" if 200 <= status < 400 else f"answered {status}"


def _words(code: int | None) -> str:
    return os.strerror(code).lower() if code else "refused"
