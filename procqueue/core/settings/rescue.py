"""state_dir out of a text that may be broken: what `stop` and `status` need to find a running master.

They must work while somebody is still mending the file, so only root and [master] state_dir are read, line by
line where the text is no TOML. Pure, like its neighbours; the strict reading is decode.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import tomli

from procqueue.core.errors import ConfigError, Problem
from procqueue.core.settings.expand import expand
from procqueue.core.settings.places import placed, root_of
from procqueue.core.settings.texts import filled_path, path
from procqueue.core.settings.wrong import wrongs_of

_HEADER = r"\s*\[+\s*([^\[\]]*?)\s*\]+\s*(?:#.*)?"


def state_dir_in(text: str, *, file: str, name: str, environ: Mapping[str, str]) -> str:
    """The absolute state_dir of the configuration in `text`, whatever else is wrong with it.

    `file` is its absolute path, `name` what problems call it. Raises ConfigError if root or state_dir
    themselves cannot be read.
    """
    tree = _tree(text)
    master = tree.get("master")
    written = master.get("state_dir", "run") if isinstance(master, dict) else "run"
    key = "master.state_dir"
    try:
        state_dir = filled_path(expand(written, environ))
        if state_dir.startswith("/"):
            return placed("/", state_dir)
        key = "root"
        return placed(root_of(file, path(expand(tree.get("root", ""), environ))), state_dir)
    except ValueError as error:
        hint = "mend it, or name the directory with --state-dir or PROCQUEUE_STATE_DIR"
        raise ConfigError([Problem(name, 0, key, wrong.text, hint) for wrong in wrongs_of(error)]) from None


def _tree(text: str) -> dict[str, Any]:
    try:
        return tomli.loads(text)
    except (ValueError, RecursionError):
        return _tree_by_lines(text)


def _tree_by_lines(text: str) -> dict[str, Any]:
    """root and [master] state_dir out of the lines that are TOML by themselves."""
    found: dict[str, Any] = {"master": {}}
    table = ""
    for line in text.replace("\r\n", "\n").split("\n"):
        if header := re.fullmatch(_HEADER, line):
            table = header[1]
            continue
        pairs = _pairs(line)
        inner = pairs if table == "master" else pairs.get("master") if not table else None
        if isinstance(inner, dict) and "state_dir" in inner:
            found["master"]["state_dir"] = inner["state_dir"]
        if not table and "root" in pairs:
            found["root"] = pairs["root"]
    return found


def _pairs(line: str) -> dict[str, Any]:
    if "root" not in line and "state_dir" not in line:
        return {}
    try:
        return tomli.loads(line)
    except (ValueError, RecursionError):
        return {}
