"""Chunks: a stream of entries cut into what one round trip carries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from procqueue.drivers.contract import MAX_BYTES, Entry


@dataclass(slots=True)
class Chunk:
    """Entries of one queue that are stored together."""

    queue: str
    entries: list[Entry]
    size: int


def chunks(addressed: Iterable[tuple[str, Entry]], most: int) -> Iterator[Chunk]:
    """Yield what goes in one round trip each: one queue, at most `most` entries and MAX_BYTES."""
    chunk = None
    for queue, entry in addressed:
        size = len(entry.body)
        if chunk and (chunk.queue != queue or len(chunk.entries) == most or chunk.size + size > MAX_BYTES):
            yield chunk
            chunk = None
        if chunk is None:
            chunk = Chunk(queue, [], 0)
        chunk.entries.append(entry)
        chunk.size += size
    if chunk:
        yield chunk
