"""The wire: what is written comes back exactly, and whatever cannot be read is refused with its reason."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procqueue.core import wire
from procqueue.core.traits import PLAIN, Traits
from procqueue.core.wire import MAX_DEPTH, Unreadable, decode, encode, is_id, is_queue_name

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


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (b'"priority":10', "`priority` is 10, not between -9 and 9"),
        (b'"priority":-99999999999999999999', "."),
        (b'"expires":-1', "`expires` is not between 0 and 100 years"),
        (b'"expires":4000000000000000', "`expires` is not between 0 and 100 years"),
        (b'"expires":5000,"delay":5000', "`expires` is not later than `delay`"),
        (b'"unique":""', "`unique` is '', not 1 to 250 printable characters"),
        (b'"unique":"a\\u0000b"', "`unique` is"),
        (b'"unique":"%s"' % (b"x" * 251), "`unique` is"),
        (b'"unique":true', "."),
    ],
)
def test_what_cannot_be_asked_for_is_unreadable(keys: bytes, reason: str) -> None:
    with pytest.raises(wire.Unreadable, match=reason):
        decode(b'{"task":"a.b",%s}' % keys)


def test_unknown_keys_are_ignored() -> None:
    body = b'{"task":"a.b","of_tomorrow":[{}]}'

    assert decode(body) == wire.Document(task="a.b")


@pytest.mark.parametrize("number", [2**53 + 1, 2**64, -(2**64), 10**4299, -(10**4298)], ids=len_of)
def test_big_integers_are_kept_exactly(number: int) -> None:
    assert decode(encode("a.b", [number])).args == [number]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON"),
        (b'{"task":"a.b"', "not JSON"),
        (b'{"task":"a.b"} x', "trailing"),
        (b"[1]", "Expected `object`, got `array`"),
        (b"{}", "missing required field `task`"),
        (b'{"task":""}', "`task` is empty"),
        (b'{"task":7}', "Expected `str`, got `int` - at `$.task`"),
        (b'{"task":"a","args":{}}', "Expected `array`, got `object` - at `$.args`"),
        (b'{"task":"a","kwargs":[]}', "Expected `object`, got `array` - at `$.kwargs`"),
        (b'{"task":"a","lax":1}', "Expected `bool`, got `int` - at `$.lax`"),
        (b'{"task":"a","delay":"10m"}', "Expected `int`, got `str` - at `$.delay`"),
        (b'{"task":"a","delay":-1}', "`delay` is not between"),
        (b'{"task":"a","delay":99999999999999}', "`delay` is not between"),
        (b'{"task":"a","at":-1}', "`at` is not a moment"),
        (b'{"task":"a","at":1795000000000000}', "`at` is not a moment"),
        (b'{"task":"a","meta":1}', "Expected `object`, got `int` - at `$.meta`"),
        (b'{"task":"a","id":"a b"}', "`id` is 'a b'"),
        (b'{"task":"a","id":""}', "`id` is ''"),
        (b'{"task":"a","v":2}', "version 2 is newer than this procqueue"),
        (b'{"task":"a","v":0}', "there is no version 0"),
        (b'{"task":"a","args":[NaN]}', "not JSON"),
        (b'{"task":"a","args":[Infinity]}', "not JSON"),
        (b'{"task":"a","args":[-Infinity]}', "not JSON"),
        (b'{"task":"a","args":[1e400]}', "too large for a floating-point number"),
        (b'{"task":"a","args":[1' + b"0" * 4300 + b"]}", "more than 4300 digits"),
        (b'{"task":"a\xff"}', "not UTF-8"),
        (b'{"task":"a","else":"\xff"}', "not UTF-8"),
        (b'{"task":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"task":"a","args":["\\ud800 alone"]}', "not JSON"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as refused:
        decode(body)

    assert reason in str(refused.value)


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


def test_numbers_keep_their_kind() -> None:
    args = decode(b'{"task":"a","args":[1,1.0,-0.0,true,null]}').args

    assert [type(value) for value in args] == [int, float, float, bool, type(None)]
    assert math.copysign(1, args[2]) == -1


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
