"""What a configuration may say and this version does not do: refused, where to ignore it would do harm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from procqueue.core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from procqueue.core.settings.model import Settings


def refuse_what_is_not_run(settings: Settings) -> None:
    """Raise ConfigError for queues whose consumers are to be somebody else than the master."""
    if problems := list(_users(settings)):
        raise ConfigError(problems)


def _users(settings: Settings) -> Iterator[Problem]:
    for name, queue in settings.queues.items():
        for key in ("user", "group"):
            if queue.enabled and getattr(queue.environment, key):
                origin = queue.origins[key]
                text = "is read and checked, but consumers run as the master's user in this version"
                yield Problem(
                    origin.file, origin.line, f"queues.{name}.{key}", text, "start the master as that user"
                )
