"""Where a master was started, and what follows of it: whether changed files are a reason to reload. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from procqueue.core.settings.model import ReloadSettings


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What `start` found. `reload`: what its flag says, None without one."""

    reload: bool | None = None
    terminal: bool = False  # stdout is one
    init: bool = False  # it is process 1, as in a container

    def watching(self, settings: ReloadSettings) -> tuple[bool, str]:
        """Return whether files are watched, and why."""
        if self.reload is not None:
            return self.reload, "--reload" if self.reload else "--no-reload"
        if settings.enabled != "auto":
            return settings.enabled == "always", "[reload] enabled"
        if self.init:
            return False, "process 1"
        return self.terminal, "terminal" if self.terminal else "no terminal"


#: A master that watches nothing: that of `work`.
UNWATCHED = Circumstances(reload=False)
