"""What people and the scheduler ask of a queue in SQLite beside the way of its messages (contract.Upkeep)."""

from __future__ import annotations

from procqueue.core.message import State
from procqueue.drivers.contract import MAX_ENTRIES
from procqueue.drivers.sqlite.link import Link, now_ms
from procqueue.drivers.sqlite.wake import Wake

#: Literal states, for the partial indexes. Places grow with time: the oldest are the foremost.
_ALL = "messages WHERE queue = ?1 AND state = 'STATE'"
_OLD = {
    state: f"""
SELECT max(
  iif(?2 > 0, (SELECT count(*) FROM {_ALL}) - ?2, 0),
  iif(?3 > 0, (SELECT count(*) FROM {_ALL} AND ended_ms < ?4), 0)
)""".replace("STATE", state.value)
    for state in (State.FAILED, State.TIMEOUT)
}
_DROP = {
    state: f"""
DELETE FROM messages WHERE seq IN (
  SELECT seq FROM messages WHERE queue = ? AND state = '{state.value}' ORDER BY place LIMIT ?
)"""
    for state in (State.FAILED, State.TIMEOUT)
}


class Upkeep:
    """A part of SqliteDriver: its verbs are transactions like all others."""

    _link: Link
    _wake: Wake

    def trim(self, queue: str, state: State, count: int, age_ms: int) -> int:
        """Drop the oldest of `state` beyond `count`, and those older than `age_ms`; return how many."""
        if state not in _OLD:
            raise ValueError(f"only failed and timeout are kept for a time, not {state.value!r}")
        asked = (queue, count, age_ms, now_ms() - age_ms)
        with self._link.reading() as db:
            old = db.execute(_OLD[state], asked).fetchone()[0]
        if old <= 0:
            return 0
        with self._link.writing() as db:
            old = db.execute(_OLD[state], asked).fetchone()[0]
            return db.execute(_DROP[state], (queue, max(0, min(old, MAX_ENTRIES)))).rowcount
