"""redis-py without its clients.

We use its Connection. Whoever imports that imports the package first, and so the clients, the cluster and
asyncio's: 5 MiB in each tree of processes, and 40 ms in each command (measured, redis-py 8.1). So here, while
a bare module stands in for the package, the modules are imported that we use; then it is taken away again.
An application that imports redis-py later imports the whole, in which these modules are found ready.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import threading
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

_PACKAGE = "redis"
_USED = ("redis.backoff", "redis.connection", "redis.exceptions", "redis.retry")


class _Whole:
    """Finds the package when it is imported after all, and gives it what is imported already as its own."""

    def __init__(self, ready: dict[str, ModuleType]) -> None:
        self._ready = ready

    def find_spec(
        self, name: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return how `name` is imported; None if it is not for us to say."""
        if name != _PACKAGE or (spec := importlib.machinery.PathFinder.find_spec(name, path)) is None:
            return None
        loader: Any = spec.loader
        run = loader.exec_module

        def run_with_what_is_ready(module: ModuleType) -> None:
            vars(module).update(self._ready)
            run(module)

        loader.exec_module = run_with_what_is_ready
        return spec


def _import_without_clients() -> None:
    # Another thread must not find the bare module.
    if _PACKAGE in sys.modules or threading.active_count() > 1:
        return
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None:
        return  # what imports from it will say so
    bare = sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)
    try:
        for name in _USED:
            importlib.import_module(name)
    finally:
        if sys.modules.get(_PACKAGE) is bare:
            del sys.modules[_PACKAGE]
    ready = {name: value for name, value in vars(bare).items() if isinstance(value, ModuleType)}
    sys.meta_path.insert(0, _Whole(ready))


_import_without_clients()

if TYPE_CHECKING:
    from redis import exceptions as exceptions
else:  # that would import the package
    exceptions = importlib.import_module("redis.exceptions")
