"""How the tests of the configuration read texts, and how they show what came of it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from procqueue.core.errors import ConfigError, Problem
from procqueue.core.settings.decode import Facts, decode, decode_text
from procqueue.core.settings.documents import read_document
from procqueue.core.settings.model import Settings

FILE = "/srv/shop/etc/queues.toml"
APP = 'app = ["shop.tasks"]\n'


def settings(text: str, environ: Mapping[str, str] | None = None, facts: Facts = Facts()) -> Settings:  # noqa: B008
    """The settings of a text that is the whole of /srv/shop/etc/queues.toml."""
    return decode_text(text, file=FILE, environ=environ or {}, facts=facts)


def problems(text: str, environ: Mapping[str, str] | None = None, facts: Facts = Facts()) -> list[Problem]:  # noqa: B008
    """Everything that is wrong with such a text, and there has to be something."""
    with pytest.raises(ConfigError) as caught:
        settings(text, environ, facts)
    return caught.value.problems


def only_problem(text: str, environ: Mapping[str, str] | None = None) -> Problem:
    """The one thing that is wrong with a text."""
    found = problems(text, environ)
    assert len(found) == 1, found
    return found[0]


def settings_of_files(files: Mapping[str, str]) -> Settings:
    """The settings of several files, the main one first."""
    documents = [read_document(name, text) for name, text in files.items()]
    return decode(documents, file=FILE, environ={}, facts=Facts())


def problems_of_files(files: Mapping[str, str]) -> list[Problem]:
    """Everything that is wrong with several files."""
    with pytest.raises(ConfigError) as caught:
        settings_of_files(files)
    return caught.value.problems
