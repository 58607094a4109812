"""One connection to Redis: a request, its reply, and nothing behind one's back.

redis-py's Connection connects, with TLS and password; its client, its pools and its retries are left aside
(measured: a request repeated by the library is applied twice, and the client costs as much time as the
server). On a connection that stands hiredis alone packs and reads. Whatever interrupts a call closes the
connection: the next reply on it would be somebody else's.
Next to read: refusals.py, which says what an error means; sentinels.py, which finds the server.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import re
import select
import socket
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import hiredis
from redis.backoff import NoBackoff
from redis.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.retry import Retry

from procqueue.core.errors import DriverError, DriverUnavailable
from procqueue.drivers.redis.lean import exceptions
from procqueue.drivers.redis.refusals import broken, code_of, refusal, turned_away

OLDEST: Final = (6, 2)
_VERSION: Final = re.compile(rb"^redis_version:(\d+)\.(\d+)", re.MULTILINE)  # Valkey says 7.2.4
_RUN_ID: Final = re.compile(rb"^run_id:(\w+)", re.MULTILINE)

#: The kernel gives a silent peer up after 15 + 3 × 5 s; a call that waits has its own timeout before that.
_KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}

#: What the reader says when a reply has not come to its end.
_MORE: Final = object()
_READ_SIZE = 32_768

#: Keys of a url that belong to redis-py's client or are the driver's to say.
_NOT_OURS = (
    "connection_class",
    "timeout",
    "max_connections",
    "protocol",
    "decode_responses",
    "retry_on_error",
)


#: With sentinels, no answer is believed of a server that they had not named within so many seconds …
_BELIEVED = 1.0
#: … unless none of them can be reached: what works goes on, and they are asked again after so many.
_UNGUIDED = 10.0


class _Once(Retry):
    """No retry; one for all connections, which copy what they are given."""

    def __deepcopy__(self, memo: object) -> _Once:
        return self


_NEVER = _Once(NoBackoff(), 0)


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of commands that begin alike, packed once: so many words of the protocol."""

    words: int
    packed: bytes

    @classmethod
    def of(cls, *words: str | bytes | int) -> Head:
        """Return the head of commands that begin with `words`."""
        return cls(len(words), _body(words))


NO_HEAD: Final = Head(0, b"")


def _body(words: Sequence[str | bytes | int]) -> bytes:
    # hiredis itself: redis-py looks at each word before, and that takes longer than the packing.
    packed: bytes = hiredis.pack_command(tuple(words))  # type: ignore[arg-type]  # its stub: of one word only
    return packed[packed.index(b"\n") + 1 :]


class Guide(Protocol):
    """Whoever knows where the master is. Stale answers are refused by the Link, which asks again."""

    def find(self) -> tuple[str, int]:
        """Return host and port of the master. Raises DriverUnavailable, DriverError."""

    def doubt(self) -> None:
        """Take note that what was found is no master, or cannot be reached."""


class Link:
    """A connection that opens itself when it is needed, and whose errors are those of procqueue.

    `guide`: says anew at each opening where to connect to, and meanwhile whether that has changed.
    `checks_version`: false for what is no store.
    """

    def __init__(
        self,
        url: str,
        timeout: float,
        connect_timeout: float,
        guide: Guide | None = None,
        *,
        checks_version: bool = True,
    ) -> None:
        self._connection: Any = _build(url, timeout, connect_timeout)
        self._guide = guide
        self._named_at = 0.0  # monotonic: when the guide last named this server
        self._checks_version = checks_version
        self.where = _name_of(self._connection)
        self.server = ""  # the run id of the server last connected to
        self._is_open = False
        self._unread = 0  # replies that were asked for on this connection
        self._times_opened = 0
        self._is_plain = not isinstance(self._connection, SSLConnection)
        self._poll = select.poll()
        self._reader: Any = None
        self._buffer = bytearray(_READ_SIZE)
        _links.add(self)

    @property
    def is_open(self) -> bool:
        """True while a connection stands, as far as we know."""
        return self._is_open

    @property
    def stands(self) -> bool:
        """True while the next command can go over the connection that there is."""
        return self._is_open and not self._unread and not (self._is_plain and self._poll.poll(0))

    def fileno(self) -> int:
        """Return the descriptor of the open connection."""
        return int(self._socket().fileno())

    def call(self, *args: str | bytes | int, head: Head = NO_HEAD, pushing: bool = False) -> Any:
        """Send `head` and `args` as one command and return its reply. Raises what refusals.py says.

        NoScriptError comes through as it is. DriverUnavailable.sent tells whether the request had left.
        """
        self.send(*args, head=head)
        return self.read(pushing=pushing)

    def send(self, *args: str | bytes | int, head: Head = NO_HEAD) -> None:
        """Send one command, on a new connection if there is none or the server has closed it meanwhile."""
        if not self.stands:
            self.close()  # closed by the server, or out of step: nothing can come before we ask
        if self._guide is not None and self._is_open and not self._is_master():
            self.close()
        self._send(args, head)

    def send_ahead(self, *args: str | bytes | int, head: Head = NO_HEAD) -> Callable[..., Any]:
        """Send one command although earlier ones may have no reply yet; return what reads its reply.

        Replies are read in the order of the commands. DriverUnavailable, sent, once the connection is lost.
        """
        self._send(args, head)
        opened = self._times_opened

        def read(*, pushing: bool = False) -> Any:
            if opened != self._times_opened or not self._is_open:
                raise broken(ConnectionError("the connection was closed"), self.where, sent=True)
            return self.read(pushing=pushing)

        return read

    def _send(self, args: Sequence[str | bytes | int], head: Head = NO_HEAD) -> None:
        command = b"*%d\r\n%b%b" % (head.words + len(args), head.packed, _body(args))
        if not self._is_open:
            self._open()
        try:
            self._transmit(command)
        except (exceptions.RedisError, OSError) as error:
            self.close()
            raise broken(error, self.where, sent=False) from error
        except BaseException:
            self.close()
            raise
        self._unread += 1

    def read(self, *, pushing: bool = False) -> Any:
        """Read the reply to what was sent. An error reply leaves it open, any other failure closes it."""
        self._unread -= 1
        try:
            reply = self._receive()
            self._believe()
            return reply
        except exceptions.NoScriptError:
            raise
        except exceptions.ResponseError as error:
            self._believe()
            if code_of(error) in ("READONLY", "UNBLOCKED"):
                self.close()  # the server changed its role: the name may lead to another one now
            raise refusal(error, self.where, pushing=pushing) from error
        except (exceptions.RedisError, OSError) as error:
            self.close()
            raise broken(error, self.where, sent=True) from error
        except BaseException:
            self.close()
            raise

    def _transmit(self, command: bytes) -> None:
        try:
            self._socket().sendall(command)
        except TimeoutError as error:
            raise exceptions.TimeoutError("Timeout writing to socket") from error
        except OSError as error:
            raise exceptions.ConnectionError(f"Error while writing to socket: {error}") from error

    def _receive(self) -> Any:
        reader = self._reader
        try:
            while (reply := reader.gets()) is _MORE:
                size = self._socket().recv_into(self._buffer)
                if not size:
                    raise exceptions.ConnectionError("Connection closed by server.")
                reader.feed(self._buffer, 0, size)
        except TimeoutError as error:
            raise exceptions.TimeoutError("Timeout reading from socket") from error
        except OSError as error:
            raise exceptions.ConnectionError(f"Error while reading from socket: {error}") from error
        if isinstance(reply, exceptions.RedisError):
            raise reply
        return reply

    def is_readable(self) -> bool:
        """True if a reply, or the end, has come."""
        return bool(self._poll.poll(0))

    def close(self) -> None:
        """Close the connection. Never raises; the next call opens a new one."""
        self._is_open = False
        self._unread = 0
        with contextlib.suppress(Exception):
            self._connection.disconnect()

    def abandon(self) -> None:
        """Close the descriptor inherited over a fork, by its number; the parent's connection stays open."""
        self._is_open = False
        sock = self._socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                os.close(sock.detach())

    def _open(self) -> None:
        try:
            self._look_up()
            self._connection.connect()
            self._reader = hiredis.Reader(
                protocolError=exceptions.InvalidResponse,
                replyError=self._connection._parser.parse_error,  # the one table of classes by code words
                notEnoughData=_MORE,
            )
            self._is_open = True
            self._times_opened += 1
            self._poll = select.poll()
            self._poll.register(self.fileno(), select.POLLIN)
            if self._checks_version:
                self._check_version()
            if self._guide:
                self._check_role()
        except DriverError as error:
            self._give_up()
            if isinstance(error, DriverUnavailable):
                raise turned_away(error) from error.__cause__  # what the caller wants sent was not
            raise
        except (exceptions.RedisError, OSError) as error:
            self._give_up()
            raise broken(error, self.where, sent=False) from error
        except BaseException:
            self.close()
            raise

    def _give_up(self) -> None:
        self.close()
        if self._guide:
            self._guide.doubt()

    def _check_version(self) -> None:
        # Not call(): a server that has said no already must be read, not reconnected to, again and again.
        self._send((b"INFO", b"server"))
        info: bytes = self.read()
        found = _VERSION.search(info)
        if not found or (int(found[1]), int(found[2])) < OLDEST:
            version = found[0].decode().partition(":")[2] if found else "of unknown version"
            raise DriverError(f"Redis at {self.where} is {version}: procqueue needs 6.2 or newer, or Valkey")
        run_id = _RUN_ID.search(info)
        self.server = str(run_id[1], "ascii") if run_id else ""

    def _look_up(self) -> None:
        if self._guide:
            asked_at = time.monotonic()
            self._connection.host, self._connection.port = self._guide.find()
            self._named_at = asked_at
            self.where = _name_of(self._connection)

    def _check_role(self) -> None:
        self._send((b"INFO", b"replication"))
        if b"role:master" not in self.read():
            raise DriverUnavailable(f"Redis at {self.where} is no master any more, or not yet")

    def _is_master(self) -> bool:
        """False if the guide names another server. A frozen one that wakes up does not know it itself."""
        now = time.monotonic()
        if self._guide is None or now - self._named_at < _BELIEVED:
            return True
        try:
            named = self._guide.find()
        except DriverError:
            self._named_at = now + _UNGUIDED - _BELIEVED
            return True
        self._named_at = now
        return named == (self._connection.host, self._connection.port)

    def _believe(self) -> None:
        if self._guide is not None and not self._is_master():
            self.close()
            error = DriverUnavailable(f"Redis at {self.where} is not the master any more")
            error.sent = True
            raise error

    def _socket(self) -> Any:
        return self._connection._sock  # redis-py has no public name for it that all versions share


def _build(url: str, timeout: float, connect_timeout: float) -> AbstractConnection:
    try:
        options: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
        kind: type[AbstractConnection] = options.get("connection_class", Connection)
        options = {name: value for name, value in options.items() if name not in _NOT_OURS}
        options |= {
            "socket_timeout": timeout,
            "socket_connect_timeout": connect_timeout,
            "retry": _NEVER,
            "retry_on_error": [],
            "health_check_interval": 0,
            "protocol": 2,
            "socket_read_size": 1024,  # for what it reads itself, while it connects
        }
        if kind is not UnixDomainSocketConnection:
            options |= {"socket_keepalive": True, "socket_keepalive_options": _keepalive()}
        return kind(**options, **quiet_options())
    except (ValueError, TypeError, exceptions.RedisError) as error:
        raise DriverError(f"the url of Redis cannot be used: {error}") from error


def _keepalive() -> dict[int, int]:
    return {getattr(socket, name): value for name, value in _KEEPALIVE.items() if hasattr(socket, name)}


@functools.cache
def quiet_options() -> dict[str, Any]:
    """Return what keeps redis-py from sending commands of its own, in the words of the version installed."""
    known = inspect.signature(AbstractConnection.__init__).parameters
    quiet: dict[str, Any] = (
        {"driver_info": None} if "driver_info" in known else {"lib_name": None, "lib_version": None}
    )
    if "maint_notifications_config" in known:
        from redis.maint_notifications import MaintNotificationsConfig

        quiet["maint_notifications_config"] = MaintNotificationsConfig(enabled=False)
    return quiet


def _name_of(connection: AbstractConnection) -> str:
    path = getattr(connection, "path", None)
    return str(path) if path else f"{connection.host}:{connection.port}"  # type: ignore[attr-defined]


#: All links of this process, for the hook below: a child must not hold the parent's connections open.
_links: weakref.WeakSet[Link] = weakref.WeakSet()


def _abandon_all() -> None:
    for link in list(_links):
        link.abandon()


os.register_at_fork(after_in_child=_abandon_all)
