"""The documents in docs/ say what is true: what they show is run, and the tests that they name exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents import ROOT, Stranger, rows, section

GUIDES = sorted((ROOT / "docs").glob("from-*.md"))
MAP = rows(
    section(
        (ROOT / "ARCHITECTURE.md").read_text(),
        "What Hyperf and think-queue do, and what proves that it is done here",
    )
)


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


def test_the_map_has_every_row_once_and_each_has_a_proof() -> None:
    assert [row[0] for row in MAP] == [f"M{number}" for number in range(1, 32)]
    assert [row[0] for row in MAP if "`tests/" not in row[-1]] == []


@pytest.mark.parametrize("row", MAP, ids=lambda row: row[0])
def test_each_test_that_the_map_names_exists(row: list[str]) -> None:
    named = re.findall(r"`([^`]+)`", row[-1])

    missing = []
    for name in named:
        path, _, function = name.partition("::")
        file = ROOT / path
        tree = ast.parse(file.read_text() if file.is_file() else "")
        if function not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
            missing.append(name)

    assert missing == []
