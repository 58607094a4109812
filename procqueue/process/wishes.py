"""What is wanted: the pools that configuration and control verbs ask for, in the words of the plan."""

from __future__ import annotations

from collections.abc import Mapping

from procqueue.core.plan import Phase, Pool, Wanted
from procqueue.core.settings.model import QueueSettings, Settings
from procqueue.process.application import modules_of

#: The pool of the scheduler, and the beginning of those of templates; no queue can have such a name.
SCHEDULER = "@scheduler"
TEMPLATE = "@template:"
#: A template holds nothing: it leaves at once, or it hangs in an import.
_TEMPLATE_GRACE = 1.0


def wanted(
    settings: Settings, queues: Mapping[str, QueueSettings], phase: Phase, generation: int, *, preloads: bool
) -> Wanted:
    """Return everything that is wanted. `preloads`: templates are used where they may be."""
    templates = queues_by_template(settings, queues) if preloads else {}
    template_of = {name: template for template, names in templates.items() for name in names}
    pools = [
        Pool(
            name,
            queue.processes,
            surge=queue.surge,
            generation=generation,
            start_timeout=queue.start_timeout,
            start_seconds=queue.start_seconds,
            grace=queue.effective_grace(settings.master.grace),
            template=template_of.get(name, ""),
            insists=queue.preload == "always",
        )
        for name, queue in queues.items()
    ]
    made = [_template(name, [queues[q] for q in names], generation) for name, names in templates.items()]
    # The scheduler comes last: it is needed until all others are gone.
    scheduler = Pool(SCHEDULER, 1, surge=0, start_timeout=0.0, last=True)
    return Wanted((*made, *pools, scheduler), phase)


def queues_by_template(settings: Settings, queues: Mapping[str, QueueSettings]) -> dict[str, list[str]]:
    """Return the queues that share a template, by its name: those whose consumers import the same."""
    found: dict[str, list[str]] = {}
    for name, queue in queues.items():
        if queue.preload != "never":
            found.setdefault(TEMPLATE + ",".join(modules_of(settings, queue)), []).append(name)
    return found


def _template(name: str, queues: list[QueueSettings], generation: int) -> Pool:
    # The most patient queue decides: an import that is killed too early helps nobody.
    patience = [queue.start_timeout for queue in queues]
    return Pool(
        name,
        1,
        surge=0,
        generation=generation,
        start_timeout=0.0 if 0.0 in patience else max(patience),
        grace=_TEMPLATE_GRACE,
        is_template=True,
    )
