"""Who may look, and who may act: tokens, what browsers get for them, and how often one may be wrong.

A session is a cookie that says who and until when, sealed with the token itself: nothing is stored, it
outlives this process, and a token that is taken out of the file ends the sessions that began with it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

SESSION_SECONDS = 12 * 3600
#: So many wrong tokens a minute from one address.
_MOST_WRONG, _WINDOW = 5, 60.0
#: So many addresses are remembered.
_MOST_ADDRESSES = 4096
_LEAST_TOKEN = 16
_LINE = re.compile(r"([A-Za-z0-9._@-]{1,64})\s+(viewer|operator|admin)\s+(\S+)")


class Role(IntEnum):
    """What somebody may do; each includes those before."""

    VIEWER = 1  # look
    OPERATOR = 2  # what removes nothing: retry, pause, resume
    ADMIN = 3  # all


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a token."""

    name: str
    role: Role


class BadTokens(Exception):
    """The file with the tokens cannot be used."""


@dataclass(slots=True)
class Credentials:
    """The tokens that are valid now: those of a file, or the one of this start."""

    token: str
    file: str = ""
    _known: dict[str, tuple[Person, str]] = field(default_factory=dict)
    _read: tuple[int, int, int] = (0, 0, 0)  # of the file that was read

    def people(self) -> dict[str, tuple[Person, str]]:
        """Return everybody and his token, by name. Raises BadTokens."""
        if not self.file:
            return {"admin": (Person("admin", Role.ADMIN), self.token)}
        try:
            found = os.stat(self.file)
            read = found.st_mtime_ns, found.st_size, found.st_ino
            if read != self._read:
                if stat.S_IMODE(found.st_mode) & 0o007:
                    raise BadTokens(f"token_file {self.file}: others can read it; chmod 600 it")
                with open(self.file, encoding="utf-8") as file:
                    self._known = people_in(file)
                self._read = read
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise BadTokens(f"token_file {self.file}: {error}") from None
        return self._known

    def of_token(self, token: str) -> Person | None:
        """Return whose token it is; every one is compared, and each in constant time."""
        given = token.encode("utf-8", "surrogateescape")
        found = None
        for person, known in self.people().values():
            if hmac.compare_digest(known.encode(), given):
                found = person
        return found

    def session(self, person: Person) -> str:
        """Return the value of the cookie."""
        said = f"{person.name}|{int(time.time()) + SESSION_SECONDS}"
        return f"{said}|{_seal(self.people()[person.name][1], said)}"

    def of_session(self, cookie: str) -> Person | None:
        """Return whose session it is, None if it is over, or forged."""
        said, _, seal = cookie.rpartition("|")
        name, _, until = said.partition("|")
        person, token = self.people().get(name, (None, ""))
        if person is None or not hmac.compare_digest(
            _seal(token, said).encode(), seal.encode("utf-8", "replace")
        ):
            return None
        return person if int(until) > time.time() else None


@dataclass(slots=True)
class Failures:
    """Wrong tokens, by the address that they came from."""

    _moments: dict[str, list[float]] = field(default_factory=dict)

    def are_too_many(self, address: str) -> bool:
        """Return whether this address has to wait."""
        return len(self._recent(address)) >= _MOST_WRONG

    def note(self, address: str) -> None:
        """Count one more."""
        if len(self._moments) >= _MOST_ADDRESSES:
            self._moments.clear()  # a flood from everywhere; nobody guesses a token in what this gives
        self._moments[address] = [*self._recent(address), time.monotonic()]

    def _recent(self, address: str) -> list[float]:
        now = time.monotonic()
        return [at for at in self._moments.get(address, ()) if now - at < _WINDOW]


def people_in(lines: Iterable[str]) -> dict[str, tuple[Person, str]]:
    """Return who stands in a file of tokens. Raises ValueError, which shows no token."""
    found: dict[str, tuple[Person, str]] = {}
    for number, line in enumerate(lines, 1):
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        match = _LINE.fullmatch(words)
        if match is None:
            raise ValueError(f"line {number} is not NAME ROLE TOKEN; roles are viewer, operator, admin")
        name, role, token = match.groups()
        if len(token) < _LEAST_TOKEN:
            raise ValueError(f"line {number}: a token has at least {_LEAST_TOKEN} characters")
        if name in found:
            raise ValueError(f"line {number}: {name} stands there twice")
        found[name] = Person(name, Role[role.upper()]), token
    if not found:
        raise ValueError("nobody stands in it; write lines of NAME ROLE TOKEN")
    return found


def _seal(token: str, said: str) -> str:
    return hmac.new(
        token.encode(), b"procqueue session\n" + said.encode("utf-8", "replace"), hashlib.sha256
    ).hexdigest()
