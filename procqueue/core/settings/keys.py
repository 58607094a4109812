"""The table of all configuration keys: which table knows which key, what reads it, and what it is for.

A key without a reader is brought by a later version: a known name, and using it is an error that says so.
Defaults stand in model.py; sections.py reads tables against these lists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from procqueue.core.settings import cron_readers as cron
from procqueue.core.settings import environment_readers as environment
from procqueue.core.settings import program_readers as program
from procqueue.core.settings import readers as read
from procqueue.core.settings import web_readers as web
from procqueue.core.settings.length_readers import length_levels
from procqueue.core.settings.readers import Reader


@dataclass(frozen=True, slots=True)
class Key:
    """One key of one table. `read` is None where a later version brings it."""

    name: str
    doc: str
    read: Reader | None = None
    expands: bool = True  # False: who reads the section replaces references in its own way
    named: bool = False  # ${index}, ${name} … may stand in it beside variables of the environment
    split: Callable[[Any], Any] | None = None  # done before references are replaced


Keys = dict[str, Key]


def _keys(*keys: Key) -> Keys:
    return {key.name: key for key in keys}


def _environment(whose: str) -> tuple[Key, ...]:
    return (
        Key("user", f"Unix user of the {whose}, by name or number", environment.account),
        Key("group", f"Unix group of the {whose}; that of the user", environment.account),
        Key("env", "variables, over those of env_file and the master", environment.variables, named=True),
        Key("env_file", "a file with variables; relative to root", environment.template_path, named=True),
        Key("cwd", f"working directory of the {whose}; the root", environment.template_path, named=True),
        Key("umask", "permission bits that new files do not get", environment.umask),
        Key("nice", "priority: 19 the least, -20 the most", read.whole(-20, 19)),
        Key("limits", "resource limits: a number, [soft, hard] or unlimited", environment.limits),
    )


_STDOUT = Key("stdout", 'where lines go: "", none, syslog, a path', environment.target(), named=True)
_STDERR = Key(
    "stderr", 'the same for errors; "stdout": with them', environment.target(of_stderr=True), named=True
)


TOP = _keys(
    Key("app", "modules whose import registers the tasks, in this order", read.modules),
    Key(
        "root",
        "where all relative paths start; the file's directory, or the parent of etc, conf, config",
        read.path,
    ),
    Key("path", "put on sys.path; relative to root", read.filled_path),
    Key("include", "globs of more files, relative to the file they stand in", read.patterns),
)

DRIVER = _keys(
    Key("url", "redis:// rediss:// unix:// redis+sentinel:// sqlite:/// sync://", read.secret, expands=False),
    Key("host", "host of the server; wins over the url", read.text),
    Key("port", "port of the server; wins over the url", read.whole(1, 65535)),
    Key("db", "number of the database; wins over the url", read.whole(0, 100_000)),
    Key("username", "wins over the url", read.text),
    Key("password", "wins over the url", read.secret),
    Key("password_file", "a file whose first line is the password; relative to root", read.filled_path),
    Key("prefix", "first part of every stored key", read.prefix),
    Key("durability", "when a push counts as stored: redis store, sqlite fsync | normal", read.text),
    Key("connect_timeout", "longest wait for a connection", read.needed_duration(0.05)),
    Key("timeout", "longest wait for an answer", read.needed_duration(0.05)),
    Key("max_body", "largest encoded message", read.body_size),
    Key("mode", "permissions of the SQLite files", read.file_mode),
    Key("group", "Unix group of the SQLite files", environment.account),
)

MASTER = _keys(
    Key("state_dir", "lock, control socket, boards, logs; relative to root", read.filled_path),
    Key("socket_mode", "permissions of the control socket", read.file_mode),
    Key("socket_group", "Unix group of the control socket", environment.account),
    Key("name", "the application; the last part of root", read.label),
    Key("grace", "from soft stop to hard kill; a number caps all queues", read.grace),
    Key("host_timeout", "after how long a silent host is dead", read.needed_duration(1.0)),
)

QUEUE = _keys(
    Key("enabled", "false: no consumers are started", read.flag),
    Key("app", "modules that this queue adds to the application's", read.modules),
    Key("processes", 'number of consumers, or "cpus"', read.processes),
    Key("serves", "queues that its consumers take from, in strict order, or by weight", read.serves),
    Key("concurrency", "messages at once in one consumer", read.whole(1, 1000)),
    Key(
        "max_running",
        "messages of this queue running at once over all hosts",
        read.whole(0, 1_000_000, {"": 0, "off": 0}),
    ),
    Key("executor", "where handlers run", read.choice(*read.EXECUTORS)),
    Key("loop", "whose event loop async handlers run on", read.choice("asyncio", "uvloop")),
    Key("handle_timeout", "soft limit of one run", read.duration),
    Key("kill_after", "from the soft limit to the hard kill", read.needed_duration(0.05)),
    Key("on_timeout", "what becomes of a message that timed out", read.choice("retry", "park", "fail")),
    Key("max_attempts", 'runs that may end badly, or "forever"', read.max_attempts),
    Key("retry_seconds", "pauses between attempts", read.retry_delays),
    Key("max_crashes", "processes that a message may take with it", read.whole(1, 1_000_000)),
    Key("max_messages", "a consumer is recycled after so many", read.count_or_off),
    Key("max_age", "a consumer is recycled at this age", read.duration),
    Key("jitter", "spread of max_messages and max_age, so that not all leave at once", read.share),
    Key("max_memory", "recycled after the message that passes it", read.memory),
    Key("max_memory_hard", "killed within a second of passing it", read.memory),
    Key("grace", "from soft stop to hard kill; derived from handle_timeout", read.grace),
    Key(
        "surge",
        "successors that are made ready before predecessors leave",
        read.whole(0, read.MOST_PROCESSES),
    ),
    Key("after_timeout", "what a consumer does after a soft timeout", read.choice("recycle", "keep")),
    Key("start_timeout", "longest wait until a consumer is ready", read.duration),
    Key("start_seconds", "how long new code has to stay up to count as proved", read.duration),
    Key("restart_delay_max", "longest pause between failing starts", read.needed_duration(1.0)),
    Key("unknown_task_wait", "how long a message of an unknown task is handed on", read.duration),
    Key("preload", "import the application once, in a template that forks the consumers", read.auto_or_flag),
    Key("driver", 'where its messages are stored: a NAME of [drivers.NAME]; "": [driver]', read.text),
    Key("gate_closed", "what a push into a closed gate does", read.choice("raise", "drop")),
    Key("length_levels", "how many waiting messages raise an event", length_levels),
    Key("keep_failed", "how many failed messages are kept, and how long", read.keep),
    Key("keep_timeout", "how many parked messages are kept, and how long", read.keep),
    Key("max_releases", "how often a message may release itself"),
    *_environment("consumers"),
    _STDOUT,
    _STDERR,
)

PROGRAM = _keys(
    Key("command", "the arguments of the program, or a string; no shell", program.command,
        named=True, split=program.split_command),
    Key("target", "a callable of Python instead of a command", program.target),
    Key("enabled", "false: as if it did not stand here", read.flag),
    Key("count", "copies", program.count),
    Key("index_start", "index of the first copy", read.whole(0, 1_000_000)),
    Key("autostart", "false: it is started by hand", read.flag),
    Key("after", "programs that have to be ready first", program.names),
    Key("essential", "its failure ends the master", read.flag),
    Key("restart", "after it ended by itself", read.choice("always", "on-failure", "never")),
    Key("ok_exit_codes", "exit codes that are no failure", program.exit_codes),
    Key("start_seconds", "how long it has to stay up to count as running", read.duration),
    Key("start_retries", 'starts that may fail after the first; or "forever"', program.start_retries),
    Key("start_timeout", "longest wait until it is ready", read.duration),
    Key("restart_delay_max", "longest pause between failing starts", read.needed_duration(1.0)),
    Key("stop_signal", "what asks it to stop", program.stop_signal),
    Key("stop_group", "true: its whole process group is asked", read.flag),
    Key("grace", "from the stop signal to the hard kill of the group", program.grace),
    Key("ready", "how it shows that it is ready", program.ready, named=True),
    Key("health", "what is asked again and again", program.health, named=True),
    *_environment("program"),
    Key("login_env", "with a user: HOME, USER, LOGNAME and SHELL are his", read.flag),
    _STDOUT,
    _STDERR,
    Key("log_max_bytes", "size at which its files are rotated", environment.log_size),
    Key("log_backups", "rotated files that are kept", read.whole(0, 10_000)),
    Key("max_memory", "restarted softly over it", read.memory),
    Key("max_memory_hard", "killed within a second of passing it", read.memory),
    Key("max_age", "restarted softly at this age", read.duration),
)  # fmt: skip

CRON = _keys(
    Key("task", "what is pushed: the name of a task", cron.filled_text),
    Key("args", "its arguments", cron.json_list),
    Key("kwargs", "its arguments by name", cron.json_table),
    Key("queue", "where it is pushed", cron.filled_text),
    Key("schedule", "minute, hour, day of the month, month, day of the week", cron.schedule),
    Key("timezone", "whose clock the schedule means, such as Europe/Berlin", cron.filled_text),
    Key("catch_up", "which of the ticks that were missed are pushed", read.choice("none", "last", "all")),
    Key("overlap", "whether a tick is pushed while the message of the one before is still to be handled",
        read.choice("skip", "allow")),
)  # fmt: skip

LOGGING = _keys(
    Key("level", "least level that is logged", read.choice("debug", "info", "warning", "error")),
    Key("format", "text or json", read.choice("text", "json")),
    Key("file", "where lines go that name nothing else", environment.target()),
    Key("max_bytes", "size at which the file is rotated", environment.log_size),
    Key("backups", "rotated files that are kept", read.whole(0, 10_000)),
)

RELOAD = _keys(
    Key("enabled", "reload when files change", read.auto_or_flag),
    Key("paths", "files and directories that are watched; relative to root", read.paths),
    Key("ignore", "patterns of files whose changes do not count", read.paths),
)

HOOKS = _keys(
    Key("on_fatal", "when a program is given up", program.commands, split=program.split_commands),
    Key(
        "on_crash_loop", "when something dies again and again", program.commands, split=program.split_commands
    ),
    Key("on_problem", "when a problem comes", program.commands, split=program.split_commands),
)

WEB = _keys(
    Key("listen", "where the dashboard listens: HOST:PORT, or unix:PATH", web.listen),
    Key("metrics", "a second place, for /metrics, /livez and /readyz alone, without credential", web.listen),
    Key("token_file", "who may look: lines of NAME ROLE TOKEN; relative to root", read.path),
    Key("allowed_hosts", "more names by which browsers may call it", web.hosts),
    Key("redact", "patterns of argument names whose values are not shown", web.redact),
)

ALL_TABLES = frozenset((
    "driver",
    "drivers",
    "master",
    "defaults",
    "queues",
    "processes",
    "cron",
    "groups",
    "reload",
    "logging",
    "hooks",
    "web",
))  # fmt: skip
ONE_EACH = ("defaults", "groups", "reload", "logging", "hooks", "web")  # stand in one file, whichever
NAMED = ("queues", "processes", "cron")  # hold tables with names of the user's
MAIN_FILE_ONLY = ("app", "root", "path", "driver", "drivers", "master")

_HOMES = {
    "[driver] or [drivers.NAME]": DRIVER, "[master]": MASTER, "[queues.NAME] or [defaults]": QUEUE,
    "[processes.NAME]": PROGRAM, "[cron.NAME]": CRON, "[logging]": LOGGING, "[reload]": RELOAD,
    "[hooks]": HOOKS, "[web]": WEB,
}  # fmt: skip


def home_of(name: str) -> str:
    """A hint for a key that stands in the wrong table, or "" if no table knows it."""
    if name in TOP:
        return f"{name} stands at the top of the file, before the first [table]"
    if name in ALL_TABLES:
        return f"[{name}] is a table of its own, not part of another"
    homes = [home for home, keys in _HOMES.items() if name in keys]
    return f"{name} stands in {', or '.join(homes)}" if homes else ""
