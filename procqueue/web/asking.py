"""What a page, an action or the API is given: who asks, for what, and where answers come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.datastructures import QueryParams

from procqueue.core.settings.model import Settings
from procqueue.process.log import Log
from procqueue.web.credentials import Person
from procqueue.web.cursors import Cursors
from procqueue.web.problems import Problem
from procqueue.web.redaction import Redaction
from procqueue.web.sight import Sight
from procqueue.web.stores import Stores


@dataclass(frozen=True, slots=True)
class Office:
    """What all answers are made of."""

    settings: Settings
    sight: Sight
    stores: Stores
    redaction: Redaction
    cursors: Cursors
    log: Log


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `path`: the parts of the path that have names; `form`: what was posted."""

    office: Office
    person: Person
    path: Mapping[str, str] = field(default_factory=dict)
    query: QueryParams = field(default_factory=QueryParams)
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def queue(self) -> str:
        """The queue in the path, or else in the query. Raises Problem."""
        name = self.path.get("queue") or self.query.get("queue", "")
        if not name:
            raise Problem(400, "say of which queue: ?queue=NAME")
        if name not in self.office.stores.queues:
            raise Problem(404, f"there is no queue {name[:100]!r} in the configuration")
        return name
