"""Every test of tasks declares its own, and leaves the registry as it found it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from procqueue.tasks import registry


@pytest.fixture(autouse=True)
def clean_registry() -> Iterator[None]:
    before = registry.all_tasks()
    yield
    for task in registry.all_tasks():
        if task not in before:
            registry.forget(task)
