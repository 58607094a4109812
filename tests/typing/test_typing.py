"""The types of the public interface: mypy and pyright accept what is right, and report each mistake."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

Check = Callable[[Path, Path], dict[int, str]]


def mypy(file: Path, cache: Path) -> dict[int, str]:
    """Line → what mypy --strict says about `file`."""
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--strict-equality", "--no-error-summary",
            "--no-color-output", "--config-file", "", "--cache-dir", cache, file,
        ],
        capture_output=True, text=True, cwd=cache.parent, env={**os.environ, "MYPYPATH": str(ROOT)},
        check=False,
    )  # fmt: skip
    found = re.findall(rf"{re.escape(file.name)}:(\d+): error: (.*)", done.stdout)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert done.returncode == 0 or found, done.stdout + done.stderr
    return {int(line): text for line, text in found}


def pyright(file: Path, folder: Path) -> dict[int, str]:
    """Line → what pyright, in its strict mode, says about `file`."""
    folder.mkdir()
    config = folder / "pyrightconfig.json"
    settings = {"include": [str(file)], "typeCheckingMode": "strict", "extraPaths": [str(ROOT)]}
    config.write_text(json.dumps(settings))
    done = subprocess.run(
        [
            sys.executable, "-m", "basedpyright", "--project", config, "--outputjson",
            "--pythonpath", sys.executable,
        ],
        capture_output=True, text=True, cwd=folder, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["summary"]["filesAnalyzed"] == 1, done.stdout
    return {one["range"]["start"]["line"] + 1: one["message"] for one in told["generalDiagnostics"]}


both = pytest.mark.parametrize("errors_in", [mypy, pyright])


@both
def test_what_is_right_is_accepted(tmp_path: Path, errors_in: Check) -> None:
    assert errors_in(HERE / "good.py", tmp_path / "cache") == {}


@both
def test_each_mistake_is_reported_and_nothing_else(tmp_path: Path, errors_in: Check) -> None:
    file = HERE / "mistakes.py"
    lines = file.read_text().splitlines()

    found = errors_in(file, tmp_path / "cache")

    assert set(found) == {number for number, line in enumerate(lines, 1) if line.endswith("# error")}, found
