"""Where relative paths of the configuration start. Never the current directory: a service has none.

Works on the text of paths alone and resolves no symbolic link, so that /srv/app/current, a link that moves
from release to release, stays what it is called.
"""

from __future__ import annotations

from posixpath import basename, dirname, join, normpath

from procqueue.core.settings.wrong import Wrong

CONFIG_DIRECTORIES = ("etc", "conf", "config")


def root_of(file: str, written: str) -> str:
    """The root: `written` (relative to the directory of `file`), or else what the place of `file` says.

    Raises Wrong where that place says nothing, as /etc/queues.toml does.
    """
    directory = dirname(file)
    if written:
        return placed(directory, written)
    root = dirname(directory) if basename(directory) in CONFIG_DIRECTORIES else directory
    if root == "/":
        raise Wrong(
            f"the application's directory cannot be told from {file}", 'say root = "/path/of/the/application"'
        )
    return root


def placed(root: str, path: str) -> str:
    """`path` made absolute: it starts at `root` unless it is absolute by itself."""
    return normpath(join(root, path))
