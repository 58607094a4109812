"""Absences: the master was stopped, frozen or starved, or the machine suspended. It says so, and forgives.

Nobody is ended for a deadline that passed while the master could not look: each deadline leaves what was left
of it when the master last looked. What was said meanwhile is heard first. How it is known: core/vigil.py.
"""

from __future__ import annotations

from typing import Protocol

from procqueue.core import events
from procqueue.core.vigil import Absence
from procqueue.process.copies import Copies
from procqueue.process.former import Former
from procqueue.process.hooks import Hooks
from procqueue.process.liaison import Adoption
from procqueue.process.log import Log
from procqueue.process.lookout import Lookout
from procqueue.process.presence import Presence


class Master(Protocol):
    """Who in the master has deadlines for others."""

    log: Log
    lookout: Lookout
    hooks: Hooks
    copies: Copies
    adoption: Adoption
    former: Former

    def note(self, event: events.Event) -> None:
        """Let the book know what happened."""


class Absences:
    """The absences of one master."""

    def __init__(self, master: Master) -> None:
        self._master = master
        self._presence = Presence()

    def now(self, due: float = float("-inf")) -> float:
        """Return the moment (monotonic), after all was put off that passed while nobody looked."""
        now, absence = self._presence.look(due)
        if absence is not None:
            self._forgive(absence)
        return now

    def _forgive(self, absence: Absence) -> None:
        master = self._master
        how = "the machine was suspended" if absence.suspended else "it was stopped, frozen or starved"
        master.log.warning("slept", seconds=absence.seconds, why=how)
        master.note(events.Away(absence.blind))
        for one in (master.lookout, master.hooks, master.copies, master.adoption, master.former):
            one.put_off(absence.blind)
