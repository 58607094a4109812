"""The documents in docs/ say what is true: what they show is run, and the tests that they name exist."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents import ROOT, Stranger

GUIDES = sorted((ROOT / "docs").glob("from-*.md"))


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Stranger]:
    made = Stranger(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_a_guide_does_what_it_shows(stranger: Stranger, path: Path) -> None:
    stranger.follow(path.read_text())

    assert stranger.master is not None
    assert stranger.master.wait(30) == 0
    assert stranger.processes() == []
