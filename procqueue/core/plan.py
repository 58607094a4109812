"""The supervision plan: one pure function from what is wanted and what is to what must be done (law S1).

First start, crash, limit, scale, reload, rolling restart and stop are one road: wanted and actual differ,
so act. Nothing here reads a clock or touches a process; the answer also says when to ask again. Each pass
may be repeated at any time: once an action's event is in the book, the action is not asked for again. After
actions, ask again at once: what they changed may ask for more, and `wake_at` counts only the passing of time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from procqueue.core.book import Book
from procqueue.core.events import Child, Life, Reason
from procqueue.core.programs import Programs
from procqueue.core.wanted import Action, Decision, Fork, Kill, Phase, Pool, Prove, Stop, Wanted

#: After a soft stop of the whole, the child that leaves last gets so long to settle what the others left.
LAST_GRACE = 10.0
#: A template forks within milliseconds. One that has not carried out any order for so long is stuck.
ORDER_PATIENCE = 10.0
#: The grace of those of whom nobody knows what they were promised.
_GRACE = 25.0


def decide(wanted: Wanted, book: Book, now: float) -> Decision:
    """Return what must be done so that what is becomes what is wanted."""
    strangers = _strangers(wanted, book)
    programs = Programs(wanted, book, now)
    actions: list[Action] = []
    for pool in wanted.pools:
        kills = list(_kills(pool, book, now))
        actions += kills
        if pool.rules is not None:
            pass  # all of them below, in one go
        elif pool.is_template and wanted.phase is Phase.RUN:
            actions += _templates(pool, wanted, book, now)
        elif wanted.phase is Phase.RUN or (pool.last and _is_needed(pool, wanted, book)):
            actions += _running(pool, book, now, {kill.id for kill in kills})
        elif pool.last:
            actions += _stops(pool, book, Reason.STOP, now + LAST_GRACE)
        else:
            actions += _ending(pool, book, wanted.phase, Reason.STOP, now)
    actions += _of_programs(programs, wanted, book)
    for pool in strangers:
        actions += _kills(pool, book, now)
        actions += _ending(pool, book, wanted.phase, Reason.SCALE, now)
    finished = wanted.phase is not Phase.RUN and not book.children
    return Decision(tuple(_once(actions)), _wake_at(wanted, programs, strangers, book, now), finished)


def _is_needed(pool: Pool, wanted: Wanted, book: Book) -> bool:
    """True if somebody lives who leaves before the children of this pool."""
    last = {other.name: other.last for other in wanted.pools}
    return any(last.get(child.pool, 0) < pool.last for child in book.children.values())


def _of_programs(programs: Programs, wanted: Wanted, book: Book) -> Iterator[Action]:
    match wanted.phase:
        case Phase.RUN:
            yield from programs.running()
        case Phase.STOP:
            yield from programs.ending()
        case Phase.KILL:
            copies = [pool.name for pool in wanted.pools if pool.rules is not None]
            yield from (Kill(c.id, Reason.STOP) for name in copies for c in book.of(name) if not c.killed)


def _strangers(wanted: Wanted, book: Book) -> list[Pool]:
    """Return the pools that have children though nobody wants them any more."""
    known = {pool.name for pool in wanted.pools}
    names = sorted({c.pool for c in book.children.values()} - known)
    return [Pool(name, 0, grace=wanted.graces.get(name, _GRACE)) for name in names]


def _ending(pool: Pool, book: Book, phase: Phase, reason: Reason, now: float) -> Sequence[Kill | Stop]:
    if phase is Phase.KILL:
        return [Kill(c.id, reason) for c in book.of(pool.name) if not c.killed]
    return _stops(pool, book, reason, now + pool.grace)


def _once(actions: list[Action]) -> Iterator[Action]:
    """Drop a stop of a child that is killed in the same pass, and a second kill of it."""
    killed: set[str] = set()
    for action in sorted(actions, key=lambda a: not isinstance(a, Kill)):
        if isinstance(action, Kill | Stop) and action.id in killed:
            continue
        if isinstance(action, Kill):
            killed.add(action.id)
        yield action


def _kills(pool: Pool, book: Book, now: float) -> Iterator[Kill]:
    for child in book.of(pool.name):
        if child.killed:
            continue
        if child.over_memory:
            yield Kill(child.id, Reason.MEMORY_HARD)
        elif child.overdue:
            yield Kill(child.id, Reason.TIMEOUT)
        elif child.silent:
            yield Kill(child.id, Reason.SILENT)
        elif child.stop_by is not None and now >= child.stop_by:
            yield Kill(child.id, child.leaving or Reason.STOP)
        elif _deadline(pool, child, book) <= now:
            yield Kill(child.id, Reason.START_TIMEOUT)


def _deadline(pool: Pool, child: Child, book: Book) -> float:
    """Return when a child is late with its start or, being a template, with what was ordered of it."""
    late = float("inf")
    # A consumer that has its code may wait for the store. A template waits for nobody.
    if child.life is Life.STARTING and not child.awaits and (pool.is_template or not child.loaded):
        late = child.started + (pool.start_timeout or late)
    if pool.is_template and (orders := book.ordered_of(child.id)):
        late = min(late, max(orders[0].started, child.answered) + ORDER_PATIENCE)
    return late


# Templates (law S3).


def _templates(pool: Pool, wanted: Wanted, book: Book, now: float) -> Iterator[Fork | Stop]:
    """Have one template of each generation that is needed. Whoever dies is replaced, its children live on."""
    needed = _generations(pool, wanted, book)
    alive = [c for c in book.of(pool.name) if c.life is not Life.STOPPING]
    for generation in sorted(needed - {c.generation for c in alive}):
        if now >= book.pulse(pool.name).start_at(generation):
            yield Fork(pool.name, 0, generation)
    for child in book.of(pool.name):
        if child.stop_by is None and not child.killed:
            if child.life is Life.STOPPING:
                yield Stop(child.id, child.leaving or Reason.STOP, now + pool.grace)
            elif child.generation not in needed:
                why = Reason.SCALE if child.generation == pool.generation else Reason.RELOAD
                yield Stop(child.id, why, now + pool.grace)


def _generations(template: Pool, wanted: Wanted, book: Book) -> set[int]:
    """Return the generations that are forked of: the old one too, until the new one is proved."""
    found: set[int] = set()
    for pool in wanted.pools:
        if pool.template == template.name and pool.count:
            both = {pool.generation, _trusted(pool, book)}
            found |= {g for g in both if not _does_without(pool, g, book)}
    return found


def _does_without(pool: Pool, generation: int, book: Book) -> bool:
    """True if the children of this generation import the application themselves."""
    if not pool.template or generation < pool.template_since:
        return True  # those of before import something else, or with other variables
    return not pool.insists and (pool.template, generation) in book.unfit


def _maker(pool: Pool, generation: int, book: Book, now: float) -> str | None:
    """Return who forks a child now: a template, "" for the master itself, None for nobody yet.

    While a template is being made, one waits for it: it began its import sooner than the child would begin
    its own, so the child is ready sooner; and what the template cannot import, the child cannot either.
    """
    if now < book.pulse(pool.name).start_at(generation):
        return None
    if _does_without(pool, generation, book):
        return ""
    fit = [c for c in book.of(pool.template) if c.generation == generation and c.life is Life.READY]
    return fit[0].id if fit else None


def _stops(pool: Pool, book: Book, reason: Reason, stop_by: float) -> list[Stop]:
    return [Stop(c.id, reason, stop_by) for c in book.of(pool.name) if c.stop_by is None and not c.killed]


@dataclass(frozen=True, slots=True)
class _Roster:
    """The children of a pool that neither leave nor were told to, sorted by what is to become of them."""

    staff: list[Child]  # all but canaries and abandoned ones
    old: list[Child]  # of the staff: to be replaced
    canaries: list[Child]  # of a generation that is not proved yet: nothing is replaced before it is
    abandoned: list[Child]  # of a generation that was replaced by a newer one before it was proved
    trusted: int  # the generation that replaces the dead

    @property
    def young(self) -> list[Child]:
        return [c for c in self.staff if c not in self.old]


def _trusted(pool: Pool, book: Book) -> int:
    """Return the generation that replaces the dead: the one that is proved.

    If none is when a newer one is wanted, what is ready counts as proved: its trial was interrupted.
    """
    if (proved := book.proved.get(pool.name)) is not None:
        return proved
    children = book.of(pool.name)
    if any(child.generation == pool.generation for child in children):
        return pool.generation  # it has begun to replace
    ready = [c.generation for c in children if c.life is Life.READY and not c.disowned]
    return max((g for g in ready if g < pool.generation), default=pool.generation)


def _roster(pool: Pool, book: Book, trusted: int) -> _Roster:
    unproved = trusted != pool.generation
    alive = [c for c in book.of(pool.name) if c.life is not Life.STOPPING and not c.disowned]
    canaries = [c for c in alive if unproved and c.generation == pool.generation]
    abandoned = [c for c in alive if unproved and c.generation > trusted and c not in canaries]
    staff = [c for c in alive if c not in canaries and c not in abandoned]
    old = [c for c in staff if c.spent is not None or (not unproved and c.generation != trusted)]
    return _Roster(staff, old, canaries, abandoned, trusted)


def _running(pool: Pool, book: Book, now: float, doomed: set[str]) -> Iterator[Action]:
    """`doomed`: those that are killed in this pass. They are not counted on, nor replaced before they are."""
    proved = book.proved.get(pool.name)
    nobody = pool.count == 0 and not book.of(pool.name) and proved is not None  # nothing to be protected
    if proved != pool.generation and (nobody or _has_stood(pool, book, now)):
        yield Prove(pool.name, pool.generation)
        roster = _roster(pool, book, pool.generation)
    else:
        trusted = _trusted(pool, book)
        if proved is None and trusted != pool.generation:
            yield Prove(pool.name, trusted)
        roster = _roster(pool, book, trusted)
    for child in book.of(pool.name):
        if child.life is Life.STOPPING and child.stop_by is None and not child.killed:
            # It leaves of itself: from now on it has a deadline like those that were told to.
            yield Stop(child.id, child.leaving or Reason.STOP, now + pool.grace)
        elif child.disowned and child.stop_by is None and not child.killed:
            # What it holds is another host's by now: nothing is gained by waiting for its successor.
            yield Stop(child.id, Reason.DISOWNED, now + pool.grace)
    yield from _surplus(pool, roster, now, doomed)
    yield from _missing(pool, roster, book, now)


def _has_stood(pool: Pool, book: Book, now: float) -> bool:
    return any(now >= at for at in _trials(pool, book))


def _trials(pool: Pool, book: Book) -> Iterator[float]:
    """Yield the moments at which children of the wanted generation prove it."""
    for c in book.of(pool.name):
        if c.generation == pool.generation and c.ready is not None and not c.killed:
            yield c.ready if c.spent is not None else c.ready + pool.start_seconds


def _surplus(pool: Pool, roster: _Roster, now: float, doomed: set[str]) -> Iterator[Stop]:
    """Tell those to leave whose place is taken: first who is to be replaced, then who is too many."""
    leaving = _replaced(pool, roster, doomed)
    for child in leaving:
        yield Stop(child.id, _why(pool, child), now + pool.grace)
    old = len([c for c in roster.old if c not in leaving])
    beside = min(pool.surge - len(roster.canaries), old) if pool.count else 0
    room = pool.count + max(0, beside)
    too_many = len(roster.staff) - len(leaving) - room
    starting = sorted((c for c in roster.young if c.life is Life.STARTING), key=lambda c: -c.index)
    never = starting[: max(0, too_many)] + (roster.canaries if pool.count == 0 else [])
    for child in never:
        yield Stop(child.id, Reason.SCALE, now + pool.grace)
    for child in roster.abandoned:
        yield Stop(child.id, Reason.RELOAD, now + pool.grace)


def _replaced(pool: Pool, roster: _Roster, doomed: set[str]) -> list[Child]:
    """Return as many as the pool can spare without falling below its count of those that are ready."""
    old = [c for c in roster.old if c.id not in doomed]
    ready = [c for c in roster.young if c.life is Life.READY and c.id not in doomed]
    # An old one that still starts does not work yet: it goes before the ones that do, and costs nothing.
    old.sort(key=lambda c: (c.life is Life.READY, c.spent is None, c.started))
    ready.sort(key=lambda c: -c.index)
    spare = len(old) + len(ready) - pool.count
    if pool.surge == 0 and old and spare == 0:
        spare = 1  # no room for a successor beside it: it makes place first
    return (old + ready)[: max(0, spare)]


def _why(pool: Pool, child: Child) -> Reason:
    if child.spent is not None:
        return child.spent
    return Reason.SCALE if child.generation == pool.generation else pool.fresh


def _missing(pool: Pool, roster: _Roster, book: Book, now: float) -> Iterator[Fork]:
    """Fill up to the count from the trusted generation, then bring a canary, then successors."""
    maker = _maker(pool, roster.trusted, book, now)
    absent = pool.count - len(roster.staff)
    if maker is not None:
        for index in _free({c.index for c in roster.staff}, absent):
            yield Fork(pool.name, index, roster.trusted, maker)
    extra = max(0, -absent)
    canaries = len(roster.canaries)
    if _wants_canary(pool, roster, extra):
        # Also beside empty places: if the trusted generation cannot start, only the new one helps.
        makes_canary = _maker(pool, pool.generation, book, now)
        if makes_canary is not None:
            yield Fork(pool.name, 0, pool.generation, makes_canary)
            canaries = 1
    if maker is not None and absent <= 0:
        successors = min(pool.surge - extra - canaries, len(roster.old) - extra)
        for index in _free({c.index for c in roster.young}, successors):
            yield Fork(pool.name, index, roster.trusted, maker)


def _wants_canary(pool: Pool, roster: _Roster, extra: int) -> bool:
    if roster.trusted == pool.generation or roster.canaries or pool.count == 0:
        return False
    return extra < max(pool.surge, 1)


def _free(taken: set[int], number: int) -> list[int]:
    found: list[int] = []
    index = 0
    while len(found) < number:
        if index not in taken:
            found.append(index)
        index += 1
    return found


def _wake_at(
    wanted: Wanted, programs: Programs, strangers: list[Pool], book: Book, now: float
) -> float | None:
    moments: list[float] = []
    for pool in (*wanted.pools, *strangers):
        for child in book.of(pool.name):
            if not child.killed:
                moments.append(_deadline(pool, child, book))
                moments += [] if child.stop_by is None else [child.stop_by]
    if wanted.phase is Phase.RUN:
        moments += programs.moments()
    for pool in wanted.pools:
        if pool.rules is None and (wanted.phase is Phase.RUN or pool.last):
            moments += _start_moments(pool, wanted, book)
    later = [at for at in moments if now < at < float("inf")]
    return min(later) if later else None


def _start_moments(pool: Pool, wanted: Wanted, book: Book) -> list[float]:
    pulse = book.pulse(pool.name)
    if pool.is_template:
        return [pulse.start_at(g) for g in _generations(pool, wanted, book)]
    proved = book.proved.get(pool.name)
    trials = list(_trials(pool, book)) if proved != pool.generation else []
    return [pulse.start_at(g) for g in {_trusted(pool, book), pool.generation}] + trials
