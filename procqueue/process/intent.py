"""The intent: everything that is wanted at present, and how it changes (law S1).

Configuration, wishes by hand and raised generations come together here. Whatever a verb asks for only changes
this; what follows of it is the plan's business. An edition is the configuration as it was when a generation
began: a consumer that dies while newer code or settings are not proved comes back as it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from procqueue.core.autoscale import Scaling
from procqueue.core.changes import Change, Need, changes
from procqueue.core.events import Reason
from procqueue.core.names import Known, Targets
from procqueue.core.settings.model import QueueSettings, Settings
from procqueue.core.settings.program import ProgramSettings
from procqueue.core.wanted import Phase, Pool, Wanted
from procqueue.core.watching import UNWATCHED, Circumstances
from procqueue.process import pools
from procqueue.process.application import modules_of
from procqueue.process.dashboard import Dashboard
from procqueue.process.pools import Ask
from procqueue.process.wishes import Wishes


class Intent:
    """What one master is to keep running. `only`: the names that it serves, none for all."""

    def __init__(
        self,
        settings: Settings,
        wishes: Wishes,
        only: Collection[str] = (),
        *,
        preloads: bool = True,
        captures: bool = True,
        circumstances: Circumstances = UNWATCHED,
        dashboard: Dashboard | None = None,
    ) -> None:
        self.settings = settings
        self.dashboard = dashboard
        self._circumstances = circumstances
        self.wishes = wishes
        self.phase = Phase.RUN
        self.generation = 1
        self._only = only
        self._captures = captures  # a logger takes what children print
        self._preloads = preloads  # templates are used where they may be
        self._raised: dict[str, tuple[int, Reason]] = {}  # queue, program or copy → its generation, and why
        self._editions = {1: settings}
        self._graces: dict[str, float] = {}  # of all pools that are wanted, or were
        self._imports_since: dict[str, int] = {}  # queue → as in pools.Ask
        self.scalings: dict[str, Scaling] = {}  # of queues whose number follows the load
        self.looks = 0  # how often the code was to be compared with the disk
        self._at: dict[str, Settings] = {}  # by driver: what belonged to it when it was looked at last
        self.held_at: Callable[[str], Collection[str]] = (
            lambda _driver: ()
        )  # queues that consumers still hold
        self.held = False  # programs wait until those of a former master are gone
        self.read_at = time.time()

    @property
    def queues(self) -> dict[str, QueueSettings]:
        """The queues that this master serves."""
        return {name: q for name, q in self.settings.queues.items() if q.enabled and self._serves(name)}

    @property
    def programs(self) -> dict[str, ProgramSettings]:
        """The programs that this master keeps running."""
        return {name: p for name, p in self.settings.programs.items() if p.enabled and self._serves(name)}

    @property
    def watching(self) -> tuple[bool, str]:
        """Whether changed files are a reason to reload, and why."""
        return self._circumstances.watching(self.settings.reload)

    def edition(self, generation: int) -> Settings:
        """Return the configuration with which children of a generation are made."""
        return self._editions.get(generation, self.settings)

    def known(self) -> Known:
        """Return what NAME may mean."""
        copies = {name: self.copies(program) for name, program in self.programs.items()}
        return Known(tuple(self.queues), copies, self.settings.groups)

    def copies(self, program: ProgramSettings) -> list[str]:
        """Return the names of the copies of a program that are wanted at present."""
        wish = self.wishes.scaled.get(program.name)
        number = program.count if wish is None else wish.number
        return [f"{program.name}:{program.index_start + place}" for place in range(number)]

    def count(self, queue: str) -> int:
        """Return how many consumers of a queue are wanted."""
        if queue in self.wishes.stopped:
            return 0
        if wish := self.wishes.scaled.get(queue):
            return wish.number
        scaling = self.scalings.get(queue)
        return scaling.count if scaling else self.queues[queue].processes

    def at(self, driver: str) -> Settings:
        """Return what a driver's scheduler has to know.

        Queues that were taken from the driver are in it until the last of their consumers has left.
        """
        present = self.settings.of_driver(driver) if driver in self.settings.used_drivers else None
        before = self._at.get(driver, present)
        assert before is not None, f"nobody ever wanted driver {driver!r}"
        after = present or replace(before, queues={}, crons={})
        held = self.held_at(driver)
        left = {name: queue for name, queue in before.queues.items() if name in held}
        self._at[driver] = replace(after, queues={**left, **after.queues})
        return self._at[driver]

    def ok_codes(self, pool: str) -> tuple[int, ...]:
        """Return the exit codes with which a child has done its work; () if it never has."""
        if pool == pools.INSPECTOR:
            return (0,)
        program = self.settings.programs.get(pool.rpartition(":")[0])
        return program.ok_exit_codes if program else ()

    def max_memory_hard(self, pool: str) -> int:
        """Return above how many bytes a child is killed at once; 0: never."""
        table = self.settings.queues.get(pool) or self.settings.programs.get(pool.rpartition(":")[0])
        return table.max_memory_hard if table else 0

    def max_memory(self, copy: str) -> int:
        """Return above how many bytes a copy of a program is replaced; 0: never, as for consumers."""
        program = self.settings.programs.get(copy.rpartition(":")[0])
        return program.max_memory if program else 0

    def delay_max(self, pool: str) -> float:
        """Return the longest pause before a child of a pool is made again."""
        if (program := self.programs.get(pool.rpartition(":")[0])) is not None:
            return program.restart_delay_max
        queues = self.queues
        forks_for = self.templates().get(pool, [pool])
        return min((queues[name].restart_delay_max for name in forks_for if name in queues), default=5.0)

    def wanted(self) -> Wanted:
        """Return everything that is wanted, in the words of the plan."""
        queues = self.queues
        asks = {
            name: Ask(self.count(name), *self.generation_of(name), self.imports_since(name))
            for name in queues
        }
        templates = self.templates() if self._preloads else {}
        found: list[Pool] = pools.of_queues(self.settings, queues, asks, templates)
        for program in self.programs.values():
            found += pools.of_program(
                program, {copy: self._ask(program, copy) for copy in self.copies(program)}
            )
        if self._captures:
            found.append(pools.of_logger())
        if self.watching[0]:
            found.append(pools.of_watcher())
        if self._has_dashboard:
            found.append(pools.of_web())
        if self.looks:
            found.append(pools.of_inspector(self.looks))
        found += map(pools.of_scheduler, self._drivers())
        self._graces |= {pool.name: pool.grace for pool in found}
        return Wanted(tuple(found), self.phase, self._graces)

    def templates(self) -> dict[str, list[str]]:
        """Return the queues of each template, by its name."""
        return pools.queues_by_template(self.settings, self.queues, self._imports_since)

    def imports_since(self, queue: str) -> int:
        """Return the generation since which a queue imports what it imports now, and as whom."""
        return self._imports_since.get(queue, 1)

    def refresh(self, targets: Targets, why: Reason) -> None:
        """Want fresh processes for all that is meant, with the present configuration and code."""
        self._raise((*targets.queues, *targets.copies), why)

    def apply(self, new: Settings) -> list[Change]:
        """Want what a new configuration says; return what differs. If that needs a start, nothing is done."""
        found = changes(self.settings, new)
        found += [
            Change(f"drivers.{name}" if name else "driver", "changed", Need.START)
            for name in self._drivers()  # also those that are about to be given up
            if name not in self.settings.used_drivers
            and self._at[name].driver != new.used_drivers.get(name, self._at[name].driver)
        ]
        if any(change.need is Need.START for change in found):
            return found
        for driver in self._drivers():
            self.at(driver)  # as it is now: what is taken from it is still to be kept house for
        imports = [name for name in new.queues if _imports(self.settings, name) != _imports(new, name)]
        self._imports_since |= dict.fromkeys(imports, self.generation + 1)
        self.settings, self.read_at = new, time.time()
        fresh = [change.name for change in found if change.need is Need.FRESH and change.name]
        if any(change.need is Need.FRESH and not change.name for change in found):
            fresh = [*fresh, *self.queues]  # app, path
        copies = [
            copy for name in fresh if name in self.programs for copy in self.copies(self.programs[name])
        ]
        names = [name for name in dict.fromkeys(fresh) if name in self.queues or name in self.programs]
        self._raise((*names, *copies), Reason.RELOAD)
        return found

    def prune(self, alive: Iterable[int]) -> None:
        """Forget editions that nobody is made with any more. `alive`: generations that live or are proved."""
        used = {*alive, *(generation for generation, _ in self._raised.values()), self.generation, 1}
        self._editions = {g: settings for g, settings in self._editions.items() if g in used}

    @property
    def _has_dashboard(self) -> bool:
        web = self.dashboard.settings(self.settings) if self.dashboard else None
        return web is not None and bool(web.listen or web.metrics)

    def _raise(self, names: Collection[str], why: Reason) -> None:
        if names:
            self.generation += 1
            self._editions[self.generation] = self.settings
            self._raised |= dict.fromkeys(names, (self.generation, why))

    def generation_of(self, name: str) -> tuple[int, Reason]:
        """Return in which generation a queue or copy is wanted, and why that was raised."""
        # A copy that came later is of the generation in which its program was last changed.
        # One that was raised by hand before that too, if it was scaled away meanwhile.
        of_both = [self._raised.get(one, (1, Reason.RELOAD)) for one in (name, name.rpartition(":")[0])]
        return max(of_both, key=lambda raised: raised[0])

    def _ask(self, program: ProgramSettings, copy: str) -> Ask:
        if self.held:
            return Ask(0, *self.generation_of(copy))
        runs = copy not in self.wishes.stopped and (program.autostart or copy in self.wishes.started)
        return Ask(int(runs), *self.generation_of(copy))

    def _drivers(self) -> list[str]:
        """Return the drivers that need a scheduler: those of the queues, and of whoever is still to leave."""
        used = dict.fromkeys(queue.driver for queue in self.queues.values())
        return [*used, *(driver for driver in self._at if driver not in used and self.held_at(driver))]

    def _serves(self, name: str) -> bool:
        return not self._only or name in self._only


def _imports(settings: Settings, name: str) -> tuple[object, ...] | None:
    """Return what the consumers of a queue import, and as whom; None if there is no such queue."""
    queue = settings.queues.get(name)
    return (settings.path, modules_of(settings, queue), queue.environment) if queue else None
