"""[web] as records: where the dashboard listens, who may look, and what nobody sees. Read: web_readers.py."""

from __future__ import annotations

import re
from dataclasses import dataclass

PORT = 7370
#: What `--web` means without an address.
DEFAULT_LISTEN = f"127.0.0.1:{PORT}"
#: Arguments whose names are like these are never shown (fnmatch, in any case).
REDACTED = ("*password*", "*passwd*", "*secret*", "*token*", "*api_key*", "authorization")


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen: a host and port, or the path of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return bool(self.path) or self.host in ("localhost", "::1") or is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class WebSettings:
    """The dashboard. `metrics`: a second listener, for what needs no credential; None: not listening."""

    listen: Listen | None = None
    metrics: Listen | None = None
    token_file: str = ""
    allowed_hosts: tuple[str, ...] = ()
    redact: tuple[str, ...] = REDACTED


def is_loopback(host: str) -> bool:
    """Return whether it is an IPv4 address of the loopback."""
    return bool(re.fullmatch(r"127(\.[0-9]{1,3}){3}", host))


def why_open(settings: WebSettings) -> str:
    """Return why nobody may listen there, "" if all is well."""
    where = settings.listen
    if where is None or where.is_local or settings.token_file:
        return ""
    return f"{where} can be reached from other machines, and there is no credential"


#: What to do about it.
OPEN_HINT = "name a token_file under [web], or listen at 127.0.0.1 or unix:/path, behind a proxy"
