"""What -c, --state-dir and --json lead to: the settings, or the master to talk to. Light to import."""

from __future__ import annotations

import os

from procqueue import finding
from procqueue.cli.output import say

TYPE_CHECKING = False  # without typing, whose import takes longer than all of this
if TYPE_CHECKING:
    from procqueue.core.settings.model import Settings


class Where:
    """Which configuration, which state directory, and whether the answer is for a program."""

    __slots__ = ("config", "json", "state_dir")

    def __init__(self) -> None:
        self.config: str | None = None
        self.state_dir: str | None = None
        self.json = False

    def settings(self) -> Settings:
        """Return the settings, and say what the file warns of. Raises ConfigError."""
        settings = self.silent_settings()
        for warning in settings.warnings:
            say(f"warning: {warning}")
        return settings

    def silent_settings(self) -> Settings:
        """Return the settings of the file, with the state directory that was asked for."""
        from dataclasses import replace

        from procqueue.config import load

        settings = load(self.config, self._environ())
        if not self._names_state_dir():
            return settings
        return replace(settings, master=replace(settings.master, state_dir=self.state_directory()))

    def state_directory(self) -> str:
        """Return the state directory of the master to talk to. Raises ConfigError if it cannot be told."""
        return finding.state_dir_of(self.config, self._environ())

    def running(self) -> str:
        """Return the same, and say what is wrong with the file if it is broken."""
        state_dir = self.state_directory()
        self.warn_of_file()
        return state_dir

    def warn_of_file(self) -> None:
        """Say what is wrong with the file, where a running master is asked and the file does not matter."""
        if self._names_state_dir():
            return
        from procqueue.core.errors import ConfigError

        try:
            self.silent_settings()
        except ConfigError as error:
            say(f"warning: {error.problems[0]}")
            say("  procqueue check shows all of it; the running master goes on as it is")

    def _names_state_dir(self) -> bool:
        return bool(self.state_dir or os.environ.get("PROCQUEUE_STATE_DIR"))

    def _environ(self) -> dict[str, str]:
        given = {"PROCQUEUE_STATE_DIR": self.state_dir} if self.state_dir else {}
        return {**os.environ, **given}
