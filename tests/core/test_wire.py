"""The wire: what is written comes back exactly, and whatever cannot be read is refused with its reason."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from procqueue.core import wire
from procqueue.core.traits import PLAIN, Traits
from procqueue.core.wire import MAX_DEPTH, Unreadable, decode, encode, is_id, is_queue_name

WIRE = Path(__file__).parent.parent / "wire"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def len_of(number: int) -> str:
    """Names a test by the size of its number rather than by its digits."""
    return f"{number.bit_length()}-bits"


@given(args=st.lists(JSON, max_size=3), kwargs=st.dictionaries(st.text(), JSON, max_size=3))
def test_arguments_come_back_exactly_as_they_were_written(args: list[Any], kwargs: dict[str, Any]) -> None:
    document = decode(encode("shop.tasks.welcome", args, kwargs))

    assert repr((document.args, document.kwargs)) == repr((args, kwargs))


@given(body=st.binary())
def test_any_bytes_are_a_document_or_unreadable_and_nothing_else(body: bytes) -> None:
    try:
        decode(body)
    except Unreadable as error:
        assert str(error)


def test_every_key_comes_back() -> None:
    body = encode(
        "a.b",
        [1],
        {"k": 2},
        id="order-7",
        lax=True,
        delay_ms=600_000,
        at_ms=1_795_000_000_000,
        meta={"t": "x"},
    )

    document = decode(body)

    assert body.startswith(b'{"v":1,"id":"order-7","task":"a.b",')
    assert (document.id, document.task, document.args, document.kwargs) == ("order-7", "a.b", [1], {"k": 2})
    assert (document.lax, document.delay_ms, document.at_ms, document.meta) == (
        True, 600_000, 1_795_000_000_000, {"t": "x"},
    )  # fmt: skip


def test_only_the_task_is_required() -> None:
    document = decode(b'{"task":"a.b"}')

    assert document == wire.Document(task="a.b")
    assert (document.id, document.args, document.kwargs, document.lax) == (None, [], {}, False)


def test_what_is_left_at_its_default_is_not_written() -> None:
    assert encode("a.b") == b'{"v":1,"task":"a.b"}'


def test_what_it_asks_for_is_read_and_written() -> None:
    traits = Traits(priority=-3, expires_ms=300_000, unique="order 7")

    body = encode("a.b", delay_ms=1000, traits=traits)

    assert decode(body).traits == traits
    assert decode(b'{"task":"a.b"}').traits is PLAIN


@pytest.mark.parametrize("number", [2**53 + 1, 2**64, -(2**64), 10**4299, -(10**4298)], ids=len_of)
def test_big_integers_are_kept_exactly(number: int) -> None:
    assert decode(encode("a.b", [number])).args == [number]


def vectors(name: str) -> list[dict[str, Any]]:
    """Return the documents of a file of tests/wire, which are there for other languages too."""
    found = json.loads((WIRE / name).read_text())["documents"]
    return [
        {**one, "body": base64.b64decode(one["base64"]) if "base64" in one else one["body"].encode()}
        for one in found
    ]


@pytest.mark.parametrize("vector", vectors("valid.json"), ids=lambda vector: vector["name"])
def test_what_other_languages_write_is_read_as_the_vectors_say(vector: dict[str, Any]) -> None:
    document = msgspec.to_builtins(decode(vector["body"]))

    # As text: 1, 1.0 and true are equal, but not the same.
    assert document.pop("v") == 1
    assert {key: repr(value) for key, value in document.items()} == {
        key: repr(value) for key, value in vector["decoded"].items()
    }


@pytest.mark.parametrize("vector", vectors("invalid.json"), ids=lambda vector: repr(vector["body"][:40]))
def test_what_cannot_be_read_is_refused_with_its_reason(vector: dict[str, Any]) -> None:
    with pytest.raises(Unreadable) as refused:
        decode(vector["body"])

    assert vector["error"] in str(refused.value)


def test_a_number_without_end_is_refused() -> None:
    with pytest.raises(Unreadable, match="more than 4300 digits"):
        decode(b'{"task":"a","args":[1' + b"0" * 4300 + b"]}")


def nested(depth: int) -> bytes:
    """A document whose arguments make it `depth` deep."""
    lists = depth - 1  # the document itself is depth 1, `args` is depth 2
    return b'{"task":"a","args":' + b"[" * lists + b"]" * lists + b"}"


def test_a_document_may_be_64_deep() -> None:
    assert len(decode(nested(MAX_DEPTH)).args) == 1


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, 200_000])
def test_a_deeper_document_is_refused(depth: int) -> None:
    with pytest.raises(Unreadable, match="more than 64 deep"):
        decode(nested(depth))


def test_depth_below_an_unknown_key_is_refused_too() -> None:
    body = b'{"task":"a","else":' + b'{"a":' * 70 + b"1" + b"}" * 70 + b"}"

    with pytest.raises(Unreadable, match="more than 64 deep"):
        decode(body)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    args: list[Any] = [[{"a": []}] for _ in range(200)] + ["[[[[" * 50]

    assert decode(encode("a.b", args)).args == args


@pytest.mark.parametrize("text", ["a", "01J9Z", "order:7@shop-eu_1.x", "x" * 128])
def test_an_id_of_the_allowed_characters_is_one(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize("text", ["", "!a", "a b", "a\n", "é", "a/b", "x" * 129])
def test_other_texts_are_no_ids(text: str) -> None:
    assert not is_id(text)


@pytest.mark.parametrize("text", ["emails", "0.a_b-c", "x" * 64])
def test_a_queue_name_is_short_and_in_small_letters(text: str) -> None:
    assert is_queue_name(text)


@pytest.mark.parametrize("text", ["", "Emails", "-a", "a\n", "é", "x" * 65])
def test_other_texts_are_no_queue_names(text: str) -> None:
    assert not is_queue_name(text)
