"""The table of all configuration keys: which table knows which key, what reads it, and what it is for.

A key without a reader is brought by a later version: a known name, and using it is an error that says so.
Defaults stand in model.py; sections.py reads tables against these lists.
"""

from __future__ import annotations

from dataclasses import dataclass

from procqueue.core.settings import readers as read
from procqueue.core.settings.readers import Reader


@dataclass(frozen=True, slots=True)
class Key:
    """One key of one table. `read` is None where a later version brings it."""

    name: str
    doc: str
    read: Reader | None = None
    expands: bool = True  # False: who reads the section replaces references in its own way


Keys = dict[str, Key]


def _keys(*keys: Key) -> Keys:
    return {key.name: key for key in keys}


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
    Key("group", "Unix group of the SQLite files"),
)

MASTER = _keys(
    Key("state_dir", "lock, control socket, boards, logs; relative to root", read.filled_path),
    Key("socket_mode", "permissions of the control socket", read.file_mode),
    Key("socket_group", "Unix group of the control socket"),
    Key("name", "the application; the last part of root", read.label),
    Key("grace", "from soft stop to hard kill; a number caps all queues", read.grace),
    Key("host_timeout", "after how long a silent host is dead", read.needed_duration(1.0)),
)

QUEUE = _keys(
    Key("enabled", "false: no consumers are started", read.flag),
    Key("app", "modules that this queue adds to the application's", read.modules),
    Key("processes", 'number of consumers, or "cpus"', read.processes),
    Key("serves", "queues that its consumers take from, in strict order", read.serves),
    Key("concurrency", "messages at once in one consumer", read.concurrency),
    Key("executor", "how handlers are run", read.choice("auto", "sync", later=("threads", "async"))),
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
    Key("preload", "import the application once, in a template that forks the consumers", read.preload),
    Key("driver", "a driver of [drivers.NAME]"),
    Key("max_running", "messages of this queue running at once over all hosts"),
    Key("gate_closed", "what a push into a closed gate does"),
    Key("length_levels", "lengths that raise an event"),
    Key("keep_failed", "how many failed messages are kept, and how long"),
    Key("keep_timeout", "how many parked messages are kept, and how long"),
    Key("max_releases", "how often a message may release itself"),
    Key("user", "Unix user of the consumers"),
    Key("group", "Unix group of the consumers"),
    Key("env", "environment of the consumers"),
    Key("env_file", "file with the environment of the consumers"),
    Key("cwd", "working directory of the consumers"),
    Key("umask", "umask of the consumers"),
    Key("nice", "priority of the consumers"),
    Key("limits", "resource limits of the consumers"),
    Key("stdout", "where the consumers' output goes"),
    Key("stderr", "where the consumers' errors go"),
)

LOGGING = _keys(
    Key("level", "least level that is logged", read.choice("debug", "info", "warning", "error")),
    Key("format", "text or json"),
    Key("file", "where procqueue's own lines go"),
    Key("max_bytes", "size at which a log is rotated"),
    Key("backups", "rotated logs that are kept"),
)

TABLES = ("driver", "master", "defaults", "queues", "logging")
LATER_TABLES = ("drivers", "processes", "groups", "cron", "hooks", "web", "reload")
ALL_TABLES = frozenset(TABLES + LATER_TABLES)
MAIN_FILE_ONLY = ("app", "root", "path", "driver", "master")

_HOMES = {"[driver]": DRIVER, "[master]": MASTER, "[queues.NAME] or [defaults]": QUEUE, "[logging]": LOGGING}


def home_of(name: str) -> str:
    """A hint for a key that stands in the wrong table, or "" if no table knows it."""
    if name in TOP:
        return f"{name} stands at the top of the file, before the first [table]"
    if name in ALL_TABLES:
        return f"[{name}] is a table of its own, not part of another"
    homes = [home for home, keys in _HOMES.items() if name in keys]
    return f"{name} stands in {', or '.join(homes)}" if homes else ""
