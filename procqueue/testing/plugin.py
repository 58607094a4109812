"""The pytest plugin: the fixtures, and no push into a real store by mistake.

Loaded by every pytest run where procqueue is installed, so it imports nothing of it before it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from procqueue.testing.fake import Fake
    from procqueue.testing.live import Live

_REFUSAL = (
    "a test may not push to a real store by mistake: take the fixture procqueue_fake or procqueue_live, or "
    "mark the test with @pytest.mark.procqueue_real (for all: procqueue_real = true in pytest's ini)"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the one setting."""
    text = "let tests push to the store that the application is connected to"
    parser.addini("procqueue_real", text, type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Add the mark."""
    config.addinivalue_line(
        "markers", "procqueue_real: may push to the store that the process is connected to"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Refuse pushes to a real store while a test runs, with its fixtures, unless it is marked."""
    with ExitStack() as stack:
        if not item.config.getini("procqueue_real") and item.get_closest_marker("procqueue_real") is None:
            from procqueue.standin import refusing

            stack.enter_context(refusing(_REFUSAL))
        return (yield)


@pytest.fixture(scope="session")
def procqueue_config(pytestconfig: pytest.Config) -> str | None:
    """The configuration that tests use: PROCQUEUE_CONFIG, or the project's procqueue.toml or etc/queues.toml.

    Override it to return another path, or None: then there are the queues of the tasks that were imported.
    """
    import os

    from procqueue.finding import PLACES

    if named := os.environ.get("PROCQUEUE_CONFIG"):
        return named
    places = (pytestconfig.rootpath / place for place in PLACES)
    return next((str(place) for place in places if place.exists()), None)


@pytest.fixture
def procqueue_fake(procqueue_config: str | None) -> Iterator[Fake]:
    """Take what is pushed, and run it when the test says so: see procqueue.testing.Fake."""
    from procqueue.standin import standing_in
    from procqueue.testing.fake import Fake
    from procqueue.testing.settings import read

    settings = read(procqueue_config)
    fake = Fake(settings.queues if settings else None)
    with standing_in(fake.producer):
        yield fake


@pytest.fixture
def procqueue_live(procqueue_config: str | None, tmp_path: object) -> Iterator[Live]:
    """Run real consumers on a temporary SQLite file for this test: see procqueue.testing.live.Live."""
    from procqueue.standin import standing_in
    from procqueue.testing.live import Live
    from procqueue.testing.settings import read

    live = Live(read(procqueue_config), str(tmp_path))
    with standing_in(live.producer):
        live.start()
        try:
            yield live
        finally:
            live.stop()
