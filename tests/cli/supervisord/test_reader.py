# ruff: noqa: E501
"""The reader has the quirks of Supervisor's, and names the line of whatever it cannot read."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from procqueue.cli.supervisord.expand import Names, once
from procqueue.cli.supervisord.reader import Conf, Unreadable, read
from procqueue.cli.supervisord.translate import translate
from procqueue.config import load
from procqueue.core.errors import ConfigError
from tests.cli.supervisord.translating import ENVIRON


def conf_of(folder: Path, text: str | bytes) -> Conf:
    file = folder / "supervisord.conf"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(str(file), once(Names({"host_node_name": "machine"}, ENVIRON), ENVIRON))


def test_a_semicolon_or_hash_after_a_blank_cuts_a_value_and_is_a_finding(tmp_path: Path) -> None:
    conf = conf_of(tmp_path, "[program:x]\ncommand=sh -c 'a ; b'\nprocess_name=a;b#c # no\n")

    assert conf.sections["program:x"]["command"].value == "sh -c 'a"
    assert conf.sections["program:x"]["process_name"].value == "a;b#c"
    assert [(one.place.line, "command is cut" in one.text) for one in conf.findings] == [(2, True)]


def test_a_section_or_key_that_stands_twice_is_merged_and_a_finding(tmp_path: Path) -> None:
    conf = conf_of(tmp_path, "[program:x]\ncommand=a\nuser=u\n[b]\n[program:x]\ncommand=b\n")

    options = conf.sections["program:x"]
    assert (options["command"].value, options["command"].place.line) == ("b", 6)
    assert (options["user"].value, options["user"].place.line) == ("u", 3)
    assert sorted(one.place.line for one in conf.findings) == [5, 6]


def test_keys_are_lower_cased_colons_divide_and_lines_go_on(tmp_path: Path) -> None:
    conf = conf_of(tmp_path, "[program:x]\nCommand: a\n  b\n\n  c\nuser = u\n")

    assert conf.sections["program:x"]["command"].value == "a\nb\n\nc"
    assert conf.sections["program:x"]["user"].place.line == 6


def test_defaults_stand_in_every_section(tmp_path: Path) -> None:
    conf = conf_of(tmp_path, "[DEFAULT]\nuser=u\n[program:x]\ncommand=a\n[program:y]\nuser=w\n")

    assert conf.sections["program:x"]["user"].value == "u"
    assert conf.sections["program:y"]["user"].value == "w"


def test_includes_are_sorted_per_pattern_and_here_is_the_directory_of_each_file(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "b.conf").write_text("[program:x]\ncommand=b %(here)s\n[include]\nfiles=more\n")
    (tmp_path / "d" / "a.conf").write_text("[program:x]\ncommand=a %(here)s\n[program:y]\ncommand=%(here)s\n")
    conf = conf_of(tmp_path, "[program:z]\ncommand=%(here)s\n[include]\nfiles=%(here)s/d/*.conf none*.conf\n")

    assert conf.sections["program:x"]["command"].value == f"b {tmp_path}/d"
    assert conf.sections["program:y"]["command"].value == f"{tmp_path}/d"
    assert conf.sections["program:z"]["command"].value == str(tmp_path)
    assert conf.sections["program:x"]["command"].place == (f"{tmp_path}/d/b.conf", 2)
    texts = " ".join(one.text for one in conf.findings)
    assert "no file matches" in texts and "includes nothing" in texts and "merged" in texts


def test_the_variable_of_an_include_has_its_value(tmp_path: Path) -> None:
    (tmp_path / "blue.conf").write_text("[program:x]\ncommand=a\n")

    assert "program:x" in conf_of(tmp_path, "[include]\nfiles=%(ENV_COLOUR)s.conf\n").sections


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a=b\n", 1), ("[a]\nb\n", 2), ("[a]\n=c\n", 2), (b"[a]\nb=\xff\n", 2), ("[a]\nb=\0\n", 2),
        ("[include]\n", 1), ("[a]\nb=1\n\n[include]\nfiles=%(ENV_NONE)s\n", 5), ("[include]\nfiles=%(x\n", 2),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_error_with_its_line(tmp_path: Path, text: str | bytes, line: int) -> None:
    with pytest.raises(Unreadable) as error:
        conf_of(tmp_path, text)

    assert error.value.place.line == line


def test_a_file_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="no such file"):
        read(str(tmp_path / "none.conf"), lambda text, _: text)


KEYS = ("command", "environment", "numprocs", "process_name", "stopsignal", "exitcodes", "stdout_logfile",
        "directory", "user", "umask", "priority", "autorestart", "startretries", "stdout_logfile_maxbytes",
        "programs", "stopwaitsecs", "numprocs_start", "loglevel", "logfile", "events", "redirect_stderr",
        "chmod", "chown", "identifier", "stdout_syslog", "killasgroup", "stopasgroup", "startsecs")  # fmt: skip
PIECES = ("%(process_num)d", "%(process_num)02d", "%(ENV_COLOUR)s", "%(ENV_NONE)s", "%(here)s", "%%", "%", "$",
          "${", "}", "'", '"', ",", "=", " ", "\\", "1", "0", "-1", "a", "x", "/", "~", "é", "KB", "true",
          "AUTO", "\t", ";", " ;", "[", "]", ":", "%(ENV_WORDS)s", "%(program_name)s_", "memmon -p x=1MB")  # fmt: skip
VALUES = st.lists(st.sampled_from(PIECES), max_size=5).map("".join)
SECTIONS = st.sampled_from(
    ("program:x", "program:Y z", "program:all", "group:x", "group:g", "supervisord", "eventlistener:e", "include",
     "unix_http_server", "fcgi-program:f", "DEFAULT", "whatever", "program:")
)  # fmt: skip
OPTIONS = st.lists(st.tuples(st.sampled_from(KEYS), VALUES), max_size=6)
FILES = st.lists(st.tuples(SECTIONS, OPTIONS), max_size=5)


def text_of(sections: list[tuple[str, list[tuple[str, str]]]]) -> str:
    lines = []
    for name, options in sections:
        lines += [f"[{name}]", *(f"{key}={value}" for key, value in options)]
    return "\n".join(lines) + "\n"


#: A program that Supervisor would take, with up to three of its keys replaced by something else.
ONE = OPTIONS.map(lambda options: text_of([("program:x", [("command", "run it"), *options[:3]])]))


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(ONE, FILES.map(text_of), st.text(max_size=200), st.binary(max_size=200)))
def test_any_file_is_translated_to_what_we_can_read_or_is_a_clear_error(
    tmp_path: Path, text: str | bytes
) -> None:
    try:
        text = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
        found = translate(conf_of(tmp_path, text), ENVIRON, "machine", order=False)
    except Unreadable as error:
        assert error.text
        return
    except ConfigError as error:
        assert all(problem.text for problem in error.problems)
        return
    if not found.programs:
        return
    out = tmp_path / "queues.toml"
    out.write_text(found.text)
    load(str(out), {**ENVIRON, **dict.fromkeys(found.unset, "x")})
