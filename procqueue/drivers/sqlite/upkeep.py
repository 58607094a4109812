"""What people and the scheduler ask of a queue in SQLite beside the way of its messages.

Implements drivers/upkeep.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from procqueue.core.message import State
from procqueue.drivers.contract import MAX_ENTRIES, Entry, Gate, GateState, Pause, Pushed
from procqueue.drivers.sqlite import rows, switches
from procqueue.drivers.sqlite.link import Link, now_ms
from procqueue.drivers.sqlite.rows import Numbers
from procqueue.drivers.sqlite.wake import Wake
from procqueue.drivers.upkeep import RestartMark, Tick, Ticked

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


_TICKS = "SELECT cron, tick_ms, schedule, id FROM crons WHERE queue = ?"
_LAST_TICK = "SELECT tick_ms, id FROM crons WHERE queue = ? AND cron = ?"
_NOTE_TICK = "INSERT OR REPLACE INTO crons (queue, cron, tick_ms, schedule, id) VALUES (?, ?, ?, ?, ?)"
_STANDS = "SELECT seq, state FROM messages WHERE queue = ? AND id = ? AND state <> 'notice'"
_IS_LIVE = "SELECT 1 FROM messages WHERE queue = ? AND id = ? AND state NOT IN ('failed', 'timeout')"


class Upkeep:
    """A part of SqliteDriver: its verbs are transactions like all others."""

    _link: Link
    _wake: Wake

    def pause(self, queue: str, for_ms: int | None) -> Pause:
        """Hand out no message of the queue from now on, for so long, or (None) until it is resumed."""
        with self._link.writing() as db:
            return switches.pause(db, queue, for_ms, now_ms())

    def resume(self, queue: str) -> bool:
        """Hand messages out again, and wake a consumer; True if the queue was paused."""
        with self._link.writing() as db:
            was = switches.resume(db, queue, now_ms())
        self._wake.send(queue)
        return was

    def paused(self, queue: str) -> Pause | None:
        """Return since and until when the queue is paused; None if it is not."""
        with self._link.reading() as db:
            return switches.paused(db, queue, now_ms())

    def set_gate(self, queue: str, state: GateState) -> Gate:
        """Let producers push, or not, from now on."""
        with self._link.writing() as db:
            return switches.set_gate(db, queue, state, now_ms())

    def turn_gate(self, queue: str, was: GateState, state: GateState) -> bool:
        """Turn the gate if it stands at `was`; True if it did."""
        with self._link.writing() as db:
            if switches.gate(db, queue).state is not was:
                return False
            switches.set_gate(db, queue, state, now_ms())
        return True

    def gate(self, queue: str) -> Gate:
        """Return how the gate stands."""
        with self._link.reading() as db:
            return switches.gate(db, queue)

    def mark_restart(self, queue: str) -> RestartMark:
        """Ask all hosts that serve the queue now to restart its consumers."""
        with self._link.writing() as db:
            return switches.mark_restart(db, queue, now_ms())

    def restart_mark(self, queue: str) -> RestartMark | None:
        """Return the last mark, None if there was none."""
        with self._link.reading() as db:
            return switches.restart_mark(db, queue, now_ms())

    def push_tick(self, queue: str, cron: str, tick: Tick, body: bytes | None, *, alone: bool) -> Ticked:
        """Store the message of a tick that is newer than the last of that cron, and note the tick."""
        now = now_ms()
        with self._link.writing(growing=True) as db:
            last, former = db.execute(_LAST_TICK, (queue, cron)).fetchone() or (None, "")
            if last is not None and last >= tick.ms:
                return Ticked.KNOWN
            if body is not None and switches.is_shut(db, queue, inside=False):
                return Ticked.CLOSED
            ticked = Ticked.DONE
            if body is not None and alone and db.execute(_IS_LIVE, (queue, former)).fetchone():
                ticked = Ticked.SKIPPED
            elif body is not None:
                numbers = Numbers.of(db, queue)
                if rows.put(db, numbers, Entry(tick.id, body), now) is Pushed.QUEUED:
                    former = tick.id
                else:
                    ticked = Ticked.DUPLICATE
                numbers.save(db)
            db.execute(_NOTE_TICK, (queue, cron, tick.ms, tick.schedule, former))
        self._wake.send(queue)
        return ticked

    def ticks(self, queue: str) -> dict[str, Tick]:
        """Return how far each cron has come."""
        with self._link.reading() as db:
            return {cron: Tick(*rest) for cron, *rest in db.execute(_TICKS, (queue,))}

    def cancel(self, queue: str, headers: Mapping[str, bytes]) -> Mapping[str, State | None]:
        """Remove what waits or is delayed, mark what is reserved; answer the state each had."""
        states: dict[str, State | None] = {}
        with self._link.writing() as db:
            numbers = Numbers.of(db, queue)
            for id, header in headers.items():
                seq, state = db.execute(_STANDS, (queue, id)).fetchone() or (0, None)
                states[id] = State(state) if state else None
                if state in (State.WAITING, State.DELAYED):
                    rows.remove_cancelled(db, numbers, seq, id, header)
                elif state == State.RESERVED:
                    db.execute(rows.CANCEL, (queue, id, header))
            numbers.save(db)
        self._wake.send(queue)
        return states

    def cancelling(self, queue: str) -> frozenset[str]:
        """Return the reserved messages that were cancelled."""
        with self._link.reading() as db:
            return frozenset(rows.cancelled(db, queue))

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
