"""Where a program's output goes: stdout_logfile and its kin → stdout, stderr, log_max_bytes, log_backups."""

from __future__ import annotations

import os
import posixpath

from procqueue.cli.supervisord import values
from procqueue.cli.supervisord.expand import has_marks
from procqueue.cli.supervisord.report import Mark
from procqueue.cli.supervisord.section import Section
from procqueue.cli.supervisord.toml import Value

#: The files that mean the terminal, by the descriptor that they stand for.
TERMINAL = {
    "/dev/stdout": 1, "/dev/fd/1": 1, "/proc/self/fd/1": 1,
    "/dev/stderr": 2, "/dev/fd/2": 2, "/proc/self/fd/2": 2,
}  # fmt: skip
_WORDS = ("stdout", "stderr", "none", "syslog")
_KEPT = "the master's own output, with a prefix; procqueue logs NAME shows it"
_MOST_BACKUPS = 10_000


def targets(section: Section, directory: str) -> dict[str, Value]:
    """Our keys of both streams."""
    merged = section.typed("redirect_stderr", values.boolean, False)
    found: dict[str, Value] = {"stdout": _target(section, "stdout", directory)}
    if merged:
        found["stderr"] = "stdout"
        section.say(Mark.SAME, "redirect_stderr", 'stderr = "stdout"')
        if section.says("stderr_logfile"):
            section.say(Mark.NOT_NEEDED, "stderr_logfile", "not used beside redirect_stderr")
    else:
        found["stderr"] = _target(section, "stderr", directory)
        if section.says("redirect_stderr"):
            section.say(Mark.SAME, "redirect_stderr", "stderr has its own place")
    streams = ("stdout",) if merged else ("stdout", "stderr")
    to_file = [stream for stream in streams if _is_file(str(found[stream]))]
    found |= _rotation(section, to_file)
    for stream in ("stdout", "stderr"):
        _refuse_protocol(section, stream)
    return {key: value for key, value in found.items() if value != ""}


def _target(section: Section, stream: str, directory: str) -> str:
    key = f"{stream}_logfile"
    syslog = section.typed(f"{stream}_syslog", values.boolean, False)
    text = section.marked(key, "auto")
    if "%" in text:  # Supervisor expands this key twice
        section.refuse(key, "has a % that is left after the first of Supervisor's two expansions")
    if syslog or text.lower() == "syslog":
        said = f"{stream}_syslog" if syslog else key
        alone = text.lower() in ("auto", "none", "off", "syslog")
        also = "" if alone else f"; one place only, so not to {key} too"
        section.say(Mark.SAME if alone else Mark.IMPOSSIBLE, said, f'{stream} = "syslog"{also}')
        section.used.add(key)
        return "syslog"
    if section.says(f"{stream}_syslog"):
        section.say(Mark.SAME, f"{stream}_syslog", "not to syslog")
    if text.lower() == "auto":
        if section.says(key):
            section.say(Mark.CHANGED, key, f"no file of its own: {_KEPT}")
        return ""
    if text.lower() in ("none", "off") or text == "/dev/null":
        section.say(Mark.SAME, key, f'{stream} = "none"')
        return "none"
    if text in TERMINAL:
        crossed = TERMINAL[text] != (1 if stream == "stdout" else 2)
        section.say(Mark.CHANGED if crossed else Mark.SAME, key, _KEPT)
        return ("stdout" if stream == "stderr" else "") if crossed else ""
    return _path(section, key, text, directory)


def _path(section: Section, key: str, text: str, directory: str) -> str:
    path = text if has_marks(text.partition("/")[0]) else os.path.expanduser(text)
    if path.startswith(
        "~"
    ):  # nobody's home, or told only when it is started: Supervisor takes it as it stands
        path = f"./{path}"
    said = f"{key.removesuffix('_logfile')}; each line begins with its moment and the program's name"
    if path.endswith("/") or not path:
        section.refuse(key, "names no file")
        return ""
    if not posixpath.isabs(path) and not path.startswith("\0"):
        if directory and not has_marks(directory):
            path = posixpath.join(directory, path)
        else:
            said += "; relative to root"
    section.say(Mark.CHANGED, key, said)
    return section.written(key, f"./{path}" if path in _WORDS else path)


def _is_file(target: str) -> bool:
    return target != "" and target not in _WORDS


def _rotation(section: Section, to_file: list[str]) -> dict[str, Value]:
    sizes: dict[str, int] = {}
    backups: dict[str, int] = {}
    for stream in ("stdout", "stderr"):
        size_key, number_key = f"{stream}_logfile_maxbytes", f"{stream}_logfile_backups"
        sizes[stream] = section.typed(size_key, values.byte_size, 50 << 20)
        backups[stream] = section.typed(number_key, values.integer, 10)
        for key, our in ((size_key, "log_max_bytes"), (number_key, "log_backups")):
            if section.says(key) and stream not in to_file:
                section.say(Mark.NOT_NEEDED, key, "no file of its own is written")
            elif section.says(key):
                section.say(Mark.SAME, key, our)
    if not to_file:
        return {}
    size_of = [sizes[stream] for stream in to_file]
    most = 0 if min(size_of) <= 0 else max(size_of)
    if len(set(size_of)) > 1 or len({backups[stream] for stream in to_file}) > 1:
        text = "stdout and stderr have one size and one number here: the larger ones"
        section.say(Mark.CHANGED, "stderr_logfile_maxbytes", text)
    if 0 < most < 1024:
        section.say(Mark.CHANGED, f"{to_file[0]}_logfile_maxbytes", "1 KiB is the least")
        most = 1024
    number = min(max(0, *(backups[stream] for stream in to_file)), _MOST_BACKUPS)
    return {"log_max_bytes": min(most, 1 << 50), "log_backups": number}


def _refuse_protocol(section: Section, stream: str) -> None:
    capture, events = f"{stream}_capture_maxbytes", f"{stream}_events_enabled"
    if section.typed(capture, values.byte_size, 0):
        section.say(Mark.IMPOSSIBLE, capture, "there is no capture between marks in the output")
    elif section.says(capture):
        section.say(Mark.NOT_NEEDED, capture, "off")
    if section.typed(events, values.boolean, False):
        section.say(Mark.IMPOSSIBLE, events, "output is no event: procqueue logs -f --json follows it")
    elif section.says(events):
        section.say(Mark.NOT_NEEDED, events, "off")
