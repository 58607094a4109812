"""A place to run the command in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A directory with a configuration and an application; at the end nothing of it may still run."""
    made = Place(tmp_path)
    try:
        yield made
    finally:
        made.close()
