"""A real master with a real dashboard, on a port of its own; shared by the tests of a module."""

import contextlib
import itertools
import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.harness import Project
from tests.web.browser import Browser

CONFIG = """
[queues.q]
processes = 1
max_attempts = 1
[queues.idle]
processes = 0
[web]
listen = "127.0.0.1:{port}"
metrics = "127.0.0.1:{metrics}"
{more}
"""

APP = """
@task(queue="q")
def fine(n=0, **kw): say(f"fine {n}")

@task(queue="q")
def bad(n=0, **kw): raise ValueError(f"no user {n}")

@task(queue="q")
def nasty(text="", **kw): raise ValueError(text)
"""


class Site(Project):
    """A project with a dashboard."""

    port = 0
    metrics = 0

    @property
    def token(self) -> str:
        """The token of the printed link."""
        found = re.search(r"#t=([A-Za-z0-9_-]+)", self.output.read_text())
        assert found, self.report()
        return found[1]

    def browser(self, token: str | None = None, **headers: str) -> Browser:
        """Return somebody with a token; "" for somebody without."""
        given = self.token if token is None else token
        return Browser(self.port, {**({"Authorization": f"Bearer {given}"} if given else {}), **headers})

    def wait_for_web(self) -> None:
        """Wait until the dashboard is ready."""
        self.wait_until(lambda: self.status()["web"]["state"] == "ready", "the dashboard to be ready")


Make = Callable[..., Site]


#: Below those that the kernel hands out to whoever connects: one of them may be taken before we listen there.
#: Each worker has its own.
_ports = itertools.count(10_000 + os.getpid() % 440 * 50)


def free_port() -> int:
    """Return a port at which nobody listens, another one each time."""
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("there are ports without end")


@pytest.fixture(scope="module")
def make_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Make sites; they are ended with the module."""
    made: list[Site] = []

    def make(more: str = "", start: bool = True, tokens: str = "") -> Site:
        folder: Path = tmp_path_factory.mktemp("site")
        port, metrics = free_port(), free_port()
        site = Site(folder, CONFIG.format(port=port, metrics=metrics, more=more), APP)
        site.port, site.metrics = port, metrics
        if tokens:
            (folder / "tokens").write_text(tokens)
            (folder / "tokens").chmod(0o600)
        made.append(site)
        if start:
            site.start()
            site.wait_for_web()
        return site

    try:
        yield make
    finally:
        for site in made:
            site.close()


@pytest.fixture(scope="module")
def site(make_site: Make) -> Site:
    """A site that runs, for tests that change nothing that others rely on."""
    return make_site()
