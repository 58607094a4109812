"""From settings to a running master: the state directory, the imports before the first fork, the loop."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Collection, Sequence

from procqueue.core.errors import ConfigError
from procqueue.core.settings.model import Settings
from procqueue.core.watching import UNWATCHED, Circumstances
from procqueue.process import kernel, rights, works
from procqueue.process.consumer.burst import Burst
from procqueue.process.container import fitted, most_grace
from procqueue.process.control import GroupRefused
from procqueue.process.dashboard import Dashboard
from procqueue.process.log import Log
from procqueue.process.master import Master
from procqueue.process.statedir import StateDir, leave_state_dir, let_pass, open_state_dir

#: Imported once in the master, so that its children share the pages; a driver's client only if it is used.
_BEFORE_FORK = (
    "procqueue.process.template",
    "procqueue.process.scheduler",
    "procqueue.process.status",
    "procqueue.process.logger.main",
    "procqueue.process.watcher",
)
_DRIVERS = {
    "sqlite": "procqueue.drivers.sqlite.driver",
    "redis": "procqueue.drivers.redis.preload",
    "rediss": "procqueue.drivers.redis.preload",
    "unix": "procqueue.drivers.redis.preload",
    "redis+sentinel": "procqueue.drivers.redis.preload",
}


def launch(
    settings: Settings,
    only: Collection[str] = (),
    reload: bool | None = None,
    dashboard: Dashboard | None = None,
) -> int:
    """Run the master of `settings` in the foreground until it is asked to stop; return its exit code.

    `only`: the queues to serve, none for all. `reload`: whether files are watched; None: as the settings say,
    and where this runs. `dashboard`: what runs where the settings say [web], None for nothing.
    Raises NotLinux, BadStateDir, Occupied, ConfigError.
    """
    terminal = sys.stdout is not None and sys.stdout.isatty()
    circumstances = Circumstances(reload, terminal, init=os.getpid() == 1)
    return serve(settings, settings.master.state_dir, only, circumstances=circumstances, dashboard=dashboard)


def serve(
    settings: Settings,
    state_dir: str,
    only: Collection[str] = (),
    burst: Burst | None = None,
    *,
    captures: bool = True,
    circumstances: Circumstances = UNWATCHED,
    dashboard: Dashboard | None = None,
) -> int:
    """Run a master under `state_dir`; with a burst, until that is done."""
    kernel.require_linux()
    access = rights.access_to_socket(settings)
    state = open_state_dir(state_dir)
    state.access = access
    _let_others_in(state, settings)
    works.take_over(settings.master.state_dir, state)
    os.chdir(settings.root)
    drivers = {_DRIVERS[driver.scheme] for driver in settings.used_drivers.values()}
    _import_before_fork((*_BEFORE_FORK, *sorted(drivers)))
    log = Log("master", settings.logging.level, patient=False)
    if settings.master.grace is None and (most := most_grace(os.environ)):
        log.info("grace", at_most=f"{most[0]:.0f}s", why=most[1], otherwise="[master] grace")
        settings = fitted(settings, os.environ)
    try:
        master = Master(
            settings, state, log, only, burst,
            captures=captures, circumstances=circumstances, dashboard=dashboard,
        )  # fmt: skip
    except GroupRefused as error:
        leave_state_dir(state)
        raise rights.socket_refused(settings, error.strerror or str(error)) from None
    return master.run()


def _let_others_in(state: StateDir, settings: Settings) -> None:
    """Let those pass who have something to look for in there. Raises ConfigError if that is not enough."""
    try:
        if rights.lets_others_pass(settings):
            state.passable = True
            for path in {state.path, settings.master.state_dir}:  # `work` has one below that of the master
                let_pass(path)
        rights.refuse_who_cannot_open(settings)
    except ConfigError:
        leave_state_dir(state)
        raise


def _import_before_fork(modules: Sequence[str]) -> None:
    for module in modules:
        importlib.import_module(module)
    kernel.boot_id()  # each child would read it
    # What lives now lives for ever: a collection in a child must not touch, and so copy, its pages.
    gc.collect()
    gc.freeze()
