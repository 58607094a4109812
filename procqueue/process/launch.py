"""From settings to a running master: the state directory, the imports before the first fork, the loop."""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Collection, Sequence

from procqueue.core.settings.model import QueueSettings, Settings
from procqueue.process import kernel, works
from procqueue.process.consumer.burst import Burst
from procqueue.process.log import Log
from procqueue.process.master import Master
from procqueue.process.statedir import open_state_dir

#: Imported once in the master, so that its children share the pages; a driver's client only if it is used.
_BEFORE_FORK = ("procqueue.process.template", "procqueue.process.scheduler", "procqueue.process.status")
_DRIVERS = {
    "sqlite": "procqueue.drivers.sqlite.driver",
    "redis": "procqueue.drivers.redis.driver",
    "rediss": "procqueue.drivers.redis.driver",
    "unix": "procqueue.drivers.redis.driver",
    "redis+sentinel": "procqueue.drivers.redis.driver",
}


def launch(settings: Settings, only: Collection[str] = ()) -> int:
    """Run the master of `settings` in the foreground until it is asked to stop; return its exit code.

    `only`: the queues to serve, none for all. Raises NotLinux, BadStateDir, Occupied.
    """
    return serve(settings, queues_to_serve(settings, only), settings.master.state_dir)


def queues_to_serve(settings: Settings, only: Collection[str] = ()) -> dict[str, QueueSettings]:
    """Return the enabled queues, or those of them that are named."""
    return {
        name: queue for name, queue in settings.queues.items() if queue.enabled and (not only or name in only)
    }


def serve(
    settings: Settings, queues: dict[str, QueueSettings], state_dir: str, burst: Burst | None = None
) -> int:
    """Run a master for `queues` under `state_dir`; with a burst, until that is done."""
    kernel.require_linux()
    state = open_state_dir(state_dir)
    works.take_over(settings.master.state_dir, state)
    os.chdir(settings.root)
    _import_before_fork((*_BEFORE_FORK, _DRIVERS[settings.driver.scheme]))
    log = Log("master", settings.logging_level, patient=False)
    return Master(settings, queues, state, log, burst).run()


def _import_before_fork(modules: Sequence[str]) -> None:
    for module in modules:
        importlib.import_module(module)
    # What lives now lives for ever: a collection in a child must not touch, and so copy, its pages.
    gc.collect()
    gc.freeze()
