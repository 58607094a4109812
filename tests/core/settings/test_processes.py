"""[processes.*]: every key, its default, what it refuses, and the rules over several keys."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procqueue.core.settings.decode import Facts
from procqueue.core.settings.environment import INDEX, Environment, LogTarget, To
from procqueue.core.settings.keys import PROGRAM
from procqueue.core.settings.positions import Origin
from procqueue.core.settings.processes import ENVIRONMENT
from procqueue.core.settings.program import Check, Health, How, ProgramSettings, Restart
from tests.core.settings.reading import FILE, only_problem, problems, problems_of_files, settings

CLOCK = "[processes.clock]\n"


def program(lines: str, environ: dict[str, str] | None = None, facts: Facts = Facts()) -> ProgramSettings:  # noqa: B008
    command = "" if re.search(r"^(command|target) =", lines, re.MULTILINE) else "command = 'clock'\n"
    return settings(f"{CLOCK}{command}{lines}", environ, facts).programs["clock"]


def test_a_program_needs_nothing_but_its_command() -> None:
    assert program("") == ProgramSettings(
        name="clock", command=("clock",), target="", enabled=True, count=1, index_start=0, autostart=True,
        after=(), essential=False, restart=Restart.ALWAYS, ok_exit_codes=(0,), start_seconds=1.0,
        start_retries=3, start_timeout=30.0, restart_delay_max=30.0, stop_signal="TERM", stop_group=False,
        grace=10.0, ready=Check(How.TIME), health=None, environment=Environment(login_env=True),
        stdout=LogTarget(To.MASTER), stderr=LogTarget(To.MASTER), log_max_bytes=50_000_000, log_backups=10,
        max_memory=0, max_memory_hard=0, max_age=0.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ('command = ["a", "b c", ""]', "command", ("a", "b c", "")),
        ("command = \"a 'b c' d\\\\ e\"", "command", ("a", "b c", "d e")),
        ('target = "shop.clock:main"', "target", "shop.clock:main"),
        ('target = "clock:Clock.run"', "target", "clock:Clock.run"),
        ("enabled = false", "enabled", False),
        ("count = 0", "count", 0),
        ("count = 4", "count", 4),
        ("index_start = 1", "index_start", 1),
        ("autostart = false", "autostart", False),
        ("essential = true", "essential", True),
        ('restart = "on-failure"', "restart", Restart.ON_FAILURE),
        ('restart = "never"', "restart", Restart.NEVER),
        ("ok_exit_codes = [3, 0, 3]", "ok_exit_codes", (0, 3)),
        ("ok_exit_codes = 255", "ok_exit_codes", (255,)),
        ("ok_exit_codes = []", "ok_exit_codes", ()),
        ("start_seconds = 0", "start_seconds", 0.0),
        ("start_retries = 0", "start_retries", 0),
        ('start_retries = "forever"', "start_retries", None),
        ('start_timeout = "2m"', "start_timeout", 120.0),
        ('restart_delay_max = "1m"', "restart_delay_max", 60.0),
        ('stop_signal = "SIGINT"', "stop_signal", "INT"),
        ('stop_signal = "quit"', "stop_signal", "QUIT"),
        ("stop_signal = 12", "stop_signal", "USR2"),
        ('stop_signal = "RTMIN+3"', "stop_signal", "RTMIN+3"),
        ("stop_group = true", "stop_group", True),
        ('grace = "1m"', "grace", 60.0),
        ('ready = "time"', "ready", Check(How.TIME)),
        ('ready = "notify"', "ready", Check(How.NOTIFY)),
        ('ready = "line:^ready: [0-9]+$"', "ready", Check(How.LINE, "^ready: [0-9]+$")),
        ('ready = "tcp:8000"', "ready", Check(How.TCP, "8000")),
        ('ready = "tcp:[::1]:8000"', "ready", Check(How.TCP, "[::1]:8000")),
        ('ready = "http:http://localhost:80/ok"', "ready", Check(How.HTTP, "http://localhost:80/ok")),
        ('ready = "https://localhost/ok"', "ready", Check(How.HTTP, "https://localhost/ok")),
        ('health = "tcp:8000"', "health", Health(Check(How.TCP, "8000"), 10.0, 3, 5.0)),
        (
            'health = {check = "tcp:80", every = "1s", failures = 1, timeout = 2}',
            "health",
            Health(Check(How.TCP, "80"), 1.0, 1, 2.0),
        ),
        ("login_env = false", "environment", Environment(login_env=False)),
        ('user = "www"', "environment", Environment(user="www")),
        ('stdout = "log/x.log"', "stdout", LogTarget(To.FILE, "/srv/shop/log/x.log")),
        ('stderr = "stdout"', "stderr", LogTarget(To.STDOUT)),
        ("log_max_bytes = 0", "log_max_bytes", 0),
        ('log_max_bytes = "1MiB"', "log_max_bytes", 1 << 20),
        ("log_backups = 0", "log_backups", 0),
        ('max_memory = "256MB"', "max_memory", 256_000_000),
        ('max_memory_hard = "1GiB"', "max_memory_hard", 1 << 30),
        ('max_age = "7d"', "max_age", 604800.0),
    ],
)
def test_each_key_is_read_into_its_field(line: str, key: str, value: Any) -> None:
    assert getattr(program(line), key) == value


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("command = []", "names no command"),
        ('command = ""', "names no command"),
        ('command = [""]', "names no command"),
        ('command = ["a", 1]', "each argument must be a string"),
        ("command = 5", "must be a string or a list"),
        ('command = "it\'s"', "cannot be split into words: no closing quotation"),
        ('command = "a ${"', "is not closed"),
        ('command = "a ${MISSING}"', '"MISSING" is not set'),
        ('command = ["a\\u0000b"]', "NUL"),
        ('target = "shop.clock"', "is not a callable"),
        ('target = "shop/clock.py:main"', "is not a callable"),
        ("enabled = 1", "must be true or false"),
        ("count = -1", "from 0 to 10000"),
        ("count = 10_001", "from 0 to 10000"),
        ('count = "cpus"', "from 0 to 10000"),
        ("index_start = -1", "must be a whole number"),
        ('after = "db"', "must be a list of strings"),
        ('after = ["db", "db"]', "names"),
        ('restart = "unexpected"', '"always", "on-failure" or "never"'),
        ("ok_exit_codes = [256]", "from 0 to 255"),
        ("ok_exit_codes = [-1]", "from 0 to 255"),
        ('ok_exit_codes = ["x"]', "from 0 to 255"),
        ("start_retries = -1", 'or "forever"'),
        ('start_retries = "always"', 'or "forever"'),
        ("restart_delay_max = 0", "must be at least 1s"),
        ('stop_signal = "TREM"', "is not a signal"),
        ("stop_signal = 0", "is not a signal"),
        ("stop_signal = 99", "is not a signal"),
        ("stop_signal = true", "is not a signal"),
        ('stop_signal = "RTMIN+31"', "is not a signal"),
        ('stop_signal = "STOP"', "without ending it"),
        ("grace = 0", "a stop has to end"),
        ('grace = "auto"', "a program's grace is a duration"),
        ('ready = "soon"', "is not a check"),
        ("ready = 8000", "must be a string"),
        ('ready = "line:"', "names no expression"),
        ('ready = "line:("', "is not a regular expression"),
        ('ready = "tcp:"', "is not an address"),
        ('ready = "tcp:http"', "is not an address"),
        ('ready = "tcp:0"', "the port 0 is not from 1 to 65535"),
        ('ready = "tcp:65536"', "the port 65536 is not"),
        ('ready = "tcp::80"', "names no host"),
        ('ready = "tcp:::1:80"', "is not an address"),
        ('ready = "http:localhost"', "is not the URL of a server"),
        ('ready = "http:http://"', "is not the URL of a server"),
        ('ready = "http:http://h:99999/"', "is not the URL of a server"),
        ('ready = "http:ftp://h/"', "is not the URL of a server"),
        ("health = {}", "says no check"),
        ('health = {check = "tcp:1", evry = 1}', "unknown key"),
        ('health = {check = "tcp:1", failures = 0}', "from 1 to 1000"),
        ('health = {check = "tcp:1", every = 0}', "must be at least"),
        ('health = "notify"', '"notify" cannot be asked again and again'),
        ('health = {check = "line:x"}', '"line" cannot be asked again and again'),
        ("health = 5", "must be a table"),
        ('user = "a/b"', "cannot be a name"),
        ("log_max_bytes = 50", "less than 1KiB"),
        ("max_memory = 1024", "less than 1 MiB"),
        ("surge = 1", "unknown key"),
        ("numprocs = 2", "unknown key"),
    ],
)
def test_an_impossible_value_is_told_at_its_key_and_line(line: str, text: str) -> None:
    needed = "" if line.startswith(("command", "target")) else "command = 'clock'"

    problem = only_problem(f"{CLOCK}{line}\n{needed}")

    assert problem.key.startswith("processes.clock." + line.split(" ")[0])
    assert problem.line == 2
    assert text in problem.text


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("comand = 'x'", 'did you mean "command"?'),
        ("handle_timeout = 1", "handle_timeout stands in [queues.NAME] or [defaults]"),
        ("stop_signal = 'TREM'", 'did you mean "TERM"?'),
        ("ready = 'htp:x'", 'did you mean "http"?'),
        ("restart = 'on_failure'", 'did you mean "on-failure"?'),
    ],
)
def test_the_remedy_is_the_nearest(line: str, hint: str) -> None:
    assert only_problem(f"{CLOCK}command = 'x'\n{line}").hint == hint


def test_every_field_of_a_program_has_a_key_and_every_key_a_doc() -> None:
    names = {field.name for field in fields(ProgramSettings)} - {"name", "environment", "origins"}

    assert names | {*ENVIRONMENT} == set(PROGRAM)
    assert all(key.read and re.fullmatch(r"\S[^\n]+", key.doc) for key in PROGRAM.values())


def test_a_program_inherits_nothing_from_the_defaults_of_the_queues() -> None:
    read = settings("[defaults]\nmax_age = 5\nenv = {A = '1'}\n[processes.clock]\ncommand = 'x'")

    assert read.programs["clock"] == ProgramSettings("clock", command=("x",))


def test_a_program_runs_either_a_command_or_a_callable() -> None:
    neither = only_problem("[processes.clock]")
    both = only_problem("[processes.clock]\ncommand = 'x'\ntarget = 'a:b'")

    assert (neither.line, neither.key) == (1, "processes.clock")
    assert "neither command nor target" in neither.text
    assert (both.line, both.key) == (3, "processes.clock.target")


def test_a_hard_limit_of_memory_below_the_soft_one_is_refused() -> None:
    problem = only_problem(CLOCK + "command = 'x'\nmax_memory = '20MB'\nmax_memory_hard = '10MB'")

    assert (problem.line, problem.key) == (4, "processes.clock.max_memory_hard")


def test_marks_of_a_shell_are_warned_of() -> None:
    (warning,) = settings(CLOCK + "command = 'a | b'").warnings

    assert (warning.line, warning.key) == (2, "processes.clock.command")
    assert "there is no shell" in warning.text
    assert settings(CLOCK + "command = ['sh', '-c', 'a | b']").warnings == ()


def test_lines_are_kept_for_what_fails_later() -> None:
    read = program("\ncwd = '/nowhere'\nuser = 'nobody'")

    assert str(read.origins["command"]) == f"{FILE}:2"
    assert read.origins["cwd"] == Origin(FILE, 4, "processes.clock")
    assert read.origins["user"].line == 5
    assert "umask" not in read.origins


# ── copies


def test_a_copy_has_its_own_index_in_all_that_may_differ() -> None:
    read = program(
        'command = ["serve", "--port=80${index}", "${name} ${count} ${root} ${host}"]\n'
        'count = 3\nready = "tcp:80${index}"\nhealth = "http:http://h:80${index}/"\n'
        'env = {N = "${index}"}\nenv_file = "env/${index}"\ncwd = "at/${index}"\n'
        'stdout = "log/${name}-${index}"\nstderr = "none"',
        facts=Facts(host="web1"),
    )

    copy = read.copy(2)

    assert (copy.name, copy.index) == ("clock:2", 2)
    assert copy.command == ("serve", "--port=802", "clock 3 /srv/shop web1")
    assert copy.ready.address == ("127.0.0.1", 802)
    assert copy.health == Health(Check(How.HTTP, "http://h:802/"))
    assert copy.environment == Environment(
        env=(("N", "2"),), env_file="/srv/shop/env/2", cwd="/srv/shop/at/2"
    )
    assert (copy.stdout, copy.stderr) == (LogTarget(To.FILE, "/srv/shop/log/clock-2"), LogTarget(To.NONE))


def test_copies_are_numbered_from_index_start() -> None:
    assert list(program("count = 3\nindex_start = 5").indices) == [5, 6, 7]
    assert list(program("count = 0").indices) == []


def test_another_count_leaves_the_other_copies_as_they_are() -> None:
    assert program("count = 2").copy(1) == program("count = 5").copy(1)


def test_a_variable_is_one_word_whatever_it_holds() -> None:
    assert program('command = "a ${V} x${V}"', {"V": "b 'c"}).command == ("a", "b 'c", "xb 'c")


def test_a_variable_that_is_the_whole_command_is_split() -> None:
    assert program('command = "${V}"', {"V": "a 'b c'"}).command == ("a", "b c")
    assert program('command = "${V}"', {"V": '["a", "b c"]'}).command == ("a", "b c")


def test_what_a_variable_holds_is_not_expanded_again() -> None:
    assert program('env = {A = "${V}"}', {"V": "${index}"}).copy(3).environment.env == (("A", "${index}"),)


def test_a_literal_reference_stays_one() -> None:
    assert program('command = "echo $${index}"').copy(3).command == ("echo", "${index}")


def test_names_of_copies_win_over_variables_and_stand_nowhere_else() -> None:
    assert program('command = "a ${name}"', {"name": "other"}).command == ("a", "clock")
    assert '"index" is not set' in only_problem(CLOCK + 'command = "x"\nuser = "u${index}"').text


def test_a_port_that_only_the_last_copy_has_wrong_is_refused() -> None:
    problem = only_problem(CLOCK + 'command = "x"\ncount = 6\nready = "tcp:6553${index}"\nindex_start = 1')

    assert (problem.line, problem.key) == (4, "processes.clock.ready")
    assert "65536" in problem.text


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), st.integers(0, 10**6))
def test_any_text_reaches_its_copy_unchanged(text: str, index: int) -> None:
    read = program('command = ["x", "${TEXT}", "${index}${TEXT}${index}"]', {"TEXT": text or "-"})

    assert read.copy(index).command == ("x", text or "-", f"{index}{text or '-'}{index}")
    assert all(INDEX not in word for word in read.copy(index).command)


# ── names, groups, order


@pytest.mark.parametrize("table", ["queues", "processes"])
@pytest.mark.parametrize("name", ["Clock", "-x", "a b", "a:b", "a*", "x" * 65])
def test_a_name_that_a_verb_could_not_mean_is_refused(table: str, name: str) -> None:
    problem = only_problem(f"app = ['x']\n[{table}.\"{name}\"]\n" + "command = 'x'" * (table == "processes"))

    assert "cannot be the name of a " in problem.text


@pytest.mark.parametrize(
    "text", ["[processes.all]\ncommand='x'", "[groups]\nall=[]\n[processes.x]\ncommand='x'"]
)
def test_all_is_reserved(text: str) -> None:
    assert "means every queue and program" in only_problem(text).text


def test_queues_programs_and_groups_share_one_name_space() -> None:
    found = problems("app=['x']\n[queues.a]\n[processes.a]\ncommand='x'\n[groups]\na = ['a']")

    assert [(problem.line, problem.key, problem.text) for problem in found] == [
        (3, "processes.a", f'the name "a" is taken by [queues.a] ({FILE}:2)'),
        (6, "groups.a", f'the name "a" is taken by [queues.a] ({FILE}:2)'),
    ]


def test_a_program_in_two_files_is_refused_with_the_names_of_both() -> None:
    found = problems_of_files({
        "etc/queues.toml": "[processes.a]\ncommand='x'",
        "etc/more.toml": "\n[processes.a]\ncommand='y'",
    })  # fmt: skip

    assert [(problem.file, problem.line, problem.key) for problem in found] == [
        ("etc/more.toml", 2, "processes.a")
    ]


PAIR = "[processes.api]\ncommand='x'\n[processes.ws]\ncommand='x'\n"


def test_a_group_names_queues_and_programs() -> None:
    read = settings(
        "app=['x']\n[queues.q]\n" + PAIR + "[groups]\nweb = ['api', 'ws']\nrest = ['q']\nnone = []"
    )

    assert read.groups == {"web": ("api", "ws"), "rest": ("q",), "none": ()}


@pytest.mark.parametrize(
    ("line", "text", "hint"),
    [
        ("web = ['apy']", 'there is no queue or program "apy"', 'did you mean "api"?'),
        ("web = ['api', 'api']", 'names "api" twice', "keep one of them"),
        ("web = 'api'", "must be a list of strings", ""),
        ("web = {}", "must be a list of strings", ""),
        ("one = ['api']\nweb = ['api']", '"api" is in the group "one" already', ""),
    ],
)
def test_what_a_group_cannot_hold_is_told(line: str, text: str, hint: str) -> None:
    problem = only_problem(PAIR + "[groups]\n" + line)

    assert problem.key == "groups.web"
    assert problem.text.startswith(text)
    assert problem.hint.startswith(hint)


def test_groups_that_are_no_table_are_told_once() -> None:
    assert only_problem("groups = ['api']\n" + PAIR).text.startswith("must be a table")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("after = ['wx']", 'there is no program "wx"'),
        ("after = ['q']", '"q" is a queue'),
        ("after = ['ws']\n[processes.ws]\ncommand='x'\nenabled = false", '"ws" is disabled'),
        ("after = ['api']", "waits for itself: api → api"),
        (
            "after = ['ws']\n[processes.ws]\ncommand='x'\nafter = ['db']\n"
            "[processes.db]\ncommand='x'\nafter = ['api']",
            "waits for itself: api → ws → db → api",
        ),
    ],
)
def test_what_could_never_be_waited_for_is_refused(text: str, reason: str) -> None:
    problem = only_problem("app = ['x']\n[queues.q]\n[processes.api]\ncommand='x'\n" + text)

    assert (problem.line, problem.key) == (5, "processes.api.after")
    assert problem.text.startswith(reason)


def test_waiting_for_what_is_started_by_hand_is_warned_of() -> None:
    text = "[processes.db]\ncommand='x'\nautostart=false\n[processes.api]\ncommand='x'\nafter=['db']"

    (warning,) = settings(text).warnings

    assert (warning.line, warning.key) == (6, "processes.api.after")
    assert settings(text + "\nautostart=false").warnings == ()


def test_what_is_disabled_may_come_after_what_is_disabled() -> None:
    off = "command='x'\nenabled=false\n"
    text = f"[processes.db]\n{off}[processes.api]\n{off}after=['db']"

    assert settings(text).programs["api"].after == ("db",)


@given(st.lists(st.lists(st.integers(0, 7), max_size=4, unique=True), min_size=8, max_size=8))
def test_a_circle_is_told_exactly_if_there_is_no_order_to_start_in(after: list[list[int]]) -> None:
    text = "".join(
        f"[processes.p{n}]\ncommand='x'\nafter={[f'p{m}' for m in ms]}\n" for n, ms in enumerate(after)
    )
    left = set(range(8))
    while ready := {n for n in left if not left & set(after[n])}:
        left -= ready

    if left:
        assert all("waits for itself" in problem.text for problem in problems(text))
    else:
        assert len(settings(text).programs) == 8


def test_a_long_chain_is_no_circle() -> None:
    text = "[processes.p0]\ncommand='x'\n" + "".join(
        f"[processes.p{n}]\ncommand='x'\nafter=['p{n - 1}']\n" for n in range(1, 1500)
    )

    assert len(settings(text).programs) == 1500
