"""`procqueue init`: writes what a beginning needs, a unit, an image, a manifest; or reads a supervisord.conf.

Nothing is ever overwritten: what exists is listed, and then nothing is written at all. The texts stand in
beginnings.py and deployment.py; supervisord/ is the translator.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import click

from procqueue.cli import completing
from procqueue.cli.failures import Refusal, usage
from procqueue.cli.options import Where, verb
from procqueue.cli.output import plain, print_json, say, show
from procqueue.core.errors import ConfigError, Problem
from procqueue.core.exits import Exit

if TYPE_CHECKING:
    from procqueue.cli.supervisord.translate import Translation

_KINDS = ("systemd", "docker", "compose", "k8s")
_OUT = "etc/queues.toml"


@verb
@click.argument(
    "kind",
    required=False,
    metavar="[systemd|docker|compose|k8s]",
    shell_complete=completing.words("systemd", "docker", "compose", "k8s"),
)
@click.option("--from", "source", metavar="SUPERVISORD.CONF", help="Translate this file of Supervisor's.")
@click.option("-o", "out", metavar="OUT", help=f"With --from: where to write [{_OUT}].")
@click.option(
    "--order", is_flag=True, help="With --from: let priorities be `after`, which waits until ready."
)
def init(where: Where, kind: str | None, source: str | None, out: str | None, order: bool) -> Exit:
    """Write etc/queues.toml and app_tasks.py to begin with, or what a deployment needs.

    With --from the programs of a supervisord.conf are translated, and a line for each key says what became
    of it. Nothing is ever overwritten.
    """
    if kind is not None and kind not in _KINDS:
        raise usage(
            f"procqueue init writes no {kind!r}", f"it writes {', '.join(_KINDS)}, or alone the beginning"
        )
    if source is None and (out is not None or order):
        raise usage("-o and --order belong to --from SUPERVISORD.CONF")
    if source is not None and kind is not None:
        raise usage("--from stands alone", "translate first, then procqueue init systemd")
    if source is not None:
        return _from(where, source, out or _OUT, order=order)
    if kind is None:
        from procqueue.cli.beginnings import FILES

        return _write(where, FILES, "procqueue start", also=("procqueue.toml",))
    from procqueue.cli.deployment import files_of

    settings = where.settings()
    files, then = files_of(kind, settings, _named(settings.file))
    return _write(where, files, then)


def _named(file: str) -> str:
    """The configuration as seen from here, where it is below."""
    near = os.path.relpath(file)
    return file if near.startswith("..") else near


def _write(where: Where, files: dict[str, str], then: str, also: tuple[str, ...] = ()) -> Exit:
    _refuse_existing([*files, *also])
    for name, text in files.items():
        _create(name, text, 0o666)
    if where.json:
        print_json({"v": 1, "written": list(files)})
        return Exit.OK
    for name in files:
        show(f"written: {name}")
    say(f"next: {then}")
    return Exit.OK


def _refuse_existing(names: list[str]) -> None:
    if there := [name for name in names if os.path.lexists(name)]:
        text = f"exists already: {', '.join(there)}; nothing is written"
        raise Refusal(Exit.FAILED, text, "move it away, or go to another directory", exists=there)


def _create(name: str, text: str, mode: int) -> None:
    try:
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
            file.write(text)
    except PermissionError:
        raise
    except OSError as error:
        raise Refusal(Exit.FAILED, f"{name}: cannot be written: {(error.strerror or '').lower()}") from None


def _from(where: Where, source: str, out: str, *, order: bool) -> Exit:
    import platform

    from procqueue.cli.supervisord.expand import Names, once
    from procqueue.cli.supervisord.reader import Unreadable, read
    from procqueue.cli.supervisord.translate import translate

    _refuse_existing([out])
    host, environ = platform.node(), dict(os.environ)
    try:
        conf = read(source, once(Names({"host_node_name": host}, environ), environ))
    except Unreadable as error:
        raise ConfigError([Problem(error.place.file, error.place.line, "", error.text)]) from None
    found = translate(conf, environ, host, order=order, root=_root(out, conf.here))
    if not found.programs:
        raise Refusal(Exit.FAILED, f"{source}: has no program that can be translated; nothing is written")
    # Variables may be secrets: who may read the one file may read the other.
    _create(out, found.text, stat.S_IMODE(os.stat(source).st_mode) & 0o666)
    if where.json:
        print_json({
            "v": 1, "written": [out], "lines": [line.document() for line in found.lines],
            "names": {theirs: ours for theirs, ours in found.copies}, "unset": list(found.unset),
        })  # fmt: skip
    else:
        _show(found)
        show(f"written: {out}")
    return _check(where, out)


def _show(found: Translation) -> None:
    from procqueue.cli.supervisord.report import MEANINGS

    for line in found.lines:
        show(plain(line))
    show()
    for mark, meaning in MEANINGS.items():
        if count := sum(line.mark is mark for line in found.lines):
            show(f"{mark} {count}  {meaning}")
    show()
    for theirs, ours in found.copies:
        show(f"{plain(theirs)}  is  {ours}")


def _root(out: str, here: str) -> str:
    """What has to be said of the root: nothing, unless the place of the file says nothing."""
    from procqueue.core.settings.places import root_of
    from procqueue.core.settings.wrong import Wrong

    try:
        root_of(os.path.abspath(out), "")
    except Wrong:
        return here
    return ""


def _check(where: Where, out: str) -> Exit:
    """Say at once what `check` would say of the file."""
    from procqueue.config import load

    try:
        settings = load(out)
    except ConfigError as error:
        for problem in error.problems:
            say(f"error: {problem}")
        say(f"written, but it cannot run before this is mended: procqueue check -c {out}")
        return Exit.CONFIG
    for warning in settings.warnings:
        say(f"warning: {warning}")
    if not where.json:
        say(f"next: procqueue start -c {out}")
    return Exit.OK
