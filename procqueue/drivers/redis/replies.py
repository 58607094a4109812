"""What the scripts answer, as the nouns of procqueue. Nothing here talks to a server."""

from __future__ import annotations

from itertools import count, repeat
from typing import Any

from procqueue.core.errors import Gap, UnknownSession
from procqueue.core.message import NO_COUNTERS, Counters, Owned, Reservation, State, Stored
from procqueue.drivers.contract import Answer, Beat, Lane, Locked, Page, Pushed, Turn

#: So many hex digits of the push sequence (µs, ascending) stand in front of a stored body.
_SEQUENCE = 14

#: What push.lua answers for one entry.
_PUSHED = (Pushed.DUPLICATE, Pushed.QUEUED, Pushed.STORED_ALREADY)

_CLOSED = -2


def pushed(answer: list[int | bytes] | int, queue: str, entries: int, lane: Lane | None) -> list[Answer]:
    """Read the answer of push.lua. Raises Gap, UnknownSession."""
    if isinstance(answer, list):
        return [stored_as(one) for one in answer]
    if answer == _CLOSED:
        return [Pushed.GATE_CLOSED] * entries
    session, number = (lane.session, lane.number) if lane else ("", 0)
    if answer < 0:
        raise UnknownSession(f"queue {queue!r} has no session {session!r}")
    raise Gap(f"session {session!r} of queue {queue!r} has come to {answer}, not {number - 1}", answer)


def stored_as(one: int | bytes) -> Answer:
    """Read what push.lua and inbox.lua answer for one entry."""
    return _PUSHED[one] if isinstance(one, int) else Locked(str(one, "utf-8"))


def turn(queue: str, answer: list[Any]) -> Turn:
    """Read the answer of turn.lua."""
    now_ms, owned_now, first, refused, ids, values, packed = answer
    counters = map(_counters, packed) if packed else repeat(NO_COUNTERS, len(ids))
    taken = [
        Reservation(
            queue, id.decode(), ticket, value[_SEQUENCE:], counted, int(value[:_SEQUENCE], 16) // 1000
        )
        for ticket, id, value, counted in zip(count(first), ids, values, counters, strict=False)
    ]
    return Turn(tuple(map(int, refused)), tuple(taken), owned_now, now_ms)


def consumers(answer: list[bytes], host: str) -> list[str]:
    """Read the answer of consumers.lua: those of one host."""
    known = dict(zip(answer[::2], answer[1::2], strict=True))
    return sorted(str(name, "utf-8") for name, of in known.items() if of == host.encode())


def hosts(answer: list[bytes]) -> tuple[Beat, ...]:
    """Read the answer of beat.lua and beats.lua."""
    known = zip(answer[::2], answer[1::2], strict=True)
    split = ((str(host, "utf-8"), *str(value, "utf-8", "replace").split(" ", 1)) for host, value in known)
    return tuple(sorted((Beat(host, name, int(beat)) for host, beat, name in split), key=lambda b: b.host))


def names(answer: list[bytes]) -> list[str]:
    """Read the answer of consumers.lua: all of them."""
    return [str(name, "utf-8") for name in answer[::2]]


def owned(answer: list[list[Any]]) -> list[Owned]:
    """Read the answer of owned.lua, in the order of the tickets."""
    found = [
        Owned(str(id, "utf-8"), int(ticket), _counters(packed))
        for id, ticket, packed in zip(*answer, strict=True)
    ]
    return sorted(found, key=lambda one: one.ticket)


def page(queue: str, state: State, answer: list[Any]) -> Page:
    """Read the answer of look.lua."""
    now_ms, behind, *rows = answer
    found = tuple(stored(queue, str(id, "utf-8"), state, *rest) for id, *rest in rows)
    return Page(found, str(behind, "utf-8"), now_ms)


def stored(
    queue: str,
    id: str,
    state: State,
    value: bytes,
    packed: bytes | None,
    due: bytes | None,
    history: bytes,
    ended: bytes | None,
) -> Stored:
    """Read one message as look.lua and find.lua answer it."""
    return Stored(
        queue=queue,
        id=id,
        state=state,
        body=value[_SEQUENCE:],
        counters=_counters(packed),
        pushed_ms=_pushed_ms(value),
        due_ms=int(float(due)) if due else None,
        history=tuple(history.splitlines()),
        ended_ms=int(float(ended)) if ended else None,
    )


def _pushed_ms(value: bytes) -> int:
    return int(value[:_SEQUENCE], 16) // 1000


def _counters(packed: bytes | None) -> Counters:
    if not packed:
        return NO_COUNTERS
    try:
        return Counters.unpack(str(packed, "ascii"))
    except ValueError:
        return NO_COUNTERS  # damaged from outside: the message must still be handed out
