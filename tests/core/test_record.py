"""Records and notices: written once, read by any later version, small whatever the handler raised."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procqueue.core.record import MAX_ERROR, MAX_TRACEBACK, NoticeHeader, Record, notice_id, read_notice

RECORD = Record(
    began_ms=1_700_000_000_000,
    seconds=1.25,
    consumer="host.1.2",
    ticket=(1 << 53) - 1,
    outcome="raised",
    error="ValueError: no such customer",
    traceback="Traceback …\n  File …",
    cause={"signal": 9},
)
HEADER = NoticeHeader(
    id="m1",
    queue="emails",
    outcome="crashed",
    error="killed by signal 9",
    counters="0 3 0 0 0",
    consumer="host.1.2",
    cause={"signal": 9},
)
texts = st.text(st.characters(), max_size=50)  # also lone surrogates, zeros and line ends


@given(texts, texts, texts, st.none() | st.integers(0, 1 << 53), st.none() | st.floats(0, 1e9))
def test_a_record_is_one_line_and_back(
    error: str, traceback: str, consumer: str, began_ms: int | None, seconds: float | None
) -> None:
    record = replace(
        RECORD, error=error, traceback=traceback, consumer=consumer, began_ms=began_ms, seconds=seconds
    )

    line = record.encode()

    assert b"\n" not in line
    assert Record.decode(line) == record


def test_long_texts_keep_their_beginning_and_their_end() -> None:
    record = replace(RECORD, error="<" + "e" * 100_000 + ">", traceback="<" + "t" * 1_000_000 + ">")

    found = Record.decode(record.encode())

    assert len(found.error) <= MAX_ERROR + 3
    assert len(found.traceback) <= MAX_TRACEBACK + 3
    assert (found.error[0], found.error[-1]) == ("<", ">")
    assert (found.traceback[0], found.traceback[-1]) == ("<", ">")


def test_a_text_that_just_fits_is_not_cut() -> None:
    record = replace(RECORD, error="e" * MAX_ERROR, traceback="t" * MAX_TRACEBACK)

    assert Record.decode(record.encode()) == record


def test_what_a_newer_version_added_is_passed_over() -> None:
    document = json.loads(RECORD.encode())
    document["host"] = "north"

    assert Record.decode(json.dumps(document).encode()) == RECORD


def test_what_an_older_version_did_not_write_has_its_default() -> None:
    document = json.loads(RECORD.encode())
    del document["error"], document["traceback"], document["cause"]

    assert Record.decode(json.dumps(document).encode()) == replace(RECORD, error="", traceback="", cause={})


@pytest.mark.parametrize("line", [b"", b"{", b"\xff", b"none"])
def test_a_line_that_is_no_json_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"Expecting|decode"):
        Record.decode(line)


# Notices (law D15).


@given(texts, st.binary(max_size=200))
def test_d15_a_notice_carries_the_bytes_of_its_message_unchanged(error: str, body: bytes) -> None:
    header = replace(HEADER, error=error)

    assert read_notice(header.encode() + b"\n" + body) == (header, body)


def test_d15_a_notice_without_the_message_is_still_a_notice() -> None:
    assert read_notice(HEADER.encode()) == (HEADER, b"")
    assert read_notice(HEADER.encode() + b"\n") == (HEADER, b"")


def test_d15_the_error_in_a_notice_is_cut_too() -> None:
    header, _ = read_notice(replace(HEADER, error="e" * 100_000).encode())

    assert len(header.error) <= MAX_ERROR + 3


def test_d15_what_a_newer_version_added_to_a_notice_is_passed_over() -> None:
    document = json.loads(HEADER.encode()) | {"host": "north"}

    assert read_notice(json.dumps(document).encode() + b"\nbody") == (HEADER, b"body")


@pytest.mark.parametrize(
    "body", [b"", b"\n", b"{}", b"[]", b"1", b"null", b'"id"', b"\xff\n", b'{"id": "m1"}\nbody', b"{\n}"]
)
def test_d15_what_is_no_notice_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a notice|Expecting|decode"):
        read_notice(body)


def test_d15_the_id_of_a_notice_names_the_run() -> None:
    assert notice_id("m1", 12) == "!m1:12"
    assert notice_id("m1", 12) != notice_id("m1", 13)
