"""References to the environment: where they stand, what they may feed, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procqueue.core.settings.expand import Fed, expand
from procqueue.core.settings.wrong import Wrongs
from tests.core.settings.reading import APP, only_problem, problems, settings

ENVIRON = {"HOST": "db1", "EMPTY": "", "N": "4"}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("plain $HOME $ {x}", "plain $HOME $ {x}"),
        ("${HOST}", "db1"),
        ("a-${HOST}-${N}", "a-db1-4"),
        ("${MISSING:-there}", "there"),
        ("${MISSING:-}", ""),
        ("${EMPTY:-there}", "there"),
        ("${EMPTY}", ""),
        ("${HOST:-there}", "db1"),
        ("$${HOST}", "${HOST}"),
        ("pa$$word", "pa$$word"),
        (["${HOST}", 1], ["db1", 1]),
        ({"a": {"b": "${N}"}}, {"a": {"b": "4"}}),
        (7, 7),
    ],
)
def test_references_are_replaced_inside_strings_only(written: object, expected: object) -> None:
    assert expand(written, ENVIRON) == expected


@pytest.mark.parametrize("written", ["${", "${}", "${HOST", "${a-b}", "${1X}", "x ${HOST:x}", "${A:-${B}}"])
def test_a_malformed_reference_is_refused(written: str) -> None:
    with pytest.raises(Wrongs, match=r"\$\{"):
        expand(written, ENVIRON)


def test_all_unset_variables_of_a_value_are_named_at_once() -> None:
    with pytest.raises(Wrongs) as caught:
        expand(["${FIRST}", "x${SECOND}"], ENVIRON)

    assert ["FIRST" in wrong.text or "SECOND" in wrong.text for wrong in caught.value.wrongs] == [True, True]


def test_only_a_lone_reference_may_feed_other_types() -> None:
    assert isinstance(expand("${N}", ENVIRON), Fed)
    assert not isinstance(expand("${N} ", ENVIRON), Fed)


@given(st.text())
def test_any_string_is_expanded_or_refused(text: str) -> None:
    try:
        assert isinstance(expand(text, ENVIRON), str)
    except Wrongs as error:
        assert error.wrongs


def test_a_lone_reference_feeds_a_key_of_any_type() -> None:
    text = """
        app = "${APP}"
        [queues.emails]
        enabled = "${ON}"
        processes = "${N:-2}"
        jitter = "${JITTER}"
        max_memory = "${MEMORY}"
        handle_timeout = "${SECONDS}"
        retry_seconds = "${RETRY}"
        serves = "${SERVES}"
        preload = "${PRELOAD}"
        [queues.urgent]
        retry_seconds = "${TABLE}"
        app = "${LIST}"
    """
    environ = {
        "APP": "shop.tasks, shop.more",
        "ON": "no",
        "JITTER": "0.25",
        "MEMORY": "256MiB",
        "SECONDS": "90",
        "RETRY": "1, 2m",
        "SERVES": "urgent,emails",
        "PRELOAD": "false",
        "TABLE": "{base = 3}",
        "LIST": '["a.b"]',
    }

    read = settings(text, environ)

    emails = read.queues["emails"]
    assert read.app == ("shop.tasks", "shop.more")
    assert (emails.enabled, emails.processes, emails.jitter) == (False, 2, 0.25)
    assert (emails.max_memory, emails.handle_timeout) == (256 << 20, 90.0)
    assert emails.retry_seconds.listed == (1.0, 120.0)
    assert (emails.serves, emails.preload) == (("urgent", "emails"), "never")
    assert read.queues["urgent"].retry_seconds.base == 3
    assert read.queues["urgent"].app == ("a.b",)


def test_a_quoted_number_that_is_no_reference_stays_a_mistake() -> None:
    problem = only_problem(APP + '[queues.emails]\nprocesses = "4"')

    assert problem.hint == "remove the quotes"


def test_a_variable_with_a_useless_value_is_told_at_the_key_that_it_feeds() -> None:
    problem = only_problem(APP + '[queues.emails]\nprocesses = "${N}"', {"N": "many"})

    assert (problem.line, problem.key) == (3, "queues.emails.processes")
    assert '"many"' in problem.text


def test_an_unset_variable_is_told_with_its_name_line_and_remedy() -> None:
    found = problems(APP + '[driver]\npassword = "${REDIS_PASSWORD}"\n[queues.emails]\nprocesses = "${N}"')

    assert [(problem.line, problem.key) for problem in found] == [
        (3, "driver.password"),
        (5, "queues.emails.processes"),
    ]
    assert "REDIS_PASSWORD" in found[0].text
    assert "${REDIS_PASSWORD:-default}" in found[0].hint


def test_a_variable_cannot_add_keys() -> None:
    read = settings(APP + '[master]\nname = "${NAME}"\n[queues.emails]', {"NAME": 'x" state_dir = "/tmp'})

    assert read.master.state_dir == "/srv/shop/run"


def test_no_value_of_the_settings_is_anything_but_a_plain_string() -> None:
    text = 'app = ["${M}"]\n[driver]\nprefix = "${M}"\n[queues.emails]\non_timeout = "${T}"'

    read = settings(text, {"M": "shop", "T": "park"})

    assert type(read.app[0]) is type(read.driver.prefix) is str
