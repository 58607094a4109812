"""[master], [logging], [reload], [hooks]: tables that stand once, whose keys know nothing of each other."""

from __future__ import annotations

from collections.abc import Sequence
from posixpath import basename

from procqueue.core.settings.documents import Document
from procqueue.core.settings.environment import placed_target
from procqueue.core.settings.keys import HOOKS, LOGGING, RELOAD, Keys
from procqueue.core.settings.model import LoggingSettings, MasterSettings, ReloadSettings
from procqueue.core.settings.places import placed
from procqueue.core.settings.sections import Reading, Section

OTHERS = {"logging": LOGGING, "reload": RELOAD, "hooks": HOOKS}  # stand in any of the files


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
