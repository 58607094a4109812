"""[master], [logging], [reload], [hooks], [web]: tables that stand once, of which none knows another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from posixpath import basename

from procqueue.core.settings.documents import Document
from procqueue.core.settings.environment import placed_target
from procqueue.core.settings.keys import HOOKS, LOGGING, RELOAD, WEB, Keys
from procqueue.core.settings.model import LoggingSettings, MasterSettings, ReloadSettings
from procqueue.core.settings.places import placed
from procqueue.core.settings.sections import Reading, Section
from procqueue.core.settings.web import OPEN_HINT, Listen, WebSettings, why_open

OTHERS = {"logging": LOGGING, "reload": RELOAD, "hooks": HOOKS, "web": WEB}  # stand in any of the files


def section_of(reading: Reading, documents: Sequence[Document], table: str, keys: Keys) -> Section:
    """The one [`table`] in the documents; that there is no second one is checked elsewhere."""
    sections = [reading.section(document, (table,), keys) for document in documents]
    return next((section for section in sections if section.written), sections[0])


def read_master(section: Section, root: str) -> MasterSettings:
    """[master]."""
    values = {"state_dir": "run", **section.values}
    values["state_dir"] = placed(root, values["state_dir"])
    values["name"] = values.get("name") or basename(root) or "procqueue"
    return MasterSettings(**values)


def read_logging(section: Section, root: str) -> LoggingSettings:
    """[logging]."""
    settings = LoggingSettings(**section.values)
    return LoggingSettings(**{**section.values, "file": placed_target(root, settings.file)})


def read_reload(section: Section, root: str) -> ReloadSettings:
    """[reload]."""
    paths = section.values.get("paths", (".",))
    return ReloadSettings(**{**section.values, "paths": tuple(placed(root, path) for path in paths)})


def read_web(reading: Reading, section: Section, root: str) -> WebSettings:
    """[web]. Who can be reached from elsewhere without credential is a problem."""
    settings = WebSettings(**section.values)
    if (why := why_open(settings)) and not section.unreadable("token_file"):
        reading.wrong(section.document, (*section.path, "listen"), why, OPEN_HINT)
    return replace(
        settings,
        listen=_placed(root, settings.listen),
        metrics=_placed(root, settings.metrics),
        token_file=placed(root, settings.token_file) if settings.token_file else "",
    )


def _placed(root: str, where: Listen | None) -> Listen | None:
    return replace(where, path=placed(root, where.path)) if where and where.path else where
