"""Whatever happens in whatever order: the laws of simulator.py hold after every pass, what is wanted comes
true once the children work, and a stop ends."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from procqueue.core.events import ForkFailed, Life, Reason
from procqueue.core.wanted import Phase, Pool
from tests.histories.simulator import (
    DELAY_MAX,
    Happening,
    Master,
    away,
    born,
    died,
    disowned,
    leaving,
    loaded,
    over_memory,
    overdue,
    pool,
    ready,
    silent,
    spent,
    unborn,
    unfit,
    worked,
)

#: What a child may do or suffer, and what a person may want; weights make quiet ones common.
TO_A_CHILD = ("ready",) * 6 + ("work",) * 3 + ("spend",) * 3 + ("die",) * 3
TO_A_CHILD += ("load", "leave", "deaf", "overdue", "spare", "memory", "silent", "disown", "import error")
TO_A_TEMPLATE = ("bear",) * 3 + ("refuse", "unfit")
BY_A_PERSON = ("scale", "surge", "reload", "reload broken", "rename", "forks fail", "forks work")
STEPS = TO_A_CHILD + TO_A_TEMPLATE + BY_A_PERSON + ("pass",) * 6 + ("gap", "oversleep", "away")

Step = tuple[str, int, float]  # what, to whom or how many, how much later


@dataclass
class World:
    """Children with a will of their own around a master."""

    master: Master
    deaf: set[str] = field(default_factory=set)  # does not hear that it is to leave
    broken: set[int] = field(default_factory=set)  # generations that do not start
    generation: int = 1

    def step(self, what: str, number: int, later: float) -> None:
        """Let one thing happen `later` seconds later."""
        if what == "oversleep":
            self.master.jump(self.master.now + 7 * later)
        elif what == "away":
            self.master.jump(self.master.now + 7 * later, away(7 * later))
        else:
            self.wait(later * 20 if what == "gap" else later)
        if what in TO_A_CHILD:
            self._to_a_child(what, number)
        elif what in TO_A_TEMPLATE:
            self._to_a_template(what, number)
        elif what in BY_A_PERSON:
            self._by_a_person(what, number)

    def wait(self, seconds: float) -> None:
        """Let time pass; the master wakes whenever it wants to."""
        end = self.master.now + seconds
        while self.master.wake_at is not None and self.master.wake_at < end:
            self.master.at(self.master.wake_at)
        self.master.at(end)

    def rest(self) -> None:
        """Let all children work and obey, but for the deaf, until nothing moves any more."""
        self.broken.clear()
        self.master.can_fork = True
        for _ in range(5_000):
            moving = [h for child in self.master.children() for h in self._obeys(child.id)]
            if moving:
                self.wait(0.13)
                self.master.at(self.master.now, *moving)
            elif self.master.wake_at is not None:
                self.master.at(self.master.wake_at)
            else:
                return
        raise AssertionError(f"never at rest: {self.master.book}")

    def _obeys(self, id: str) -> list[Happening]:
        child = self.master.book.children[id]
        if child.killed or (child.life is Life.STOPPING and id not in self.deaf):
            return [unborn(id) if child.awaits else died(id)]
        if child.awaits:
            return [born(id)]
        return [ready(id)] if child.life is Life.STARTING else []

    def _to_a_child(self, what: str, number: int) -> None:
        children = [child for child in self.master.children() if not child.awaits]
        if not children:
            return
        child = children[number % len(children)]
        if child.killed:
            self.master.at(self.master.now, died(child.id))
        elif what == "deaf":
            self.deaf.add(child.id)
        elif what == "ready" and child.generation in self.broken:
            self.master.at(self.master.now, died(child.id, Reason.IMPORT_ERROR))
        elif what == "spare":
            self.master.looks_well.add(child.id)
            self.master.at(self.master.now, overdue(child.id))
        elif what != "spend" or child.pool != "template":  # a template has no limits
            self.master.at(self.master.now, _happening(what, child.id, child.life))

    def _to_a_template(self, what: str, number: int) -> None:
        ordered = [child for child in self.master.children() if child.awaits]
        if not ordered:
            return
        child = ordered[number % len(ordered)]
        template = self.master.book.children[child.awaits]
        happenings = {
            "bear": [born(child.id)],
            "refuse": [lambda m: ForkFailed(child.pool, m.now, DELAY_MAX), unborn(child.id)],
            "unfit": [unfit(template.pool, template.generation), unborn(child.id)],
        }
        self.master.at(self.master.now, *happenings[what])

    def _by_a_person(self, what: str, number: int) -> None:
        emails = pool(self.master, self.name)
        scheduler = pool(self.master, "scheduler")
        templates = [p for p in self.master.wanted.pools if p.is_template]
        match what:
            case "scale":
                emails = replace(emails, count=number % 7)
            case "surge":
                emails = replace(emails, surge=number % 4)
            case "reload" | "reload broken":
                self.generation += 1
                if what == "reload broken":
                    self.broken.add(self.generation)
                emails = replace(emails, generation=self.generation)
                scheduler = replace(scheduler, generation=self.generation)
                templates = [replace(p, generation=self.generation) for p in templates]
            case "rename":
                emails = replace(emails, name={"emails": "letters", "letters": "emails"}[self.name])
            case "forks fail" | "forks work":
                self.master.can_fork = what == "forks work"
        self.master.wants(*templates, emails, scheduler)

    @property
    def name(self) -> str:
        """The name of the queue: a person may take it out of the file, and put it in again."""
        return self.master.wanted.pools[-2].name


def _happening(what: str, id: str, life: Life) -> Happening:
    match what:
        case "ready" | "work" | "spend" if life is Life.STARTING:
            return ready(id)
        case "ready" | "work":
            return worked(id)
        case "spend":
            return spent(id, Reason.MAX_AGE)
        case "load":
            return loaded(id)
        case "leave":
            return leaving(id, Reason.MAX_MESSAGES)
        case "overdue":
            return overdue(id)
        case "memory":
            return over_memory(id)
        case "silent":
            return silent(id)
        case "disown":
            return disowned(id)
        case "die":
            return died(id)
        case "import error":
            return died(id, Reason.IMPORT_ERROR)
        case _:
            raise AssertionError(what)


def new_world(count: int, surge: int, start_timeout: float = 30.0, preload: str = "never") -> World:
    emails = Pool("emails", count, surge, start_timeout=start_timeout, start_seconds=0.7, grace=5.0)
    templates = []
    if preload != "never":
        emails = replace(emails, template="template", insists=preload == "always")
        templates.append(Pool("template", 1, start_timeout=start_timeout, grace=1.0, is_template=True))
    master = Master(*templates, emails, Pool("scheduler", 1, last=1), draw=0.5)
    master.settle()
    return World(master)


pools = st.builds(
    new_world,
    count=st.integers(0, 6),
    surge=st.integers(0, 3),
    start_timeout=st.sampled_from([0.0, 3.0]),
    preload=st.sampled_from(["never", "auto", "auto", "always"]),
)
moments = st.sampled_from([0.0, 0.0, 0.01, 0.1, 0.3, 0.7, 1.0, 1.1, 3.3])
histories = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 11), moments), max_size=60)
seeds = st.integers(0, 2**32)


def tell(world: World, history: list[Step]) -> None:
    for what, number, later in history:
        world.step(what, number, later)


def draw_history(seed: int, length: int) -> list[Step]:
    draw = random.Random(seed)
    return [(draw.choice(STEPS), draw.randrange(12), draw.expovariate(3.0)) for _ in range(length)]


def assert_as_wanted(world: World) -> None:
    """Exactly the wanted number of each pool, of the wanted generation, all ready, nobody else."""
    found = sorted((c.pool, c.generation, c.life, c.spent) for c in world.master.children())
    wanted = [
        (p.name, p.generation, Life.READY, None)
        for p in world.master.wanted.pools
        for _ in range(is_needed(world, p) if p.is_template else p.count)
    ]
    assert found == sorted(wanted)


def is_needed(world: World, template: Pool) -> bool:
    """True if somebody may have to be forked by a template: not if there is nobody, or it is unfit."""
    emails = pool(world.master, world.name)
    fit = emails.insists or (template.name, template.generation) not in world.master.book.unfit
    return emails.count > 0 and fit


@settings(max_examples=300, deadline=None)
@given(pools, histories)
def test_s1_what_is_wanted_comes_true_once_the_children_work(world: World, history: list[Step]) -> None:
    tell(world, history)

    world.rest()

    assert_as_wanted(world)


@settings(max_examples=150, deadline=None)
@given(pools, histories, st.lists(st.sampled_from(TO_A_CHILD), max_size=8), st.sampled_from([1.0, 7.0]))
def test_a_stop_ends_with_nobody_left(
    world: World, history: list[Step], after: list[str], gap: float
) -> None:
    tell(world, history)

    world.master.stop()
    for number, what in enumerate(after):
        world.step(what, number, gap)
    world.rest()

    assert world.master.finished
    assert not world.master.children()


@settings(max_examples=100, deadline=None)
@given(pools, histories, st.booleans())
def test_a_hard_stop_kills_all_but_the_last_at_once(world: World, history: list[Step], soft: bool) -> None:
    tell(world, history)
    if soft:
        world.master.stop(Phase.STOP)

    world.master.stop(Phase.KILL)

    assert all(c.killed for c in world.master.children() if c.pool != "scheduler")
    world.rest()
    assert world.master.finished


@settings(max_examples=12, deadline=None)
@given(pools, seeds)
def test_long_lives_end_as_wanted(world: World, seed: int) -> None:
    for chapter in range(5):
        tell(world, draw_history(seed + chapter, 300))

        world.rest()

        assert_as_wanted(world)
