"""What has failed, in groups of the same task and the same kind of error."""

from __future__ import annotations

from functools import partial
from typing import Any

from procqueue.core.errors import DriverError
from procqueue.core.filters import Filters
from procqueue.core.message import State
from procqueue.drivers.contract import Driver
from procqueue.stored.browse import MOST_LOOKED_AT, Grouped, browse_groups
from procqueue.stored.groups import OTHERS
from procqueue.web import filters
from procqueue.web.asking import Ask
from procqueue.web.documents import of_group
from procqueue.web.stores import TooBusy

#: So many queues with failures are looked through for one page.
_MOST_QUEUES = 20


async def failed(ask: Ask) -> dict[str, Any]:
    """Return the groups of one queue (?queue=), or of those with the most failures."""
    which = filters.filters_of(ask.query, ask.office.redaction)
    seen = await ask.office.sight.look()
    counts = {name: queue["counts"]["failed"] or 0 for name, queue in seen.status.get("queues", {}).items()}
    one = ask.query.get("queue")
    names = [ask.queue] if one else sorted((n for n in counts if counts[n]), key=lambda n: -counts[n])
    most = MOST_LOOKED_AT // max(1, min(len(names), _MOST_QUEUES))
    groups: list[dict[str, Any]] = []
    cut: list[dict[str, Any]] = []  # where only a part was looked through
    away: dict[str, str] = {}
    for name in names[:_MOST_QUEUES]:
        try:
            found = await ask.office.stores.look(name, partial(_groups, queue=name, filters=which, most=most))
        except (DriverError, TooBusy) as error:
            away[name] = str(error) or "too many ask at once"
            continue
        groups += [of_group(group, name) for group in found.groups]
        if not found.complete:
            cut.append({"queue": name, "looked": found.looked, "of": counts.get(name)})
    return {
        "v": 1,
        "groups": sorted(groups, key=lambda group: -group["count"]),
        "others": OTHERS,
        "cut": cut,
        "left_out": names[_MOST_QUEUES:],
        "away": away,
        "queue": one or "",
        "queues": sorted(counts),
        "filters": filters.written(ask.query),
        "wrong": seen.wrong,
        "age": seen.age,
    }


def _groups(driver: Driver, queue: str, filters: Filters, most: int) -> Grouped:
    return browse_groups(driver, queue, State.FAILED, filters, most)
