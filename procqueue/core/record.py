"""Records and notices: the two small JSON documents that procqueue stores beside a message.

A *record* is one line of a message's history: one run that ended badly. A *notice* is a hook that is owed
(law D15): a header line saying what happened, then the bytes of the message it happened to, so that it can
be paid even when the message was forgotten meanwhile.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from procqueue.core.outcome import Ending

#: Longer texts are cut: a record must never be what fills the store.
MAX_ERROR = 2_000
MAX_TRACEBACK = 8_000


@dataclass(frozen=True, slots=True)
class Record:
    """One run that ended badly. Moments are ms of the driver's clock."""

    began_ms: int | None
    seconds: float | None
    consumer: str
    ticket: int
    outcome: str  # Ending
    error: str = ""
    traceback: str = ""
    cause: dict[str, Any] = field(default_factory=dict)  # signal, exit code, memory, limit

    def encode(self) -> bytes:
        """Return one line of JSON, its texts cut to size."""
        document = asdict(self)
        document["error"] = _cut(self.error, MAX_ERROR)
        document["traceback"] = _cut(self.traceback, MAX_TRACEBACK)
        return _line(document)

    @classmethod
    def decode(cls, line: bytes) -> Record:
        """Read what `encode` wrote; keys of a newer version are ignored. Raises ValueError."""
        document = json.loads(line)
        if not isinstance(document, dict) or not document.keys() >= {"consumer", "ticket", "outcome"}:
            raise ValueError(f"not a record: {line[:80]!r}")
        return cls(**{name: document[name] for name in cls.__slots__ if name in document})


@dataclass(frozen=True, slots=True)
class NoticeHeader:
    """What a hook needs to know beside the message itself."""

    id: str
    queue: str
    outcome: str  # Ending
    error: str
    counters: str  # Counters.pack, after the verdict
    consumer: str
    cause: dict[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return one line of JSON without its end."""
        document = asdict(self)
        document["error"] = _cut(self.error, MAX_ERROR)
        return _line(document)


#: The header of the notice that a driver itself leaves, when it drops a message that did not begin in time:
#: which one it was is in the notice's id.
EXPIRED: Final = b'{"dropped":"expired"}'


def dropped_for(body: bytes) -> str:
    """Return why the message of a notice was dropped; "" if it is another kind of notice, or none."""
    try:
        document = json.loads(body.partition(b"\n")[0])
    except ValueError:
        return ""
    if not isinstance(document, dict):
        return ""
    if document.get("outcome") == Ending.CANCELLED:
        return Ending.CANCELLED.value
    reason = document.get("dropped")
    return reason if isinstance(reason, str) else ""


@dataclass(frozen=True, slots=True)
class EventNotice:
    """An event that belongs to no message, on its way to the listeners in a consumer.

    `event`: its name. `key`: what makes two of them the same while neither is heard of.
    """

    event: str
    key: str
    queue: str
    consumer: str = ""
    error: str = ""
    length: int | None = None
    level: str = ""

    @property
    def id(self) -> str:
        """The id under which a driver stores it; no message's notice begins so."""
        return f"!!{self.event}:{self.key}"

    def encode(self) -> bytes:
        """Return one line of JSON."""
        return _line(asdict(self)) + b"\n"


def is_event(id: str) -> bool:
    """Return whether the notice of this id is an event that belongs to no message."""
    return id.startswith("!!")


def read_event(body: bytes) -> EventNotice:
    """Read what EventNotice.encode wrote; keys of a newer version are ignored. Raises ValueError."""
    document = json.loads(body)
    try:
        return EventNotice(**{name: document[name] for name in EventNotice.__slots__ if name in document})
    except TypeError as error:
        raise ValueError(f"not an event: {error}") from error


def read_notice(body: bytes) -> tuple[NoticeHeader, bytes]:
    """Split a notice into its header and the message's body. Raises ValueError if it is none."""
    head, _, rest = body.partition(b"\n")
    document = json.loads(head)
    try:
        return NoticeHeader(**{name: document[name] for name in NoticeHeader.__slots__}), rest
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a notice: {error}") from error


def notice_id(message_id: str, ticket: int) -> str:
    """Return the id under which a driver stores the notice of this run."""
    return f"!{message_id}:{ticket}"


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else f"{text[: size // 2]} … {text[-size // 2 :]}"


def _line(document: dict[str, Any]) -> bytes:
    # ensure_ascii: lone surrogates of a broken exception text must not make the record unwritable.
    return json.dumps(document, separators=(",", ":")).encode("ascii")
