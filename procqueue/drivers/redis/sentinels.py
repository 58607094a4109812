"""Sentinels: they say which server is the master now, one after the other until one answers.

redis-py's client for them is left aside: it repeats commands, and hides why a sentinel did not answer. What
they name is not believed blindly: connection.py looks at the server's role, and asks them again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from procqueue.core.errors import DriverError, DriverUnavailable
from procqueue.core.settings.urls import Address, read_url, write_url
from procqueue.core.settings.wrong import Wrong
from procqueue.drivers.redis.connection import Guide, Link
from procqueue.drivers.redis.lean import exceptions
from procqueue.drivers.redis.refusals import code_of

#: One that has not answered by then is passed over: the next may know as well.
_PATIENCE = 1.0


class Sentinels:
    """The sentinels of one master, each on a connection of its own. `connect_timeout` bounds a search."""

    def __init__(self, address: Address, connect_timeout: float) -> None:
        patience = min(_PATIENCE, connect_timeout / len(address.sentinels) / 2)  # to connect, then to answer
        options = dict(address.options)
        who = options.get("sentinel_username", ""), options.get("sentinel_password", "")
        urls = [write_url(Address("redis", host, port, 0, *who)) for host, port in address.sentinels]
        self._links = [Link(url, patience, patience, checks_version=False) for url in urls]
        self._master = address.master

    def find(self) -> tuple[str, int]:
        """Return host and port of the master.

        Raises DriverUnavailable if no sentinel answers; DriverError if none knows the name, or lets us in.
        """
        errors: list[DriverError] = []
        for link in tuple(self._links):
            try:
                answer = link.call(b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", self._master)
            except DriverError as error:
                errors.append(_told(error, link.where))
                continue
            if answer is None:
                errors.append(DriverError(f"the sentinel at {link.where} knows no {self._master!r}"))
                continue
            self._links.remove(link)
            self._links.insert(0, link)
            return str(answer[0], "utf-8"), int(answer[1])
        raise self._lost(errors)

    def doubt(self) -> None:
        """Ask another sentinel first next time: this one may be cut off from the others."""
        self._links.append(self._links.pop(0))

    def _lost(self, errors: Sequence[DriverError]) -> DriverError:
        texts = "; ".join(map(str, errors))
        # One that does not know, or does not let us in, may be set up otherwise than one that is away.
        if any(isinstance(error, DriverUnavailable) for error in errors):
            return DriverUnavailable(f"no sentinel says where the master {self._master!r} is: {texts}")
        return DriverError(
            f"no sentinel says where the master {self._master!r} is: {texts} "
            '(the url names it: redis+sentinel://HOST:PORT/MASTER, as in their "sentinel monitor MASTER …")'
        )


def guided(url: str, connect_timeout: float) -> tuple[str, Guide | None]:
    """Return the url of the server, and who says where it is if `url` does not. Raises DriverError."""
    if not url.startswith("redis+sentinel:"):
        return url, None
    try:
        address = read_url(url)
    except Wrong as wrong:
        raise DriverError(f"the url of the sentinels {wrong.text}: {wrong.hint}") from None
    server = replace(
        address, scheme="redis", host=f"{address.master}.invalid", port=1, options=(), sentinels=(), master=""
    )
    return write_url(server), Sentinels(address, connect_timeout)


def _told(error: DriverError, where: str) -> DriverError:
    cause = error.__cause__
    match code_of(cause) if isinstance(cause, exceptions.RedisError) else "":
        case "NOAUTH":
            advice = "check ?sentinel_username=… and sentinel_password=… in the url"
        case "NOPERM":
            advice = (
                "let its user have +auth +sentinel|get-master-addr-by-name (ACL SETUSER, at each sentinel)"
            )
        case _:
            return error
    return DriverError(f"the sentinel at {where} refuses to answer: {cause}: {advice}")
