"""What is wanted: the pools that configuration and wishes by hand ask for, in the words of the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from procqueue.core.events import Reason
from procqueue.core.settings.environment import Environment
from procqueue.core.settings.model import QueueSettings, Settings
from procqueue.core.settings.program import How, ProgramSettings, Restart
from procqueue.core.wanted import Pool, Rules
from procqueue.process.application import modules_of

#: The pool of the scheduler, and the beginning of those of other drivers' and of templates; nothing else can
#: have such a name.
SCHEDULER = "@scheduler"
TEMPLATE = "@template:"
INSPECTOR = "@inspector"
LOGGER = "@logger"
WATCHER = "@watcher"
WEB = "@web"
#: A template holds nothing: it leaves at once, or it hangs in an import.
_TEMPLATE_GRACE = 1.0


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of one pool at present: how many, and of which generation."""

    count: int
    generation: int
    why: Reason = Reason.RELOAD  # the generation was raised
    imports_since: int = 1  # the generation since which it imports what it imports now, and as whom


def of_queues(
    settings: Settings,
    queues: Mapping[str, QueueSettings],
    asks: Mapping[str, Ask],
    templates: Mapping[str, list[str]],
) -> list[Pool]:
    """Return the pools of the queues, and of the templates that their consumers come from.

    `templates`: the queues of each, as queues_by_template says; none if none are used.
    """
    template_of = {name: template for template, names in templates.items() for name in names}
    pools = [
        Pool(
            name,
            asks[name].count,
            surge=queue.surge,
            generation=asks[name].generation,
            fresh=asks[name].why,
            start_timeout=queue.start_timeout,
            start_seconds=queue.start_seconds,
            grace=queue.effective_grace(settings.master.grace),
            template=template_of.get(name, ""),
            template_since=asks[name].imports_since,
            insists=queue.preload == "always",
        )
        for name, queue in queues.items()
    ]
    made = [_template(name, [queues[q] for q in names], asks, names) for name, names in templates.items()]
    return [*made, *pools]


def of_program(program: ProgramSettings, asks: Mapping[str, Ask]) -> list[Pool]:
    """Return one pool for each copy of a program that is asked for."""
    rules = Rules(program.name, program.restart, program.start_retries, program.after)
    # How long it may take to become ready; with time alone there is nothing to wait for.
    patience = 0.0 if program.ready.how is How.TIME else program.start_timeout
    return [
        Pool(
            copy,
            ask.count,
            surge=0,
            generation=ask.generation,
            fresh=ask.why,
            start_timeout=patience,
            grace=program.grace,
            index=int(copy.rpartition(":")[2]),
            rules=rules,
        )
        for copy, ask in asks.items()
        if copy.rpartition(":")[0] == program.name
    ]


def of_scheduler(driver: str) -> Pool:
    """Return the pool of a driver's scheduler: it is needed until all consumers are gone."""
    return Pool(f"{SCHEDULER}:{driver}" if driver else SCHEDULER, 1, surge=0, start_timeout=0.0, last=1)


def is_scheduler(pool: str) -> bool:
    """Return whether it is the pool of a scheduler."""
    return pool.partition(":")[0] == SCHEDULER


def driver_of(scheduler: str) -> str:
    """Return the name of a scheduler's driver, by its pool."""
    return scheduler.partition(":")[2]


def of_logger() -> Pool:
    """Return the pool of the logger: it is needed until everybody else is gone."""
    return Pool(LOGGER, 1, surge=0, start_timeout=0.0, last=2)


def of_inspector(number: int) -> Pool:
    """Return the pool of the inspector, which does its work once for each number: somebody waits for it."""
    rules = Rules(INSPECTOR, Restart.ON_FAILURE, start_retries=None)
    return Pool(INSPECTOR, 1, surge=0, generation=number, start_timeout=30.0, grace=1.0, rules=rules)


def of_watcher() -> Pool:
    """Return the pool of the watcher, which holds nothing."""
    return Pool(WATCHER, 1, surge=0, grace=1.0)


def of_web() -> Pool:
    """Return the pool of the dashboard. Its ports have room for one; it waits until they are free."""
    return Pool(WEB, 1, surge=0, start_timeout=0.0, grace=2.0)


def queues_by_template(
    settings: Settings, queues: Mapping[str, QueueSettings], imports_since: Mapping[str, int]
) -> dict[str, list[str]]:
    """Return the queues that share a template, by its name: those that import alike.

    A name means the same modules and the same environment for ever. `imports_since`: as in Ask.
    """
    found: dict[str, list[str]] = {}
    makers: dict[tuple[tuple[str, ...], Environment], str] = {}
    for name, queue in queues.items():
        if queue.preload != "never":
            modules = modules_of(settings, queue)
            template = TEMPLATE + ",".join(modules)
            if queue.environment != Environment():  # named after the first queue that has it
                since = imports_since.get(name, 1)
                of = f"{name} since {since}" if since > 1 else name
                template = makers.setdefault((modules, queue.environment), f"{template} for {of}")
            found.setdefault(template, []).append(name)
    return found


def _template(name: str, queues: list[QueueSettings], asks: Mapping[str, Ask], names: list[str]) -> Pool:
    # The most patient queue decides: an import that is killed too early helps nobody.
    patience = [queue.start_timeout for queue in queues]
    return Pool(
        name,
        1,
        surge=0,
        generation=max(asks[queue].generation for queue in names),
        start_timeout=0.0 if 0.0 in patience else max(patience),
        grace=_TEMPLATE_GRACE,
        is_template=True,
    )
