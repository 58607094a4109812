"""What a container gives to a stop: after that it kills everything, so our own hard kill has to come before.

Docker waits 10 s and Kubernetes 30 s unless told otherwise; `[master] grace` as a number overrules this.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from procqueue.core.settings.model import Settings

_KUBERNETES = 25.0
_OTHERS = 8.0


def most_grace(environ: Mapping[str, str]) -> tuple[float, str] | None:
    """Return how many seconds a stop may last here, and where this is; None if nobody bounds it."""
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return _KUBERNETES, "Kubernetes"
    if os.getpid() == 1:
        return _OTHERS, "PID 1 of a container"
    return None


def fitted(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """Return the settings with what this place makes of `[master] grace = "auto"`."""
    most = most_grace(environ)
    if most is None or settings.master.grace is not None:
        return settings
    return replace(settings, master=replace(settings.master, grace=most[0]))
