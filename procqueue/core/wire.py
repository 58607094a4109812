"""The wire: the JSON document in which a message travels, the same for producers in every language.

`{"v":1,"id":…,"task":"shop.tasks.welcome","args":[42],"kwargs":{"lang":"fr"},"delay":600000,"at":…,
"expires":…,"unique":"key","priority":0,"meta":{…}}`:
only `task` is required, times are integer milliseconds, unknown keys are ignored here and kept in the body.
What cannot be read raises Unreadable with the reason; the message then goes to `failed` with it (law D12).
Next to read: tasks/arguments.py, which turns Python arguments into this and back.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from procqueue.core.traits import PLAIN, Traits, wrong_key, wrong_priority

#: The version of the document that this code writes, and the newest that it reads.
VERSION: Final = 1

#: The document itself is depth 1, `args` and `kwargs` are depth 2.
MAX_DEPTH: Final = 64

#: Integers with more digits are refused: CPython itself refuses to write them as text.
MAX_DIGITS: Final = 4300

_MAX_DELAY_MS: Final = 100 * 366 * 86_400_000
_MAX_AT_MS: Final = 253_402_300_799_999  # the end of the year 9999

_is_id = re.compile(r"[A-Za-z0-9._:@-]{1,128}").fullmatch
_QUEUE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Unreadable(ValueError):
    """The body is not a document of the wire; the text says why."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One message as it travels. `lax`: the arguments are text, as typed on a command line."""

    task: str
    v: int = VERSION
    id: str | None = None
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    lax: bool = False
    delay_ms: int = msgspec.field(name="delay", default=0)
    at_ms: int | None = msgspec.field(name="at", default=None)
    expires_ms: int = msgspec.field(name="expires", default=0)
    unique: str | None = None
    priority: int = 0
    meta: dict[str, Any] = {}

    @property
    def traits(self) -> Traits:
        """What it asks for beside where and when."""
        if not (self.expires_ms or self.unique or self.priority):
            return PLAIN
        return Traits(self.priority, self.expires_ms, self.unique or "")


def encode(
    task: str,
    args: list[Any] | tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    *,
    id: str | None = None,
    lax: bool = False,
    delay_ms: int = 0,
    at_ms: int | None = None,
    traits: Traits = PLAIN,
    meta: dict[str, Any] | None = None,
) -> bytes:
    """Return the document as bytes; what is left at its default is left out.

    `args` and `kwargs` have to be JSON already (arguments.py sees to it). Raises ValueError or TypeError
    on what JSON cannot hold, except for NaN and infinities, which the caller has to refuse.
    """
    document: dict[str, Any] = {"v": VERSION}
    if id is not None:
        document["id"] = id
    document["task"] = task
    if args:
        document["args"] = args
    if kwargs:
        document["kwargs"] = kwargs
    if lax:
        document["lax"] = True
    if delay_ms:
        document["delay"] = delay_ms
    if at_ms is not None:
        document["at"] = at_ms
    if traits.expires_ms:
        document["expires"] = traits.expires_ms
    if traits.unique:
        document["unique"] = traits.unique
    if traits.priority:
        document["priority"] = traits.priority
    if meta:
        document["meta"] = meta
    return _encode(document)


def with_meta(body: bytes, meta: dict[str, Any]) -> bytes:
    """Return what `encode` gave without meta, with it. Raises ValueError or TypeError as encode does."""
    return body[:-1] + b',"meta":' + _encode(meta) + b"}" if meta else body


def decode(body: bytes) -> Document:
    """Return what `body` says. Raises Unreadable with the reason; nothing else."""
    try:
        if not body.isascii():
            body.decode()  # the parser itself does not look into the texts of keys that it skips
        document = _decode(body)
        # Brackets bound the depth: only a body with many of them pays for the exact count.
        if body.count(b"[") + body.count(b"{") > MAX_DEPTH and is_deeper(
            msgspec.json.decode(body), MAX_DEPTH
        ):
            raise RecursionError
    except UnicodeDecodeError as error:
        raise Unreadable(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    except RecursionError:
        raise Unreadable(f"lists and objects stand in each other more than {MAX_DEPTH} deep") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise Unreadable(_reason(error)) from None
    if reason := _wrong(document):
        raise Unreadable(reason)
    return document


def is_id(text: str) -> bool:
    """Return whether `text` can be the id of a message."""
    return _is_id(text) is not None


def is_queue_name(text: str) -> bool:
    """Return whether `text` can be the name of a queue."""
    return _QUEUE.fullmatch(text) is not None


def is_deeper(value: Any, limit: int) -> bool:
    """Return whether lists and dicts in `value` stand in each other more than `limit` deep."""
    level = [value]
    for _ in range(limit + 1):
        containers = [one for one in level if isinstance(one, (list, dict))]
        if not containers:
            return False
        level = [below for one in containers for below in (one.values() if isinstance(one, dict) else one)]
    return True


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Document).decode


def _wrong(document: Document) -> str:
    if document.v != VERSION:
        if document.v > VERSION:
            return f"version {document.v} is newer than this procqueue, which reads version {VERSION}"
        return f'there is no version {document.v}: write "v":{VERSION}, or leave it out'
    if not document.task:
        return "`task` is empty: it has to be the name of a task"
    if document.id is not None and not _is_id(document.id):
        return f"`id` is {document.id[:140]!r}, not 1 to 128 of the characters A-Z a-z 0-9 . _ : @ -"
    if not 0 <= document.delay_ms <= _MAX_DELAY_MS:
        return "`delay` is not between 0 and 100 years (in milliseconds)"
    if document.at_ms is not None and not 0 <= document.at_ms <= _MAX_AT_MS:
        return "`at` is not a moment between 1970 and 9999 (in milliseconds since 1970 UTC)"
    if document.expires_ms or document.priority or document.unique is not None:
        return _wrong_traits(document)
    return ""


def _wrong_traits(document: Document) -> str:
    if not 0 <= document.expires_ms <= _MAX_DELAY_MS:
        return "`expires` is not between 0 and 100 years (in milliseconds)"
    if document.expires_ms and document.at_ms is None and document.expires_ms <= document.delay_ms:
        return "`expires` is not later than `delay`: the message could never begin"
    if document.unique is not None and (reason := wrong_key(document.unique)):
        return f"`unique` {reason}"
    if reason := wrong_priority(document.priority):
        return f"`priority` {reason}"
    return ""


def _reason(error: Exception) -> str:
    text = str(error)
    if "Integer value out of range" in text or "integer string conversion" in text:
        return f"a number has more than {MAX_DIGITS} digits"
    if "Number out of range" in text:
        return "a number is too large for a floating-point number"
    if isinstance(error, msgspec.ValidationError):
        return f"not a message: {text}"
    return f"not JSON: {text}"
