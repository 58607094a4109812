"""Driver URLs: read, checked, written in one canonical form, and masked for display.

No text raised here holds a password: the parts of a URL that cannot be read are not quoted. Paths of sqlite:///
are made absolute by driver.py, which also lays single keys (host, password …) over the URL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from procqueue.core.settings.wrong import LATER, Wrong, nearest
from procqueue.core.units import shown

SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "sqlite", "sync")
LATER_SCHEMES = ("redis+cluster", "postgresql", "amqp")
TLS_OPTIONS = (
    "ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname",
)  # fmt: skip
SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")
REDIS_PORT = 6379
SENTINEL_PORT = 26379
MOST_DATABASES = 100_000

_ENCODE_HINT = (
    "percent-encode / ? # @ and spaces in it (%2F %3F %23 %40 %20), or give password = … as a key of its own"
)
_SECRET_OPTION = re.compile(r"([?&][^=&]*(?:pass|pwd|token|secret|auth)[^=&]*=)[^&]*", re.IGNORECASE)
_HOST = re.compile(r"[^\s:/?#@\[\]%]+|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*")


@dataclass(frozen=True, slots=True)
class Address:
    """A driver URL in its parts, none of them percent-encoded."""

    scheme: str
    host: str = ""
    port: int = 0
    db: int = 0
    username: str = ""
    password: str = ""
    path: str = ""  # of the SQLite file or the Unix socket
    options: tuple[tuple[str, str], ...] = ()
    sentinels: tuple[tuple[str, int], ...] = ()  # hosts and ports …
    master: str = ""  # … and the name under which they know the server


def read_url(url: str) -> Address:
    """The parts of `url`. Raises Wrong, whose text never holds a secret."""
    scheme, found, _ = url.partition("://")
    if not found:
        raise Wrong("is not a URL", f"begin it with one of {', '.join(name + '://' for name in SCHEMES)}")
    if scheme in LATER_SCHEMES:
        raise Wrong(f"the driver {scheme}:// {LATER}", "use redis:// or sqlite:///")
    if scheme not in SCHEMES:
        named = f"there is no driver {shown(scheme)}" if scheme.isalnum() else "there is no such driver"
        raise Wrong(named, nearest(scheme, SCHEMES) or f"one of {', '.join(SCHEMES)}")
    if any(mark.isspace() or not mark.isprintable() for mark in url):
        raise Wrong("holds a space or a control character", _ENCODE_HINT)
    url, nodes = _without_nodes(url) if scheme == "redis+sentinel" else (url, "")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 0
    except ValueError:  # its text would quote what may be a piece of a password
        raise Wrong("its host and port cannot be read", _ENCODE_HINT) from None
    if parts.fragment or url.endswith("#"):
        raise Wrong("holds a #", _ENCODE_HINT)
    if "@" in parts.query:  # what looks like options is the rest of a password with a ? in it
        raise Wrong("holds an @ behind a ?", _ENCODE_HINT)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    address = Address(
        scheme, _decoded(host), port, 0, _decoded(parts.username), _decoded(parts.password), parts.path
    )
    match scheme:
        case "sqlite":
            return _sqlite(address, parts.netloc, options)
        case "sync":
            return _sync(address, parts.netloc, options)
        case "unix":
            return _unix(address, options)
        case "redis+sentinel":
            return _sentinel(address, nodes, options)
        case _:
            return _redis(address, options)


def write_url(address: Address) -> str:
    """`address` as one URL, percent-encoded, the same for the same parts."""
    who = ""
    if address.username or address.password:
        who = (
            _encoded(address.username) + (":" + _encoded(address.password) if address.password else "") + "@"
        )
    options = dict(address.options)
    match address.scheme:
        case "redis" | "rediss":
            rest = f"{who}{_node(address.host, address.port)}/{address.db}"
        case "redis+sentinel":
            nodes = ",".join(_node(*sentinel) for sentinel in address.sentinels)
            rest = f"{who}{nodes}/{address.master}/{address.db}"
        case "unix":
            rest = who + quote(address.path, errors="surrogateescape")
            options = {"db": str(address.db), **options}
        case "sqlite":
            rest = "/" + quote(address.path, errors="surrogateescape")
        case _:
            rest = ""
    return f"{address.scheme}://{rest}" + ("?" + urlencode(options) if options else "")


def sqlite_path(url: str) -> str:
    """The path of the database file that a canonical sqlite:/// URL names."""
    return unquote(url.removeprefix("sqlite:///"), errors="surrogateescape")


def masked(url: str) -> str:
    """`url` without its secrets, fit for logs and screens; takes any text, also one that is no URL."""
    scheme, found, rest = url.partition("://")
    if not found:
        scheme, rest = "", url
    if scheme.lower() in ("sqlite", "sync"):
        return url
    who, at, where = rest.rpartition("@")  # the last one: what stands before may be an unencoded password
    if at:
        user, colon, _ = who.partition(":")
        rest = (f"{user}:***@" if colon else "***@") + where
    return scheme + found + _SECRET_OPTION.sub(r"\1***", rest)


def encode_part(text: str) -> str:
    """`text` percent-encoded, to stand as any part of a URL."""
    return _encoded(text)


def check_host(host: str) -> str:
    """`host` if it can be one, a name or an IP address. Raises Wrong."""
    if _HOST.fullmatch(host):
        return host
    raise Wrong(
        "its host is not a name or an address", "give host and port apart, or the whole url in one variable"
    )


def _redis(address: Address, options: dict[str, str]) -> Address:
    named = address.path.strip("/")
    db = _database(named or options.pop("db", "0"))
    if named and "db" in options:
        raise Wrong("names the database twice, in its path and as ?db=", "keep one of them")
    known = TLS_OPTIONS if address.scheme == "rediss" else ()
    for option in options:
        if option in TLS_OPTIONS and not known:
            raise Wrong(f"the option {option} needs TLS", "begin the url with rediss://")
        _refuse_option(option, (*known, "db"))
    return Address(
        address.scheme,
        check_host(address.host or "localhost"),
        address.port or REDIS_PORT,
        db,
        address.username,
        address.password,
        options=tuple(sorted(options.items())),
    )


def _without_nodes(url: str) -> tuple[str, str]:
    """Take `host:port,host:port` out of a url: the library reads one host only."""
    scheme, rest = url.split("://", 1)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    rest = rest[len(authority) :]
    who, at, nodes = authority.rpartition("@")
    return f"{scheme}://{who}{at}{rest}", nodes


def _sentinel(address: Address, nodes: str, options: dict[str, str]) -> Address:
    sentinels = tuple(_sentinel_node(node) for node in nodes.split(","))
    master, _, named = address.path.strip("/").partition("/")
    if not re.fullmatch(r"[A-Za-z0-9._-]+", master):
        raise Wrong(
            "names no master",
            "write the name that the sentinels know it by: redis+sentinel://host:26379/mymaster/0",
        )
    db = _database(named or options.pop("db", "0"))
    if named and "db" in options:
        raise Wrong("names the database twice, in its path and as ?db=", "keep one of them")
    for option in options:
        _refuse_option(option, (*SENTINEL_OPTIONS, "db"))
    return Address(
        address.scheme,
        db=db,
        username=address.username,
        password=address.password,
        options=tuple(sorted(options.items())),
        sentinels=sentinels,
        master=master,
    )


def _sentinel_node(node: str) -> tuple[str, int]:
    found = re.fullmatch(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::([0-9]{1,5}))?", node)
    if not found or int(found[3] or SENTINEL_PORT) not in range(1, 65536):
        raise Wrong("the hosts and ports of its sentinels cannot be read", "write host:26379,host:26379")
    return check_host(_decoded(found[1] or found[2] or "").lower()), int(found[3] or SENTINEL_PORT)


def _node(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _unix(address: Address, options: dict[str, str]) -> Address:
    if address.host or address.port or not address.path.strip("/"):
        raise Wrong("names no absolute path", "write three slashes: unix:///run/redis/redis.sock?db=0")
    db = _database(options.pop("db", "0"))
    for option in options:
        _refuse_option(option, ("db",))
    return Address(
        "unix", db=db, username=address.username, password=address.password, path=_decoded(address.path)
    )


def _sqlite(address: Address, netloc: str, options: dict[str, str]) -> Address:
    if netloc:
        raise Wrong(
            "has a host, which a file does not", "write three slashes and a path: sqlite:///run/db/queue.db"
        )
    for option in options:
        _refuse_option(option, ())
    path = _decoded(address.path.removeprefix("/"))
    if not path or path.endswith("/") or "\0" in path:
        raise Wrong("names no file", "write sqlite:///run/db/queue.db")
    if path == ":memory:":
        raise Wrong(
            "a database in memory cannot be shared by processes", "name a file, or use sync:// in tests"
        )
    return Address("sqlite", path=path)


def _sync(address: Address, netloc: str, options: dict[str, str]) -> Address:
    if netloc or address.path.strip("/"):
        raise Wrong("sync:// has neither host nor path", "write sync:// or sync://?raise=0")
    for option, value in options.items():
        _refuse_option(option, ("raise",))
        if value not in ("0", "1"):
            raise Wrong("raise has to be 0 or 1", "write sync://?raise=0")
    return Address("sync", options=tuple(options.items()))


def _refuse_option(option: str, known: tuple[str, ...]) -> None:
    if option not in known:
        raise Wrong(
            f"the option {shown(option)} is not one that this driver takes",
            nearest(option, known) or "take it out of the url",
        )


def _database(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,9}", text) and int(text) <= MOST_DATABASES:
        return int(text)
    raise Wrong("its database is not a number", "write redis://localhost:6379/0")


def _decoded(text: str | None) -> str:
    return unquote(text or "", errors="surrogateescape")


def _encoded(text: str) -> str:
    return quote(text, safe="", errors="surrogateescape")
