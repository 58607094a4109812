"""Where the configuration is, and where a running master is: all that a verb needs which only asks one.

Light to import: `status` is asked again and again. Every failure is a ConfigError that says what to do. What
reads the whole file is config.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from procqueue.core.settings.places import placed, root_of
from procqueue.core.settings.wrong import Wrong

TYPE_CHECKING = False  # without typing, whose import takes longer than all of this
if TYPE_CHECKING:
    from procqueue.core.errors import ConfigError

PLACES = ("procqueue.toml", "etc/queues.toml")
LARGEST_FILE = 16 << 20  # a configuration is never so large; a device or a log named by mistake is


def find(path: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The name of the configuration file: `path`, PROCQUEUE_CONFIG, ./procqueue.toml, ./etc/queues.toml.

    The first two are taken as they are; whether such a file exists shows when it is read. Raises ConfigError.
    """
    named = path or environ.get("PROCQUEUE_CONFIG")
    if named:
        return named
    found = next((place for place in PLACES if os.path.lexists(place)), None)
    if found:
        return found
    text = f"no configuration file: neither {PLACES[0]} nor {PLACES[1]} is in {_here(environ)}"
    hint = "name it by -c FILE or PROCQUEUE_CONFIG, or write one: an app and a [queues.NAME]"
    raise _wrong(PLACES[0], text, hint)


def state_dir_of(path: str | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """The absolute state_dir, for verbs that talk to a running master; the rest of the file may be broken.

    PROCQUEUE_STATE_DIR needs no file at all. Raises ConfigError if there is no file, or no state_dir in it
    that can be read.
    """
    if given := environ.get("PROCQUEUE_STATE_DIR"):
        return absolute(given, environ)
    name = find(path, environ)
    file = absolute(name, environ)
    text = read(name, file).decode("utf-8", errors="replace").removeprefix("\ufeff")
    if "root" not in text and "state_dir" not in text:
        try:
            return placed(root_of(file, ""), "run")
        except Wrong:
            pass  # told below
    from procqueue.core.settings.rescue import state_dir_in

    return state_dir_in(text, file=file, name=name, environ=environ)


def read(name: str, file: str) -> bytes:
    """What is in `file`, which problems call `name`. Raises ConfigError."""
    try:
        with open(file, "rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        problem = _wrong(name, f"there is no file {file}", "mend the name, or write the file")
    except IsADirectoryError:
        problem = _wrong(name, "is a directory", "name the file in it, such as etc/queues.toml")
    except PermissionError:
        problem = _wrong(name, f"user {os.geteuid()} may not read it", "mend its owner or its mode")
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        problem = _wrong(name, f"cannot be read: {getattr(error, 'strerror', error)}", "mend the name")
    else:
        if len(data) <= LARGEST_FILE:
            return data
        problem = _wrong(name, f"is larger than {LARGEST_FILE >> 20} MiB", "name a configuration file")
    raise problem


def absolute(path: str, environ: Mapping[str, str]) -> str:
    """`path` made absolute by the current directory, by the name that the user came by."""
    if "\0" in path:
        raise _wrong(path, "a path cannot hold a NUL character", "mend the name")
    if os.path.isabs(path):
        return os.path.normpath(path)
    return os.path.normpath(os.path.join(_here(environ), path))


def _here(environ: Mapping[str, str]) -> str:
    """The current directory by the name that the user came by.

    getcwd would resolve /srv/app/current, a link that moves with each release, to the release of today; the
    shell keeps the name in PWD. As `pwd -L` does, it is believed if it still means this directory.
    """
    named = environ.get("PWD", "")
    try:
        if os.path.isabs(named) and os.path.samefile(named, "."):
            return named
    except (OSError, ValueError):
        pass
    try:
        return os.getcwd()
    except OSError as error:
        text = f"the current directory cannot be told: {error.strerror}"
        raise _wrong(".", text, "change to a directory that exists") from None


def _wrong(name: str, text: str, hint: str) -> ConfigError:
    from procqueue.core.errors import ConfigError, Problem  # only a mistake pays for it

    return ConfigError([Problem(name, 0, "", text, hint)])
