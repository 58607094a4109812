"""The stores of the conformance suite, and a queue in one of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from procqueue.drivers.contract import Driver
from procqueue.stored.queue import Queue
from tests.conformance.stores import QUEUE, Store, new_store


@pytest.fixture(params=("sqlite", "redis"))
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    store = new_store(str(request.param))
    yield store
    store.close()


@pytest.fixture
def driver(store: Store) -> Driver:
    return store.open()


@pytest.fixture
def queue(driver: Driver) -> Queue:
    return Queue(QUEUE, driver)
