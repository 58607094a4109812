"""The dashboard as the master knows it: one more child, whose body is handed in from the layer above.

It asks the control socket and the driver as any verb does; nothing of it is imported before its fork.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from procqueue.core.settings.model import Settings
from procqueue.core.settings.web import Listen, WebSettings
from procqueue.process.lifeline import Lifeline


@dataclass(frozen=True, slots=True)
class Place:
    """What the child is told. `token`: opens it where no token_file is named; the `first` child prints it."""

    settings: Settings
    state_dir: str
    token: str
    first: bool = True


Body = Callable[[Place, Lifeline], int]


@dataclass(slots=True)
class Dashboard:
    """What `start` hands in. `listen`: where it said to listen, which goes before the file.

    `token`: of this start; it stays when the child is replaced, so that the printed link still works.
    """

    body: Body
    listen: Listen | None = None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    _made: int = 0

    def settings(self, settings: Settings) -> WebSettings:
        """Return what is in force."""
        return replace(settings.web, listen=self.listen) if self.listen else settings.web

    def place(self, settings: Settings, state_dir: str) -> Place:
        """Return what the child is told."""
        self._made += 1
        return Place(replace(settings, web=self.settings(settings)), state_dir, self.token, self._made == 1)
