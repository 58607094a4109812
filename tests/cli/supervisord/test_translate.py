# ruff: noqa: E501
"""Each key of a supervisord.conf becomes ours, as Supervisor 4.3 means it, and the report says how."""

from pathlib import Path
from typing import Any

import pytest

from procqueue.core.errors import ConfigError
from procqueue.core.settings.environment import To
from procqueue.core.settings.program import How, Restart
from tests.cli.supervisord.translating import ENVIRON, HEAD, Translated


def program(tmp_path: Path, *lines: str, **more: Any) -> Translated:
    text = "\n".join((HEAD, "[program:x]", "command=run it", *lines, ""))
    return Translated(tmp_path, text, **more)


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("autostart=off", "autostart", False), ("autostart=YES", "autostart", True), ("startsecs=0", "start_seconds", 0),
        ("startretries=7", "start_retries", 7), ("startretries=100000000", "start_retries", "forever"),
        ("autorestart=true", "restart", "always"), ("autorestart=0", "restart", "never"),
        ("autorestart=unexpected", "restart", "on-failure"), ("exitcodes=0, 2", "ok_exit_codes", [0, 2]),
        ("exitcodes=", "ok_exit_codes", []), ("stopsignal=HUP", "stop_signal", "HUP"),
        ("stopsignal=sigint", "stop_signal", "INT"), ("stopsignal=3", "stop_signal", "QUIT"),
        ("stopsignal=STOP", "stop_signal", "TERM"), ("stopwaitsecs=90", "grace", 90),
        ("stopwaitsecs=0", "grace", "100ms"), ("stopasgroup=true", "stop_group", True), ("umask=022", "umask", "022"),
        ("user=www-data", "user", "www-data"), ("user=33", "user", "33"), ("directory=/srv", "cwd", "/srv"),
        ("numprocs=%(ENV_NUMBER)s\nprocess_name=%(process_num)d", "count", 7),
        ("stdout_logfile=/a.log\nstdout_logfile_maxbytes=3KB", "log_max_bytes", 3072),
        ("stdout_logfile=/a.log\nstdout_logfile_maxbytes=2gb", "log_max_bytes", 2 << 30),
        ("stdout_logfile=/a.log\nstdout_logfile_maxbytes=0", "log_max_bytes", 0),
        ("stdout_logfile=/a.log", "log_max_bytes", 50 << 20), ("stdout_logfile=/a.log", "log_backups", 10),
        ("stdout_logfile=none", "stdout", "none"), ("stdout_logfile=OFF", "stdout", "none"),
        ("stdout_logfile=syslog", "stdout", "syslog"), ("stderr_syslog=true", "stderr", "syslog"),
        ("stdout_logfile=stdout", "stdout", "./stdout"), ("redirect_stderr=true", "stderr", "stdout"),
        ("stdout_logfile=/%(ENV_COLOUR)s.log", "stdout", "/${COLOUR}.log"),
        ("stderr_logfile=/dev/stdout", "stderr", "stdout"), ("stdout_logfile=/dev/null", "stdout", "none"),
        ("environment=A=%(ENV_COLOUR)s,B='x,y'", "env", {"A": "${COLOUR}", "B": "x,y"}),
        ("environment=A=\"it's\",B=/a.b:c", "env", {"A": "it's", "B": "/a.b:c"}),
    ],
)  # fmt: skip
def test_a_key_is_translated_and_our_loader_takes_it(tmp_path: Path, line: str, key: str, value: Any) -> None:
    found = program(tmp_path, line)

    assert found.program()[key] == value
    assert "x" in found.settings.programs
    assert found.marks(line.partition("=")[0])


@pytest.mark.parametrize(
    ("line", "missing"),
    [("stdout_logfile=AUTO", "stdout"), ("stdout_logfile=/dev/stdout", "stdout"),
     ("stderr_logfile=/dev/stderr", "stderr"), ("killasgroup=true", "stop_group"), ("numprocs=1", "count")],
)  # fmt: skip
def test_what_is_so_anyway_is_left_out(tmp_path: Path, line: str, missing: str) -> None:
    found = program(tmp_path, line)

    assert missing not in found.program()


def test_a_program_that_says_nothing_has_supervisors_defaults(tmp_path: Path) -> None:
    one = program(tmp_path).settings.programs["x"]

    assert (one.restart, one.ok_exit_codes, one.start_seconds) == (Restart.ON_FAILURE, (0,), 1)
    assert (one.start_retries, one.stop_signal, one.grace, one.stop_group) == (3, "TERM", 10, False)
    assert (one.count, one.stdout.to, one.stderr.to) == (1, To.MASTER, To.MASTER)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sh -c 'a b' \"c d\" e\\ f", ["sh", "-c", "a b", "c d", "e f"]), ("a 100%%", ["a", "100%"]),
        ("a ${HOME} $HOME", ["a", "$${HOME}", "$HOME"]), ("a %(ENV_COLOUR)s/%(program_name)s", ["a", "${COLOUR}/x"]),
        ("a %(ENV_WORDS)s", ["a", "one", "two"]), ('a "%(ENV_WORDS)s"', ["a", "${WORDS}"]),
        ("a %(host_node_name)s %(group_name)s", ["a", "machine", "x"]), ("a $%(ENV_COLOUR)s", ["a", "$blue"]),
        ("a %(process_num)d %(process_num)02d %(numprocs)d", ["a", "0", "00", "1"]),
        ("a %(ENV_NUMBER)5s", ["a", "7"]),
    ],
)  # fmt: skip
def test_a_command_has_the_words_that_supervisor_gives_it(
    tmp_path: Path, command: str, words: list[str]
) -> None:
    found = Translated(tmp_path, f"{HEAD}[program:x]\ncommand={command}\n")

    assert found.program()["command"] == words
    assert "x" in found.settings.programs


def test_what_is_expanded_at_run_time_is_what_supervisor_would_run(tmp_path: Path) -> None:
    found = Translated(tmp_path, HEAD + "[program:x]\ncommand=a $${A} %(ENV_COLOUR)s ${B} %(ENV_COLOUR)s}{\n")

    assert found.settings.programs["x"].command == ("a", "$${A}", "blue", "${B}", "blue}{")


@pytest.mark.parametrize("command", ["'a", "", '""'])
def test_a_command_that_cannot_run_is_disabled(tmp_path: Path, command: str) -> None:
    found = Translated(tmp_path, f"{HEAD}[program:x]\ncommand={command}\n[program:y]\ncommand=b\n")

    assert found.program()["enabled"] is False
    assert ("✗", 3) in found.marks("command")
    assert not found.settings.programs["x"].enabled


def test_an_environment_is_seen_by_what_stands_beside_it_but_not_by_itself(tmp_path: Path) -> None:
    text = (
        HEAD
        + "environment=ALL=1,COLOUR=red\n[program:x]\ncommand=a %(ENV_MINE)s %(ENV_ALL)s %(ENV_COLOUR)s\n"
    )
    found = Translated(
        tmp_path, text + "environment=MINE=%(ENV_COLOUR)s,ALL=2\nstdout_logfile=/%(ENV_MINE)s\n"
    )

    assert found.program()["command"] == ["a", "red", "2", "red"]
    assert found.program()["env"] == {"ALL": "2", "COLOUR": "red", "MINE": "red"}
    assert found.program()["stdout"] == "/red"


def test_copies_have_their_numbers(tmp_path: Path) -> None:
    found = Translated(
        tmp_path,
        f"{HEAD}[program:x]\ncommand=a %(process_num)d %(process_num)02d\nnumprocs=3\nnumprocs_start=2\n"
        "process_name=%(program_name)s-%(process_num)03d\n",
    )

    one = found.settings.programs["x"]
    assert [one.copy(index).command for index in one.indices] == [("a", str(n), f"0{n}") for n in (2, 3, 4)]
    assert found.found.copies == [("x:x-002", "x:2"), ("x:x-003", "x:3"), ("x:x-004", "x:4")]


def test_zeros_that_differ_make_a_program_of_each_copy(tmp_path: Path) -> None:
    found = Translated(
        tmp_path,
        f"{HEAD}[program:x]\ncommand=serve 80%(process_num)02d\nnumprocs=12\nprocess_name=%(process_num)s\n",
    )

    programs = found.settings.programs
    assert [one.command[1] for one in programs.values()] == [f"80{n:02}" for n in range(12)]
    assert found.settings.groups == {"x": tuple(f"x-{n:02}" for n in range(12))}
    assert ("~", 4) in found.marks("numprocs")
    assert len(found.marks("command")) == 1


def test_a_padded_name_alone_splits_nothing(tmp_path: Path) -> None:
    found = program(tmp_path, "numprocs=12", "process_name=%(program_name)s_%(process_num)02d")

    assert found.program()["count"] == 12
    assert found.found.copies[11] == ("x:x_11", "x:11")


def test_names_are_made_ours_and_stand_once(tmp_path: Path) -> None:
    names = ("Web", "web", "a_b", "all", "_x", "w*b")
    found = Translated(tmp_path, HEAD + "".join(f"[program:{name}]\ncommand=a\n" for name in names))

    assert list(found.settings.programs) == ["web", "web-2", "a_b", "all-2", "x", "w-b"]
    assert found.texts().count("is called") == 5


def test_groups_are_ours_and_a_name_that_is_taken_gives_way(tmp_path: Path) -> None:
    programs = "".join(f"[program:{name}]\ncommand=a %(group_name)s\n" for name in ("a", "b", "c", "d"))
    groups = "[group:g]\nprograms=a, b\n[group:c]\nprograms=c,d\n[group:late]\nprograms=a\n"
    found = Translated(tmp_path, HEAD + programs + groups)

    assert found.settings.groups == {"g": ("a", "b"), "c-2": ("c", "d")}
    assert found.program("b")["command"] == ["a", "g"]
    assert ("c:d", "d:0") in found.found.copies
    assert "a is in g too" in found.texts()


def test_priorities_are_an_order_on_demand_only(tmp_path: Path) -> None:
    text = HEAD + "".join(
        f"[program:{name}]\ncommand=a\npriority={priority}\n{more}\n"
        for name, priority, more in (
            ("late", 30, ""),
            ("first", 1, ""),
            ("hand", 2, "autostart=no"),
            ("next", 3, ""),
        )
    )
    grouped = "[group:g]\nprograms=late\npriority=0\n"

    assert all(not one.after for one in Translated(tmp_path, text).settings.programs.values())
    after = {n: one.after for n, one in Translated(tmp_path, text, order=True).settings.programs.items()}
    assert after == {"late": ("next",), "first": (), "hand": ("first",), "next": ("first",)}
    assert Translated(tmp_path, text + grouped, order=True).settings.programs["first"].after == ("late",)


def test_superlance_becomes_limits_health_and_hooks(tmp_path: Path) -> None:
    listeners = (
        "[eventlistener:m]\ncommand=memmon -p x=200MB -g g=1GB -m a@b.example\nevents=TICK_60\n"
        "[eventlistener:h]\ncommand=python /usr/bin/httpok -p g:y -t 5 http://localhost:8000/up\nevents=TICK_5\n"
        "[eventlistener:c]\ncommand=crashmail -a -m ops@b.example\nevents=PROCESS_STATE\n"
        "[eventlistener:o]\ncommand=something\nevents=PROCESS_STATE\n"
        "[eventlistener:n]\ncommand=memmon -a 1GB\nautostart=false\nevents=TICK_60\n"
    )
    text = (
        HEAD
        + "[program:x]\ncommand=a\n[program:y]\ncommand=a\n[program:z]\ncommand=a\n[group:g]\nprograms=y\n"
    )
    settings = Translated(tmp_path, text + listeners).settings

    limits = {name: one.max_memory for name, one in settings.programs.items()}
    assert limits == {"x": 200 << 20, "y": 1 << 30, "z": 0}
    health = settings.programs["y"].health
    assert health is not None
    assert (health.check.how, health.check.where) == (How.HTTP, "http://localhost:8000/up")
    assert (health.every, health.timeout, health.failures) == (5, 5, 1)
    assert settings.hooks.on_fatal == (("mail", "-s", "procqueue: a program is given up", "ops@b.example"),)


def test_what_has_no_equal_is_listed(tmp_path: Path) -> None:
    found = program(
        tmp_path, "stdout_capture_maxbytes=1MB", "stderr_events_enabled=true", "colour=red",
        "[inet_http_server]", "port=9001", "username=u", "password=secret", "[fcgi-program:f]", "command=a",
        "[rpcinterface:p]", "supervisor.rpcinterface_factory=other:make", "[ctlplugin:c]", "[odd]", "a=b",
    )  # fmt: skip

    marks = {(str(line.mark), line.section, line.key) for line in found.found.lines}
    assert marks >= {
        ("✗", "program:x", "stdout_capture_maxbytes"), ("✗", "program:x", "stderr_events_enabled"),
        ("!", "program:x", "colour"), ("✗", "inet_http_server", ""), ("✗", "inet_http_server", "username"),
        ("✗", "fcgi-program:f", ""), ("✗", "rpcinterface:p", ""), ("✗", "ctlplugin:c", ""), ("!", "odd", ""),
    }  # fmt: skip
    assert "secret" not in found.texts()


def test_the_whole_becomes_logging_and_master(tmp_path: Path) -> None:
    text = "[unix_http_server]\nfile=/s\nchmod=0770\nchown=a:b\n[supervisord]\nlogfile=s.log\nlogfile_maxbytes=1MB\n"
    text += "logfile_backups=3\nloglevel=warn\nidentifier=shop\numask=027\ndirectory=/srv\nuser=app\nnodaemon=true\n"
    found = Translated(tmp_path, text + "[program:x]\ncommand=a\n")

    assert found.toml["logging"] == {
        "file": "/srv/s.log",
        "max_bytes": 1 << 20,
        "backups": 3,
        "level": "warning",
    }
    assert found.toml["master"] == {"name": "shop", "socket_mode": "0770", "socket_group": "b"}
    assert (found.program()["umask"], found.program()["cwd"]) == ("027", "/srv")
    assert found.settings.programs["x"].environment.umask == 0o027


def test_a_terminal_stays_one(tmp_path: Path) -> None:
    text = "[supervisord]\nlogfile=/var/log/s.log\n[program:x]\ncommand=a\nstdout_logfile=/dev/stdout\n"

    assert "file" not in Translated(tmp_path, text).toml.get("logging", {})


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("numprocs=2", "process_name"), ("autostart=perhaps", "autostart"), ("startsecs=1s", "startsecs"),
        ("stopsignal=NONE", "stopsignal"), ("exitcodes=256", "exitcodes"), ("umask=9", "umask"),
        ("environment=A", "environment"), ("environment=A='x", "environment"), ("priority=%(x)s", "priority"),
        ("stopasgroup=true\nkillasgroup=false", "killasgroup"), ("stdout_logfile_maxbytes=1TB", "stdout_logfile_maxbytes"),
        ("stdout_logfile=/a%%b", "stdout_logfile"), ("environment=A=100%", "environment"), ("numprocs=1000000", "numprocs"),
    ],
)  # fmt: skip
def test_what_supervisor_refuses_is_refused_with_its_line(tmp_path: Path, line: str, key: str) -> None:
    with pytest.raises(ConfigError) as error:
        program(tmp_path, line)

    (problem,) = error.value.problems
    assert problem.key == f"[program:x] {key}"
    assert problem.line in (3, 5, 6)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        program(
            tmp_path, "autostart=perhaps", "startsecs=soon", "[group:g]", "programs=x,none", "[program:y]"
        )

    assert sorted(one.line for one in error.value.problems) == [5, 6, 8, 9]


def test_a_variable_that_is_not_set_stays_a_reference_and_is_named(tmp_path: Path) -> None:
    found = Translated(tmp_path, HEAD + "[program:x]\ncommand=a %(ENV_NONE)s\nstartsecs=%(ENV_LESS)s\n")

    assert found.program() == {"command": ["a", "${NONE}"], "start_seconds": 1, "restart": "on-failure"}
    assert "NONE" in found.found.unset
    assert ("✗", 4) in found.marks("startsecs")


def test_nothing_of_the_environment_is_in_the_report(tmp_path: Path) -> None:
    found = program(tmp_path, "environment=SECRET=hunter2", environ={**ENVIRON, "TOKEN": "hunter3"})

    assert "hunter" not in found.texts()
