"""A supervisord.conf in a directory, translated by the real command and read back by our own loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli

from procqueue.cli.supervisord.expand import Names, once
from procqueue.cli.supervisord.reader import read
from procqueue.cli.supervisord.translate import Translation, translate
from procqueue.config import load
from procqueue.core.settings.model import Settings

ENVIRON = {"PATH": "/usr/bin:/bin", "COLOUR": "blue", "WORDS": "one two", "NUMBER": "7"}
HEAD = "[supervisord]\n"


class Translated:
    """What became of one file."""

    def __init__(
        self, folder: Path, text: str, *, order: bool = False, environ: dict[str, str] = ENVIRON
    ) -> None:
        self.file = folder / "supervisord.conf"
        self.file.write_text(text)
        names = Names({"host_node_name": "machine"}, environ)
        conf = read(str(self.file), once(names, environ))
        self.found: Translation = translate(conf, environ, "machine", order=order)
        self.out = folder / "queues.toml"
        self.out.write_text(self.found.text)
        self.toml: dict[str, Any] = tomli.loads(self.found.text)
        self.environ = environ

    @property
    def settings(self) -> Settings:
        """The settings that our loader makes of it."""
        return load(str(self.out), self.environ)

    def program(self, name: str = "x") -> dict[str, Any]:
        """The table of one program."""
        table: dict[str, Any] = self.toml["processes"][name]
        return table

    def marks(self, key: str) -> list[tuple[str, int]]:
        """The marks that a key has got, each with its line."""
        return [(str(line.mark), line.place.line) for line in self.found.lines if line.key == key]

    def texts(self) -> str:
        """The whole report."""
        return "\n".join(map(str, self.found.lines))
