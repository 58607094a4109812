"""The fixtures of the conformance suite: every test runs once for each kind of store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from procqueue.drivers.contract import Driver
from tests.conformance.stores import Store, new_store

KINDS = ("sqlite", "redis", "valkey")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(kind: str) -> Iterator[Store]:
    store = new_store(kind)
    yield store
    store.close()


@pytest.fixture
def driver(store: Store) -> Driver:
    """One connection, for tests in which nobody needs a second."""
    return store.open()
