"""Who takes part: the contestants' constants, read without importing them, and their environments."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent.parent
HERE = ROOT / "scripts/benchmarks/contestants"
CACHE = ROOT / "run/bench"

#: Where procqueue runs: the environment that runs this.
OURS = "procqueue"


class Absent(Exception):
    """A contestant cannot be measured; the text says why, in a line."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """The constants of one file.

    `command` starts one consumer, or all `{consumers}` if `all_in_one`; `concurrent` does so with
    `{concurrency}` messages at once in each, and is empty where there is no such thing. `measures`: in which
    it takes part, if not in all.
    """

    name: str
    module: str
    environment: str
    settings: str
    survives: str
    command: str
    concurrent: str
    all_in_one: bool
    measures: tuple[str, ...] = ()

    @property
    def keeps(self) -> str:
        """Whether a killed consumer's message comes back, in a few words."""
        return self.survives.partition(",")[0].partition(":")[0]

    @property
    def bin(self) -> Path:
        """Where its Python and its commands are."""
        return Path(sys.executable).parent if self.environment == OURS else CACHE / self.environment / "bin"

    def takes_part(self, measure: str) -> bool:
        """Return whether it is measured by this one."""
        return not self.measures or measure in self.measures

    def commands(self, consumers: int, concurrency: int, folder: Path, url: str) -> list[list[str]]:
        """Return what must be started, as lists of words. Raises Absent if there is no such mode."""
        template = self.concurrent if concurrency else self.command
        if not template:
            raise Absent("one message at a time")
        words = template.format(
            consumers=consumers, concurrency=concurrency, folder=folder, url=url, here=HERE
        ).split()
        return [words] * (1 if self.all_in_one else consumers)


def contestants() -> list[Contestant]:
    """Return all of them, procqueue first, then by name."""
    found = [_read(path) for path in sorted(HERE.glob("*_app.py"))]
    return sorted(found, key=lambda one: one.environment != OURS)


def _read(path: Path) -> Contestant:
    constants: dict[str, Any] = {}
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.Assign([ast.Name(name)], ast.Name(other)) if name in FIELDS:
                constants[name] = constants[other]
            case ast.Assign([ast.Name(name)], value) if name in FIELDS:
                constants[name] = ast.literal_eval(value)
    return Contestant(module=path.stem, **{FIELDS[name]: value for name, value in constants.items()})


FIELDS = {
    name.upper(): name
    for name in (
        "name",
        "environment",
        "settings",
        "survives",
        "command",
        "concurrent",
        "all_in_one",
        "measures",
    )
}


def prepare(environments: set[str]) -> dict[str, str]:
    """Make the environments that are not there yet; return what went wrong, by name."""
    pins = _pins()
    wrong = {}
    for name in sorted(environments - {OURS}):
        try:
            _install(CACHE / name, pins[name])
        except subprocess.CalledProcessError as error:
            wrong[name] = (
                f"its environment cannot be made: {(error.stderr.strip() or str(error)).splitlines()[-1]}"
            )
    return wrong


def _install(folder: Path, pins: list[str]) -> None:
    wanted = "\n".join([sys.version, *pins])
    stamp = folder / "installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"making {folder.relative_to(ROOT)} (once)", file=sys.stderr)
    python = str(folder / "bin/python")
    if shutil.which("uv"):  # as scripts/env does: there may be no ensurepip where uv made .venv
        make = ["uv", "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder)]
        fill = ["uv", "pip", "install", "--quiet", "--python", python, "--compile-bytecode", *pins]
    else:
        make = [sys.executable, "-m", "venv", "--clear", str(folder)]
        fill = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pins]
    for command in (make, fill):
        subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
    stamp.write_text(wanted)


def environment() -> dict[str, str]:
    """Return our environment without what would keep a contestant's Python from caching bytecode."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def version(one: Contestant) -> str:
    """Return its version and that of its Redis client."""
    if one.environment == OURS:
        return f"{metadata.version(OURS)}, redis {metadata.version('redis')}"
    pins = dict(pin.split("==") for pin in _pins()[one.environment])
    client = "coredis" if one.name == "streaq" else "redis"
    extra = f", taskiq-redis {pins['taskiq-redis']}" if one.name == "taskiq" else ""
    return f"{pins[one.name]}{extra}, {client} {pins[client]}"


def _pins() -> dict[str, list[str]]:
    return tomllib.loads((HERE / "versions.toml").read_text())
