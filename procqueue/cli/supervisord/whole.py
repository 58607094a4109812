"""[supervisord] and its servers and client → [logging], [master], and what all programs get."""

from __future__ import annotations

from collections.abc import Mapping

from procqueue.cli.supervisord import values
from procqueue.cli.supervisord.expand import Unexpandable, has_marks
from procqueue.cli.supervisord.program import Surroundings, variables
from procqueue.cli.supervisord.report import Mark
from procqueue.cli.supervisord.section import Section
from procqueue.cli.supervisord.toml import Value

_LEVELS = {
    "critical": "error", "crit": "error", "error": "error", "erro": "error", "warn": "warning",
    "info": "info", "debug": "debug", "debg": "debug", "trace": "debug", "trac": "debug",
    "blather": "debug", "blat": "debug",
}  # fmt: skip

#: Keys of [supervisord] that have nothing to be translated to.
_WITHOUT = {
    "pidfile": "master.pid stands in state_dir",
    "nodaemon": "start runs in the foreground",
    "silent": "start writes its lines to stdout",
    "minfds": "the limits of the master are those that it is started with",
    "minprocs": "the limits of the master are those that it is started with",
    "childlogdir": "there are no AUTO files: procqueue logs NAME shows the last lines",
    "nocleanup": "there are no AUTO files",
    "strip_ansi": "lines are kept as they are",
    "profile_options": "py-spy looks into any process",
}

_MAIN_FACTORY = "supervisor.rpcinterface:make_main_rpcinterface"
_SERVERS = {"unix_http_server", "inet_http_server", "supervisorctl"}


def surroundings(section: Section) -> Surroundings:
    """What [supervisord] gives to every program: its environment counts as %(ENV_X)s from here on."""
    names = section.names
    text = section.marked("environment")
    env: dict[str, str] = {}
    try:
        env = variables(section, "environment", names.expand(text))  # Supervisor 4.3 expands this twice
    except Unexpandable as error:
        section.refuse("environment", f"{error}; Supervisor expands this key twice")
    if section.says("environment"):
        section.say(Mark.SAME, "environment", f"{len(env)} variables in the env of every program")
    names.constants.update({f"ENV_{name}": item for name, item in env.items()})
    umask = section.typed("umask", values.octal, 0o022) if section.says("umask") else None
    if umask is not None:
        section.say(Mark.SAME, "umask", "umask of every program")
    directory = section.marked("directory")
    if section.says("directory"):
        section.say(Mark.SAME, "directory", "cwd of every program that names none")
    return Surroundings(names, env, directory, umask)


def tables(section: Section, directory: str, *, terminal: bool) -> dict[str, dict[str, Value]]:
    """[logging] and [master] as far as [supervisord] says something of them.

    `terminal`: some program writes there, which it could not if all lines went to one file.
    """
    logging: dict[str, Value] = {}
    if section.says("logfile") and terminal:
        section.say(Mark.CHANGED, "logfile", "our own lines go to stdout, as those of some programs do")
    elif section.says("logfile"):
        _logfile(section, directory, logging)
    _rotation(section, logging)
    _level(section, logging)
    master: dict[str, Value] = {}
    if section.says("identifier"):
        name = section.names.folded(section.marked("identifier"))
        if name and len(name) <= 64 and name.isprintable():
            master["name"] = section.written("identifier", name)
        section.say(
            Mark.CHANGED, "identifier", "[master] name; SUPERVISOR_SERVER_URL and its kin are not set"
        )
    if section.says("user"):
        section.say(
            Mark.CHANGED, "user", "start the master as this user: User= of its unit, USER of its image"
        )
    for key, why in _WITHOUT.items():
        if section.says(key):
            section.say(Mark.NOT_NEEDED, key, why)
    return {name: table for name, table in (("logging", logging), ("master", master)) if table}


def _rotation(section: Section, logging: dict[str, Value]) -> None:
    for key, ours in (("logfile_maxbytes", "max_bytes"), ("logfile_backups", "backups")):
        number = section.typed(key, values.byte_size if ours == "max_bytes" else values.integer, 0)
        if section.says(key) and number < 1024 and ours == "max_bytes" and number > 0:
            section.say(Mark.CHANGED, key, "1 KiB is the least")
            logging[ours] = 1024
        elif section.says(key):
            logging[ours] = min(max(number, 0), 10_000 if ours == "backups" else 1 << 50)
            section.say(Mark.SAME, key, f"[logging] {ours}")


def _level(section: Section, logging: dict[str, Value]) -> None:
    if section.says("loglevel"):
        word = section.names.folded(section.marked("loglevel")).lower()
        if word in _LEVELS:
            logging["level"] = _LEVELS[word]
            mark = Mark.SAME if _LEVELS[word].startswith(word) else Mark.CHANGED
            section.say(mark, "loglevel", f"[logging] level = {_LEVELS[word]}")
        else:
            section.refuse("loglevel", f"{word!r} is not a level")


def _logfile(section: Section, directory: str, logging: dict[str, Value]) -> None:
    path = section.names.folded(section.marked("logfile"))
    if path in ("/dev/stdout", "/dev/fd/1", "/dev/stderr", "/dev/null") or not path or path.endswith("/"):
        section.say(Mark.CHANGED, "logfile", "our own lines go to stdout")
        return
    if path.lower() == "syslog":
        logging["file"] = "syslog"
    elif path.startswith("/") or not directory or has_marks(directory):
        logging["file"] = section.written("logfile", path if "/" in path else f"./{path}")
    else:
        logging["file"] = section.written("logfile", f"{directory}/{path}")
    text = "[logging] file, with the output of all programs that name no place of their own"
    section.say(Mark.CHANGED, "logfile", text)


def other(section: Section, master: dict[str, Value]) -> bool:
    """Say what becomes of a section that is no program and no group; False if Supervisor has no such."""
    kind = section.name.partition(":")[0]
    if kind == "unix_http_server":
        _socket(section, master)
    elif kind == "inet_http_server":
        _all(
            section, Mark.IMPOSSIBLE, "there is no server on the network: procqueue speaks by a local socket"
        )
    elif kind == "supervisorctl":
        _all(section, Mark.NOT_NEEDED, "procqueue finds the socket by the configuration")
    elif kind == "rpcinterface":
        main = section.options.get("supervisor.rpcinterface_factory", ("",))[0].strip() == _MAIN_FACTORY
        text = "the control socket is built in" if main else "there are no plug-ins of the control socket"
        _all(section, Mark.NOT_NEEDED if main else Mark.IMPOSSIBLE, text)
    elif kind == "fcgi-program":
        text = (
            "no socket is handed to programs: let the program listen itself, and write it as [processes.NAME]"
        )
        _all(section, Mark.IMPOSSIBLE, text)
    elif kind == "ctlplugin":
        _all(section, Mark.IMPOSSIBLE, "there are no plug-ins of the command line")
    elif section.name != "DEFAULT":
        return False
    section.used.update(section.options)
    return True


def _all(section: Section, mark: Mark, text: str) -> None:
    section.say(mark, "", text)
    secrets = [key for key in ("username", "password") if section.says(key)]
    if mark is Mark.IMPOSSIBLE and secrets:
        section.say(mark, secrets[0], "access is a matter of the permissions of the control socket")


def _socket(section: Section, master: dict[str, Value]) -> None:
    answers: Mapping[str, str] = {
        "file": "the control socket stands in [master] state_dir",
        "username": "access is a matter of the socket's permissions",
        "password": "access is a matter of the socket's permissions",
    }
    for key, text in answers.items():
        if section.says(key):
            impossible = key in ("username", "password")
            section.say(Mark.IMPOSSIBLE if impossible else Mark.CHANGED, key, text)
    mode = section.typed("chmod", values.octal, 0o700) & 0o777
    if section.says("chmod"):
        if mode & 0o600 == 0o600:
            master["socket_mode"] = f"{mode:04o}"
            section.say(Mark.SAME, "chmod", "[master] socket_mode")
        else:
            section.say(Mark.IMPOSSIBLE, "chmod", "would keep its own owner out")
    if section.says("chown"):
        group = section.typed("chown", _group, "")
        if group:
            master["socket_group"] = section.written("chown", group)
        section.say(Mark.CHANGED, "chown", "[master] socket_group; the owner is who runs the master")


def _group(text: str) -> str:
    """The group of user:group, or "" where there is none."""
    user, _, group = text.partition(":")
    return values.account(group) if values.account(user) and group else ""
