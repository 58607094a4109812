"""What the registry keeps and a run needs of a task. The task itself, with its pushes, is task.py.

So that who runs a task does not have to know how one is pushed, and no import goes round in a circle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from procqueue.core.policy import Policy
from procqueue.core.settings.model import QueueSettings
from procqueue.tasks.arguments import Arguments
from procqueue.tasks.classes import Instance
from procqueue.tasks.failure import Failure
from procqueue.tasks.options import Options


class Runnable(Protocol):
    """A named callable that handles messages."""

    function: Callable[..., Any]
    name: str
    queue: str
    aliases: tuple[str, ...]
    options: Options
    failed_hook: Callable[[Failure], object] | None
    instance: Instance | None
    is_async: bool

    @property
    def arguments(self) -> Arguments:
        """The signature, ready to bind."""

    @property
    def place(self) -> str:
        """Where it is declared, for people."""

    @property
    def origin(self) -> tuple[str, str]:
        """Which function it is, over re-imports."""

    def policy(self, queue: QueueSettings) -> Policy:
        """Return the policy of a message that came from `queue`."""
