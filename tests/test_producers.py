"""Producers in other languages, as README.md shows them: what each appends to a real store is run.

The programs and their packages are not procqueue's: where one is missing, its test is skipped and says so.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents import PATIENCE, ROOT, Stranger, blocks, commands, section
from tests.servers import start_server

README = (ROOT / "README.md").read_text()
WIRE = section(README, "Wire format, for other languages")
QUICKSTART = section(README, "Your own, in three minutes")

#: The port in the examples.
PORT = "6379"

#: What each example needs beside its program, and how to see whether it is there.
NEEDS = {
    "new Redis": ["php", "-r", "exit(extension_loaded('redis') ? 0 : 1);"],
    "new PDO": ["php", "-r", "exit(extension_loaded('pdo_sqlite') ? 0 : 1);"],
    'from "redis"': ["node", "-p", "require.resolve('redis')"],
}


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Stranger]:
    made = Stranger(tmp_path)
    made.write_files(QUICKSTART)
    yield made
    made.close()


@pytest.fixture
def port(stranger: Stranger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis server on a port of its own, which the configuration names."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = str(free.getsockname()[1])
    server = start_server(tmp_path_factory.mktemp("r"), "--bind", "127.0.0.1", "--port", number)
    with (stranger.folder / "procqueue.toml").open("a") as config:
        config.write(f'[driver]\nurl = "redis://127.0.0.1:{number}/0"\n')
    yield number
    server.stop()


def examples(language: str, store: str) -> list[str]:
    """Return the examples of a language that name a store."""
    found = [command for command, _ in commands(WIRE)] if language == "console" else blocks(WIRE, language)
    return [example for example in found if store in example]


@pytest.mark.parametrize("language", ["console", "php", "js"])
def test_what_another_language_appends_to_redis_is_run(stranger: Stranger, port: str, language: str) -> None:
    (example,) = examples(language, PORT)

    append(stranger, language, example.replace(PORT, port))


@pytest.mark.parametrize("language", ["console", "php"])
def test_what_another_language_appends_to_sqlite_is_run(stranger: Stranger, language: str) -> None:
    (example,) = examples(language, "queue.db" if language == "console" else "sqlite:")

    append(stranger, language, example)


def append(stranger: Stranger, language: str, example: str) -> None:
    """Run an example beside a master; return when its message was handled."""
    name = re.findall(r"Ada|Alan|Barbara|Grace", example)[-1]
    skip_without(language, example, stranger.folder)
    stranger.start("procqueue start")
    stranger.wait_printed("master ready")

    match language:
        case "php":
            (stranger.folder / "push.php").write_text(example)
            done = stranger.run("php push.php")
        case "js":
            (stranger.folder / "push.mjs").write_text(example)
            done = stranger.run("node push.mjs")
        case _:
            done = stranger.run(example)

    assert done.returncode == 0, done.stdout + done.stderr
    stranger.wait_printed(f"welcome, {name}\n")


def skip_without(language: str, example: str, folder: Path) -> None:
    """Skip a test whose program or package this machine does not have."""
    program = {"php": "php", "js": "node"}.get(language) or example.split()[0]
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program} on the PATH")
    for words, question in NEEDS.items():
        if words in example:
            asked = subprocess.run(question, capture_output=True, text=True, timeout=PATIENCE, check=False)
            if asked.returncode != 0:
                pytest.skip(f"{program} has no package for {words!r}")
            if language == "js":  # an import looks beside the file only, and not at NODE_PATH
                modules = next(path for path in Path(asked.stdout).parents if path.name == "node_modules")
                (folder / "node_modules").symlink_to(modules)
