"""Fixtures of the live tests: a store of each kind, and a maker of projects in directories of their own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.live.harness import Project, project
from tests.servers import redis_url

Make = Callable[..., Project]


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest) -> str | None:
    """The URL of a store of each kind; None is the embedded default."""
    return redis_url("redis") if request.param == "redis" else None


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make projects; at the end each is stopped, and nothing of it may be left."""
    with ExitStack() as stack:

        def made(
            config: str, app: str, url: str | None = None, name: str = "project", **more: bool
        ) -> Project:
            folder = tmp_path / name
            folder.mkdir()
            return stack.enter_context(project(folder, config, app, url, **more))

        yield made
