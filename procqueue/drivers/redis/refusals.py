"""What an error means: replies and broken connections of Redis as the errors of procqueue.

Replies are told apart by their first word. The client library takes that word away where it has a class of
its own for it; servers before 7 wrap an error inside a script into "ERR Error running script …".
"""

from __future__ import annotations

import re
import ssl

from procqueue.core.errors import DriverError, DriverUnavailable, Full, Gone, Newer, Unknown
from procqueue.drivers.redis.lean import exceptions

#: What the driver's user needs, for the reader of an error and of the tests. The keys' prefix follows.
LEAST_ACL = (
    "+eval +evalsha +info +time +bzpopmin +hget +hset +hsetnx +hdel +hmget +hexists +hlen +hgetall +hvals "
    "+lpush +rpush +lpop +lrange +llen +lindex +lrem +lpos +zadd +zrem +zcard +zscore +zrange +zrangebyscore "
    "+zremrangebyrank +zcount +del"
)

#: What passes, by itself or when somebody does this.
_TRANSIENT = {
    "LOADING": "it reads its data and will be ready by itself",
    "BUSY": "a script holds it up; wait, or end it (redis-cli SCRIPT KILL)",
    "MASTERDOWN": "it is a replica that has lost its master",
    "TRYAGAIN": "",
    "CLUSTERDOWN": "",
    "NOREPLICAS": "start its replicas, or lower its min-replicas-to-write",
    "READONLY": "it is a replica; name its master in the url, or its sentinels (redis+sentinel://)",
    "UNBLOCKED": "it has changed its role",
    "MISCONF": "it cannot save; look into its log, and free its disk",
    "OOM": "raise its maxmemory, or handle what is stored",
}
_CLUSTER = frozenset(("MOVED", "ASK", "CROSSSLOT"))
_SILENT = "it does not answer; it is stopped, held up or cut off"
_TURNED_AWAY = "it closes new connections; it is stopping, or has as many clients as its maxclients allows"
_OURS = {"GONE": Gone, "UNKNOWN": Unknown, "NEWER": Newer}

_NAMED: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.AuthenticationError, "NOAUTH"),
    (exceptions.AuthorizationError, "NOPERM"),
    (exceptions.NoPermissionError, "NOPERM"),
    (exceptions.BusyLoadingError, "LOADING"),
    (exceptions.OutOfMemoryError, "OOM"),
    (exceptions.ReadOnlyError, "READONLY"),
    (exceptions.MasterDownError, "MASTERDOWN"),
    (exceptions.MovedError, "MOVED"),
    (exceptions.AskError, "ASK"),
    (exceptions.ClusterCrossSlotError, "CROSSSLOT"),
    (exceptions.TryAgainError, "TRYAGAIN"),
    (exceptions.ClusterDownError, "CLUSTERDOWN"),
)

#: How Redis 6.2 tells of an error inside a script.
_WRAPPED = re.compile(r"@user_script: ?\d+: -?([A-Z]{3,}) ")


def code_of(error: exceptions.RedisError) -> str:
    """Return the word that Redis answered with ("OOM"), or "" if this is not a reply of Redis."""
    for kind, code in _NAMED:
        if isinstance(error, kind):
            return code
    text = str(error)
    if "executing the script can't" in text or "ACL failure in script" in text:
        return "NOPERM"
    wrapped = _WRAPPED.search(text)
    if wrapped:
        return wrapped[1]
    return text.split(" ", 1)[0] if isinstance(error, exceptions.ResponseError) else ""


def refusal(error: exceptions.RedisError, where: str, *, pushing: bool = False) -> DriverError:
    """Return what an error reply means to the caller of a verb; `where` is the server as people know it."""
    code = code_of(error)
    text = f"Redis at {where}: {error}"
    if code in _OURS:
        return _OURS[code](str(error).partition(" ")[2])
    if pushing and code in ("OOM", "MISCONF"):
        return Full(f"{text}: nothing was stored; raise maxmemory or handle what is stored")
    if code == "NOPERM":
        return DriverError(f"{text}: let its user have {LEAST_ACL} on the keys of procqueue (ACL SETUSER)")
    if code == "NOAUTH":
        return DriverError(f"{text}: check user and password in the url (redis://user:password@host)")
    if code in _CLUSTER:
        return DriverError(f"{text}: a cluster is not supported; name a server that is none")
    if code in _TRANSIENT:
        return DriverUnavailable(_advised(text, _TRANSIENT[code]))
    if isinstance(error, exceptions.ConnectionError):  # "max number of clients reached" is a reply
        return DriverUnavailable(_advised(text, _TURNED_AWAY))
    return DriverError(text)


def broken(error: Exception, where: str, *, sent: bool) -> DriverError:
    """Return what a broken connection means; `sent`: the request had left and may have been carried out."""
    if isinstance(error, exceptions.RedisError) and code_of(error):
        return refusal(error, where)  # a reply, but of a kind that redis-py takes for a broken connection
    if isinstance(error.__context__, ssl.SSLCertVerificationError):
        return DriverError(f"Redis at {where}: {error}: name its authority (?ssl_ca_certs=FILE in the url)")
    advice = _SILENT if isinstance(error, exceptions.TimeoutError) else ""
    unavailable = DriverUnavailable(_advised(f"Redis at {where}: {error}", advice))
    unavailable.sent = sent
    return unavailable


def turned_away(error: DriverUnavailable) -> DriverUnavailable:
    """Return what an error means while connecting: nothing was sent of what the caller wants sent."""
    cause = error.__cause__
    if isinstance(cause, exceptions.ConnectionError) and not code_of(cause):
        return DriverUnavailable(f"{error}: {_TURNED_AWAY}")
    error.sent = False
    return error


def _advised(text: str, advice: str) -> str:
    return f"{text}: {advice}" if advice else text
