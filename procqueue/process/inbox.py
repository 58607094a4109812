"""The inbox: documents of producers without procqueue, decoded here in Python and never in a script."""

from __future__ import annotations

import hashlib

from procqueue.core import wire
from procqueue.drivers.contract import Entry, TakenIn
from procqueue.tasks.ids import new_id


def read_foreign(raw: bytes) -> TakenIn:
    """Return what an entry of the inbox asks for; one that cannot be read goes to `failed`."""
    try:
        document = wire.decode(raw)
    except wire.Unreadable as error:
        # The id comes from the bytes, so that a repeat of this step finds what it stored before.
        id = f"inbox-{hashlib.sha256(raw).hexdigest()[:24]}"
        return TakenIn(raw, Entry(id, raw), str(error))
    id = document.id or new_id()
    return TakenIn(raw, Entry(id, raw, document.delay_ms, document.at_ms, traits=document.traits))
