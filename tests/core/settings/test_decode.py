"""The configuration as a whole: every problem at once, each with file, line, key, reason and remedy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from procqueue.core.errors import ConfigError
from procqueue.core.settings.decode import Facts, decode_text, includes_of
from procqueue.core.settings.documents import read_document
from procqueue.core.settings.environment import LogTarget, To
from procqueue.core.settings.model import (
    DriverSettings,
    HookSettings,
    LoggingSettings,
    MasterSettings,
    QueueSettings,
    ReloadSettings,
    Settings,
)
from tests.core.settings.reading import (
    APP,
    FILE,
    only_problem,
    problems,
    problems_of_files,
    settings,
    settings_of_files,
)


def test_the_smallest_file_has_all_defaults() -> None:
    assert settings(APP + "[queues.emails]") == Settings(
        file=FILE,
        root="/srv/shop",
        path="/srv/shop",
        app=("shop.tasks",),
        driver=DriverSettings("sqlite:////srv/shop/run/db/queue.db", durability="fsync"),
        master=MasterSettings("/srv/shop/run", name="shop"),
        queues={"emails": QueueSettings("emails")},
        programs={},
        groups={},
        reload=ReloadSettings(("/srv/shop",)),
        logging=LoggingSettings(),
        hooks=HookSettings(),
        files=(FILE,),
        warnings=(),
    )


def test_the_tables_of_the_master_and_of_logging_are_read() -> None:
    text = """
        path = "src"
        [master]
        state_dir = "/run/shop"
        socket_mode = "0660"
        socket_group = "www"
        name = "Shop (test)"
        grace = "20s"
        host_timeout = "1m"
        [logging]
        level = "debug"
        format = "json"
        file = "log/all.log"
        max_bytes = "1MB"
        backups = 2
        [reload]
        enabled = false
        paths = ["src", "/etc/shop"]
        ignore = ["*.txt"]
        [hooks]
        on_fatal = ["mail -s '${WHAT} is fatal' root", ["a", "b c"]]
        on_problem = "logger ${WHAT}"
        [queues.emails]
        app = ["shop.mail"]
        handle_timeout = 10
    """

    read = settings(text, {"WHAT": "a b"})

    assert read.path == "/srv/shop/src"
    assert read.master == MasterSettings("/run/shop", 0o660, "www", "Shop (test)", 20.0, 60.0)
    file = LogTarget(To.FILE, "/srv/shop/log/all.log")
    assert read.logging == LoggingSettings("debug", "json", file, 1_000_000, 2)
    assert read.reload == ReloadSettings(("/srv/shop/src", "/etc/shop"), ("*.txt",), "never")
    assert read.hooks == HookSettings(
        on_fatal=(("mail", "-s", "a b is fatal", "root"), ("a", "b c")), on_problem=(("logger", "a b"),)
    )


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("[logging]\nformat = 'xml'", "logging.format", '"text" or "json"'),
        ("[logging]\nfile = 'stdout'", "logging.file", "is not a place"),
        ("[logging]\nfile = 'log/'", "logging.file", "is a directory"),
        ("[logging]\nfile = '~/log'", "logging.file", "~ is not expanded"),
        ("[logging]\nfile = '${index}'", "logging.file", "is not set"),
        ("[logging]\nmax_bytes = 50", "logging.max_bytes", "less than 1KiB"),
        ("[logging]\nbackups = -1", "logging.backups", "from 0 to"),
        ("[reload]\nenabled = 'yes'", "reload.enabled", '"auto", true or false'),
        ("[reload]\npaths = 'src'", "reload.paths", "must be a list of strings"),
        ("[reload]\npaths = ['']", "reload.paths", "must not be empty"),
        ("[hooks]\non_fatal = 3", "hooks.on_fatal", "must be a list of commands"),
        ("[hooks]\non_fatal = ['a', 3]", "hooks.on_fatal", "must be a string or a list of strings"),
        ("[hooks]\non_fatal = ['']", "hooks.on_fatal", "names no command"),
        ('[hooks]\non_problem = ["it\'s"]', "hooks.on_problem", "no closing quotation"),
        ("[hooks]\non_panic = []", "hooks.on_panic", "unknown key"),
        ("[master]\nsocket_group = 'a b'", "master.socket_group", "cannot be a name"),
    ],
)
def test_an_impossible_value_of_a_table_that_stands_once_is_told(text: str, key: str, reason: str) -> None:
    problem = only_problem(APP + "[queues.emails]\n" + text)

    assert (problem.line, problem.key) == (4, key)
    assert reason in problem.text


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    text = """\
app = ["shop.tasks"]
pth = "src"

[driver]
url = "redis://localhost"
timeout = "soon"

[queues.emails]
proceses = 4
max_memory = "128QB"
serves = [
  "sms",
]

[queues.Sms]
processes = "4"
"""

    found = problems(text)

    assert [(problem.file, problem.line, problem.key, problem.hint) for problem in found] == [
        (FILE, 2, "pth", 'did you mean "path"?'),
        (FILE, 6, "driver.timeout", ""),
        (FILE, 9, "queues.emails.proceses", 'did you mean "processes"?'),
        (FILE, 10, "queues.emails.max_memory", ""),
        (FILE, 11, "queues.emails.serves", 'did you mean "Sms"?'),
        (FILE, 15, "queues.Sms", "use 1 to 64 of a-z 0-9 . _ -, beginning with a letter or a digit"),
        (FILE, 16, "queues.Sms.processes", "remove the quotes"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("app = [\n", 2, 1), ('a = 1\nb = "x\n', 2, 7), ("[queues.emails\n", 1, 15), ("a = 1\na = 2", 2, 6)],
)
def test_text_that_is_no_toml_is_told_with_line_and_column(text: str, line: int, column: int) -> None:
    problem = only_problem(text)

    assert problem.line == line
    assert f"line {line}, column {column}" in problem.text


@pytest.mark.parametrize("text", ["", "# nothing\n", APP, APP + "[queues]", APP + "[driver]\n[defaults]"])
def test_a_file_without_queues_has_nothing_to_run(text: str) -> None:
    problem = only_problem(text)

    assert "nothing to run" in problem.text
    assert "[queues.default]" in problem.hint


@pytest.mark.parametrize(
    "text", ["[queues.emails]", "app = []\n[queues.emails]", "[queues.a]\napp=['x']\n[queues.emails]"]
)
def test_queues_need_an_app(text: str) -> None:
    problem = only_problem(text)

    assert problem.key == "app"
    assert problem.text.endswith("emails")
    assert problem.hint == 'write app = ["shop.tasks"] at the top of the file'


def test_a_disabled_queue_needs_no_app() -> None:
    assert settings("[queues.emails]\nenabled = false").app == ()


def test_keys_of_later_versions_are_known_and_refused() -> None:
    problem = only_problem(APP + "[queues.emails]\nmax_releases = 3")

    assert problem.key == "queues.emails.max_releases"
    assert "is not available in this version" in problem.text


def test_a_file_with_programs_alone_needs_neither_app_nor_driver() -> None:
    read = settings("[processes.clock]\ncommand = 'x'")

    assert list(read.programs) == ["clock"]
    assert (read.app, read.queues, read.needs_driver, read.nothing_to_run()) == ((), {}, False, None)
    assert settings(APP + "[queues.emails]").needs_driver


def test_another_place_in_the_file_and_another_order_are_no_change() -> None:
    text = "[processes.clock]\ncommand = 'x'\nenv = {A = '1', B = '2'}\nlimits = {core = 1, cpu = 2}\n"
    moved = "\n[processes.clock]\nlimits = {cpu = 2, core = 1}\nenv = {B = '2', A = '1'}\ncommand = ['x']"

    assert settings(text) == settings(moved)
    assert settings(text) != settings(text.replace("'2'", "'3'"))


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("surge = 5\n[queues.emails]", "surge", "surge stands in [queues.NAME] or [defaults]"),
        ("[queues.emails]\nurl = 'x'", "queues.emails.url", "url stands in [driver] or [drivers.NAME]"),
        (
            "[driver]\npath = 'x'\n[queues.emails]",
            "driver.path",
            "path stands at the top of the file, before the first [table]",
        ),
        ("[queue.emails]\n[queues.emails]", "queue", 'did you mean "queues"?'),
        ("[sms]\n[queues.emails]", "sms", "for a queue write [queues.sms]"),
        (
            "[queues.emails]\nlogging = {}",
            "queues.emails.logging",
            "[logging] is a table of its own, not part of another",
        ),
        ("zzz = 1\n[queues.emails]", "zzz", ""),
    ],
)
def test_an_unknown_key_gets_the_remedy_that_is_nearest(text: str, key: str, hint: str) -> None:
    problem = only_problem(APP + text)

    assert (problem.key, problem.text, problem.hint) == (key, "unknown key", hint)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("driver = 'redis://'\n[queues.emails]", "driver"),
        ("queues = 3", "queues"),
        ("queues = ['emails']", "queues"),
        ("queues.emails = 3", "queues.emails"),
        ("[[queues.emails]]", "queues.emails"),
        ("logging = false\n[queues.emails]", "logging"),
    ],
)
def test_what_should_be_a_table_and_is_not_is_told_once(text: str, key: str) -> None:
    problem = only_problem(APP + text)

    assert problem.key == key
    assert problem.text.startswith("must be a table")


def test_a_root_that_cannot_be_told_is_one_problem_among_the_others() -> None:
    with pytest.raises(ConfigError) as caught:
        decode_text("[queues.emails]\nsurge = -1", file="/etc/queues.toml", environ={}, facts=Facts())

    assert {problem.key for problem in caught.value.problems} == {"root", "app", "queues.emails.surge"}


def test_a_path_with_a_tilde_is_refused_because_nobody_would_expand_it() -> None:
    assert "${HOME}" in only_problem(APP + '[master]\nstate_dir = "~/run"\n[queues.emails]').hint


def test_keys_may_be_written_in_every_way_that_toml_has() -> None:
    text = APP + 'driver.prefix = "x"\nqueues.emails = {processes = 2}\nqueues."sms".surge = 2\n[queues]\n'

    with pytest.raises(ConfigError):  # TOML itself forbids to open [queues] again
        settings(text)
    read = settings(text.removesuffix("[queues]\n"))

    assert (read.driver.prefix, read.queues["emails"].processes, read.queues["sms"].surge) == ("x", 2, 2)


# ── several files


def test_queues_of_included_files_stand_behind_those_of_the_main_file() -> None:
    read = settings_of_files({
        "etc/queues.toml": APP + "[queues.emails]\nserves = ['sms', 'emails']",
        "etc/more.toml": "[defaults]\nprocesses = 2\n[queues.sms]\n[logging]\nlevel = 'error'\n"
        "[processes.ws]\ncommand='x'\n[groups]\nweb=['ws','emails']\n[reload]\nenabled=true\n[hooks]\non_fatal=['x']",
    })  # fmt: skip

    assert list(read.queues) == ["emails", "sms"]
    assert (read.queues["emails"].processes, read.logging.level) == (2, "error")
    assert (list(read.programs), read.groups) == (["ws"], {"web": ("ws", "emails")})
    assert (read.reload.enabled, read.hooks.on_fatal) == ("always", (("x",),))


@pytest.mark.parametrize("table", ["queues.emails", "defaults", "logging", "reload", "hooks", "groups"])
def test_a_table_in_two_files_is_refused_with_the_names_of_both(table: str) -> None:
    found = problems_of_files({
        "etc/queues.toml": APP + f"[queues.x]\n[{table}]",
        "etc/more.toml": f"\n[{table}]",
    })  # fmt: skip

    assert [(problem.file, problem.line, problem.key) for problem in found] == [("etc/more.toml", 2, table)]
    assert "etc/queues.toml:3 and etc/more.toml:2" in found[0].text


def test_what_concerns_the_whole_application_stands_in_the_main_file_only() -> None:
    found = problems_of_files({
        "etc/queues.toml": APP + "[queues.emails]",
        "etc/more.toml": "app = ['x']\nroot = '/'\npath = '.'\n[driver]\n[master]\nsurge = 1",
    })  # fmt: skip

    assert [(problem.line, problem.key) for problem in found] == [
        (1, "app"),
        (2, "root"),
        (3, "path"),
        (4, "driver"),
        (5, "master"),
    ]
    assert all(problem.hint == "move it to the main file, etc/queues.toml" for problem in found)


def test_problems_of_each_file_carry_its_name_and_its_lines() -> None:
    found = problems_of_files({
        "etc/queues.toml": APP + "[queues.emails]\n\nsurge = -1",
        "etc/more.toml": "[queues.sms]\nsurge = -2\n[wab]\n[proceses.x]",
    })  # fmt: skip

    assert [(problem.file, problem.line) for problem in found] == [
        ("etc/queues.toml", 4),
        ("etc/more.toml", 2),
        ("etc/more.toml", 3),
        ("etc/more.toml", 4),
    ]


def test_includes_are_patterns_with_references_expanded() -> None:
    document = read_document("a.toml", 'include = ["${DIR:-queues.d}/*.toml"]')

    assert includes_of(document, {}) == ("queues.d/*.toml",)
    with pytest.raises(ConfigError, match=r"a\.toml:1: include: must be a list of strings"):
        includes_of(read_document("a.toml", 'include = "x.toml"'), {})


# ── warnings


def test_a_written_grace_shorter_than_the_handle_timeout_is_warned_of() -> None:
    read = settings(APP + "[queues.emails]\ngrace = 10\n[queues.sms]\nhandle_timeout = 0\ngrace = 5")

    (warning,) = read.warnings
    assert (warning.line, warning.key) == (3, "queues.emails.grace")
    assert "10s is shorter than the handle_timeout" in warning.text


def test_a_written_grace_that_is_not_below_host_timeout_is_warned_of() -> None:
    (warning,) = settings(APP + '[defaults]\ngrace = "2m"\n[queues.emails]').warnings

    assert (warning.line, warning.key) == (3, "defaults.grace")
    assert "not below host_timeout, 30s" in warning.text


def test_the_masters_grace_is_held_to_the_same() -> None:
    read = settings(APP + '[master]\ngrace = "40s"\n[queues.emails]\n[queues.sms]\nhandle_timeout = "5m"')

    assert [warning.key for warning in read.warnings] == ["master.grace", "master.grace"]
    assert "[queues.sms], 5m" in read.warnings[0].text


def test_a_derived_grace_is_not_warned_of() -> None:
    assert settings(APP + '[queues.emails]\nhandle_timeout = "2h"').warnings == ()


# ── sync://


def test_with_sync_producers_can_work_and_start_has_nothing_to_run() -> None:
    read = settings(APP + '[driver]\nurl = "sync://"\n[queues.emails]\n[queues.sms]\nprocesses = 2')

    nothing = read.nothing_to_run()
    assert nothing is not None
    assert "nothing for start to run" in nothing.text
    assert [(warning.line, warning.key) for warning in read.warnings] == [(6, "queues.sms.processes")]


def test_with_a_store_there_is_something_to_run() -> None:
    assert settings(APP + "[queues.emails]").nothing_to_run() is None


# ── anything at all


def decoded_or_refused(text: str) -> None:
    try:
        decode_text(text, file=FILE, environ={"A": "1"}, facts=Facts())
    except ConfigError as error:
        assert error.problems
        assert all(0 <= problem.line <= text.count("\n") + 1 for problem in error.problems)
        assert str(error)


@given(st.text())
def test_arbitrary_text_is_decoded_or_refused(text: str) -> None:
    decoded_or_refused(text)


PIECES = st.sampled_from(
    [
        "app",
        "root",
        "path",
        "include",
        "driver",
        "master",
        "defaults",
        "queues",
        "processes",
        "groups",
        "command",
        "after",
        "emails",
        "logging",
        "url",
        "host",
        "password",
        "prefix",
        "grace",
        "serves",
        "processes",
        "retry_seconds",
        "max_memory",
        "base",
        "a.b",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        ",",
        ".",
        "#",
        "\n",
        "\n",
        "\n",
        '"',
        "'",
        '"""',
        "0",
        "-1",
        "1e999",
        "nan",
        "true",
        "5",
        "'sync://'",
        "'redis://x:y@z'",
        "'sqlite:///a'",
        "'${A}'",
        "'${B}'",
        "'${'",
        "'off'",
        "'shop'",
        "['x']",
        "{a=1}",
        "1979-05-27",
        "07:32:00",
    ]
)


@given(st.lists(PIECES, max_size=40).map(" ".join))
@examples(max_examples=1000, deadline=None)
def test_text_made_of_our_own_words_is_decoded_or_refused(text: str) -> None:
    decoded_or_refused(text)


VALUES = st.sampled_from(
    [
        "0",
        "-1",
        "3",
        "1e999",
        "nan",
        "true",
        "''",
        "'x'",
        "'5s'",
        "'1MiB'",
        "[]",
        "['emails']",
        "[[1]]",
        "{}",
        "{base=1}",
        "{base={}}",
        "'${A}'",
        "'${B}'",
        "'sync://'",
        "'redis://h:p@x/1'",
        "'sqlite:///x'",
        "1979-05-27",
        "'~'",
        "'a${index}'",
        "'tcp:80${index}'",
        "'line:('",
        "'a \"b'",
        "[1, 2]",
        "[['a']]",
        "{as=[1, 'unlimited']}",
        "{A='${name}'}",
        "{check='http://x'}",
        '"\\u0000"',
    ]
)


@given(
    st.sampled_from(
        [
            "",
            "driver",
            "master",
            "defaults",
            "queues.emails",
            "processes.clock",
            "logging",
            "reload",
            "hooks",
            "web",
        ]
    ),
    st.data(),
)
@examples(max_examples=500, deadline=None)
def test_any_value_of_any_key_is_decoded_or_refused(table: str, data: st.DataObject) -> None:
    from procqueue.core.settings import keys

    known = {
        "": keys.TOP, "driver": keys.DRIVER, "master": keys.MASTER, "logging": keys.LOGGING,
        "reload": keys.RELOAD, "hooks": keys.HOOKS, "web": keys.WEB, "processes.clock": keys.PROGRAM,
    }.get(table, keys.QUEUE)  # fmt: skip
    chosen = data.draw(st.dictionaries(st.sampled_from(sorted(known)), VALUES))
    lines = [f"[{table}]"] * bool(table) + [f"{key} = {value}" for key, value in chosen.items()]

    decoded_or_refused("\n".join(lines))


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 5000 + "]" * 5000,
        "a = " + "{a = " * 5000 + "1" + "}" * 5000,
        "a = " + "[" * 100 + "]" * 100,
        "a." * 3000 + "a = 1",
        "[" + "a." * 3000 + "a]",
        "a = " + "9" * 5000,
        "app = " + "0x" + "f" * 100_000,
    ],
    ids=["arrays", "inline tables", "hundred arrays", "dotted key", "table header", "digits", "hexadecimal"],
)
def test_texts_made_to_hurt_are_refused_like_others(text: str) -> None:
    decoded_or_refused(text)
