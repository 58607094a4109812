"""Bytes of a pipe cut into lines, and lines dressed for where they go. Pure: it reads no clock, no file.

A batch is what is written at once: whole lines, or one piece of a line that is longer than its pipe. All
lines of a batch have the same moment, so a head is put before each by one replace, not by a loop. What our
own processes say of themselves (`HH:MM:SS name event …`, process/log.py) keeps its form and gets no second
head.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from functools import lru_cache

TRACEBACK = b"Traceback (most recent call last):\n"
#: What stands between an exception and the traceback of the next one.
_CHAINED = (b"another exception occurred:\n\n", b"cause of the following exception:\n\n")
_quoted = json.encoder.encode_basestring_ascii
_NOT_INDENTED = re.compile(rb"(?m)^[^ \n]")
_OWN_TIME = rb"\d\d:\d\d:\d\d "
#: Bytes that may do something to a terminal; tab and the end of a line do nothing bad.
_ODD = bytes(code for code in (*range(32), 127) if code not in b"\t\n")
#: What of an odd text may pass as it is: a carriage return at the end of a line is dropped, colours stay.
_COLOUR_OR_ONE = re.compile("(\x1b\\[[0-9;:]*m)|(\r+$)|(.)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines of one stream: `data` ends with a newline, unless it is a piece of a line, or the last one.

    `clock` is the moment as HH:MM:SS, `moment` as ISO 8601 in UTC; `continued`: the first line goes on with
    one of which a piece was written before.
    """

    name: str
    stream: str
    data: bytes
    clock: str
    moment: str
    continued: bool = False

    @property
    def count(self) -> int:
        """Return how many lines it has."""
        return self.data.count(b"\n") + (not self.data.endswith(b"\n"))


def batch_at(at: float, name: str, stream: str, data: bytes, continued: bool = False) -> Batch:
    """Return the batch of lines that came at `at`, in seconds since 1970."""
    return Batch(name, stream, data, *_moments(int(at * 1000)), continued)


def whole(data: bytes, *, full: bool, last: bool) -> int:
    """Return how many bytes of `data`, the beginning of a pipe, can be taken as a batch; 0 for none yet.

    `full`: nothing more fits into the pipe. `last`: nothing more will come.
    """
    end = data.rfind(b"\n") + 1
    if end or not (full or last):
        return end
    return len(data)


def traceback_begins(data: bytes) -> int | None:
    """Return where a traceback begins of which whole lines `data` have not all; None if there is none."""
    at = data.rfind(TRACEBACK)
    if at < 0:
        return None
    begin = data.rfind(b"\n", 0, at) + 1
    if data.endswith(_CHAINED) or not _NOT_INDENTED.search(data, at + len(TRACEBACK)):
        return begin
    return None


def first_half(data: bytes) -> bytes:
    """Return the first lines of `data`, about half of its bytes; all of it if it has only one."""
    end = data.rfind(b"\n", 0, len(data) // 2) + 1 or data.find(b"\n") + 1
    return data[:end] if end else data


def for_terminal(batch: Batch) -> bytes:
    """Return `HH:MM:SS name | line`, with nothing in it that plays tricks with a terminal but colours."""
    head = f"{batch.clock} {batch.name} "
    return _dressed(batch, visible(batch.data), head + "| ", head + "+ ", head)


def for_file(batch: Batch) -> bytes:
    """Return `MOMENT name | line`; the line's bytes are as they came."""
    head = f"{batch.moment} {batch.name} "
    return _dressed(batch, batch.data, head + "| ", head + "+ ", head)


def for_ring(batch: Batch) -> bytes:
    """Return `MOMENT name stream | line`, which ring.py reads again."""
    head = f"{batch.moment} {batch.name} "
    stream = f"{head}{batch.stream} "
    return _dressed(batch, batch.data, stream + "| ", stream + "+ ", head + "own | ")


def as_json(batch: Batch) -> bytes:
    """Return an object for each line: time, name, stream, line; or data, where the line is one itself.

    A piece that goes on with the line before has `"continued": true`.
    """
    facts = {"time": batch.moment, "name": batch.name, "stream": batch.stream}
    head = json.dumps(facts)[:-1]
    own_head = json.dumps({**facts, "stream": "own"})[:-1]
    own = _own_mark(batch)
    out = []
    body = _ended(batch.data)[:-1].decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    for line in body.split("\n"):
        if own and (found := own.match(line.encode())):
            out.append(f'{own_head}, "line": {_quoted(line[found.end() :])}}}\n')
        elif line.startswith("{") and (inner := _object(line)) is not None:
            out.append(f'{head}, "data": {json.dumps(inner)}}}\n')
        else:
            out.append(f'{head}, "line": {_quoted(line)}}}\n')
    if batch.continued:
        out[0] = out[0][:-2] + ', "continued": true}\n'
    return "".join(out).encode()


def visible(data: bytes) -> bytes:
    """Return `data` with escapes for all that moves a cursor, turns text around or is no UTF-8."""
    # Counting by translate is three times as fast as any search.
    if len(data.translate(None, _ODD)) == len(data) and (data.isascii() or _prints(data)):
        return data
    text = data.decode("utf-8", "backslashreplace")
    return _COLOUR_OR_ONE.sub(_escaped, text).encode("utf-8", "backslashreplace")


def _moments(ms: int) -> tuple[str, str]:
    """Return the local HH:MM:SS and the ISO moment in UTC."""
    clock, second = _second(ms // 1000)
    return clock, f"{second}.{ms % 1000:03}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> tuple[str, str]:
    utc = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return time.strftime("%H:%M:%S", time.localtime(seconds)), utc


def _prints(data: bytes) -> bool:
    try:
        return data.decode().replace("\n", "").replace("\t", "").isprintable()
    except UnicodeDecodeError:
        return False


def _escaped(found: re.Match[str]) -> str:
    colour, returns, one = found.groups()
    if colour or returns:
        return colour or ""
    assert one is not None
    return one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode()


def _dressed(batch: Batch, data: bytes, head: str, again: str, own_head: str) -> bytes:
    """Put `head` before each line, `again` before a first line that goes on, `own_head` before our own."""
    body = _ended(data)[:-1]
    first = again if batch.continued else head
    dressed = first.encode() + body.replace(b"\n", b"\n" + head.encode()) + b"\n"
    if own := _own_mark(batch, head):
        return own.sub(own_head.encode().replace(b"\\", b"\\\\"), dressed)
    return dressed


def _own_mark(batch: Batch, head: str = "") -> re.Pattern[bytes] | None:
    """Return what our own lines begin with, after `head`; None if the batch has none for sure."""
    name = batch.name.encode() + b" "
    if b" " + name not in batch.data:
        return None
    return re.compile(b"(?m)^" + re.escape(head.encode()) + _OWN_TIME + re.escape(name))


def _ended(data: bytes) -> bytes:
    return data if data.endswith(b"\n") else data + b"\n"


def _object(line: str) -> dict[str, object] | None:
    """Return the JSON object that a line is; None if it is none, or has numbers that JSON does not know."""
    try:
        found = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refuse(constant: str) -> object:
    raise ValueError(constant)
