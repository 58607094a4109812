"""The documents in docs/ say what is true: what they show is run, and the tests that they name exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from procqueue.cli.app import VERBS
from tests.documents import ROOT, Stranger, blocks, commands, rows, section

PAGES = [ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").glob("*.md"))]
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


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_its_verbs_links_and_keys_are_there(path: Path) -> None:
    text = path.read_text()

    verbs = set(re.findall(r"(?:`|^\$ )procqueue ([a-z]+)", text, re.MULTILINE))
    links = re.findall(r"\]\(([^)#:]+)[)#]", text)

    assert verbs <= set(VERBS)
    assert [link for link in links if not (path.parent / link).exists()] == []
    assert len(text.splitlines()) <= 250


def test_the_chinese_readme_shows_the_same_code_and_figures() -> None:
    ours, theirs = ((ROOT / name).read_text() for name in ("README.md", "README.zh-CN.md"))
    ours = ours.partition("\n# Reference\n")[0]

    for language in ("python", "toml"):
        assert blocks(theirs, language) == blocks(ours, language)
    assert [line for line, _ in commands(theirs)][2:] == [line for line, _ in commands(ours)][2:]
    # Each figure, option and key of the English text stands in the Chinese one too.
    assert sorted(set(re.findall(r"`[^`\n]+`", ours)) - set(re.findall(r"`[^`\n]+`", theirs))) == []
    figures = [re.sub(r"```.*?```", "", text, flags=re.DOTALL) for text in (ours, theirs)]
    assert set(re.findall(r"\b\d[\d.]*\b", figures[0])) <= set(re.findall(r"\d[\d.]*\d|\d", figures[1]))


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
