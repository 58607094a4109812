"""The types of the public interface: mypy accepts what is right, and reports each mistake."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def errors_in(file: Path, cache: Path) -> dict[int, str]:
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


def test_what_is_right_is_accepted(tmp_path: Path) -> None:
    assert errors_in(HERE / "good.py", tmp_path / "cache") == {}


def test_each_mistake_is_reported_and_nothing_else(tmp_path: Path) -> None:
    file = HERE / "mistakes.py"
    lines = file.read_text().splitlines()

    found = errors_in(file, tmp_path / "cache")

    assert set(found) == {number for number, line in enumerate(lines, 1) if line.endswith("# error")}, found
