"""Arguments: what is pushed arrives in its annotated type, or is refused where it was pushed."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from procqueue import BadArguments
from procqueue.core import wire
from procqueue.tasks.arguments import Arguments, encode
from tests.tasks.samples import Address, Colour, Customer, Later, later_defined, plain

if TYPE_CHECKING:
    from nowhere import Unresolvable  # type: ignore[import-not-found]


class Number(enum.IntEnum):
    ONE = 1


class Point(NamedTuple):
    x: int
    y: int


class Options(TypedDict):
    size: int


class Frame(msgspec.Struct):
    name: str
    tags: set[str] = set()


@dataclass
class Positive:
    value: int

    def __post_init__(self) -> None:
        if self.value < 0:
            raise KeyError("negative")


class Opaque:
    pass


def received(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    """What a consumer would call `function` with."""
    body, _ = encode("shop.task", args, kwargs)
    return Arguments(function).bind(wire.decode(body))


def typed(annotation: Any) -> Callable[..., Any]:
    def handler(value: Any) -> None: ...

    handler.__annotations__ = {"value": annotation}
    return handler


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, 2**80),
        (str, "é😀\0"),
        (float, 0.1),
        (bool, True),
        (None, None),
        (list, [1, [2]]),
        (dict, {"a": {"b": None}}),
        (datetime, datetime(2026, 1, 2, 3, 4, 5, 678, UTC)),
        (date, date(2026, 1, 2)),
        (timedelta, timedelta(hours=1, microseconds=5)),
        (uuid.UUID, uuid.UUID(int=7)),
        (Decimal, Decimal("1.10")),
        (bytes, b"\0\xff"),
        (Colour, Colour.BLUE),
        (Number, Number.ONE),
        (Customer, Customer("Ada", Address("Turin", 10100), Colour.BLUE)),
        (list[Customer], [Customer("Ada", Address("Turin", 10100))]),
        (tuple[int, str], (1, "a")),
        (set[int], {1, 2}),
        (frozenset[str], frozenset({"a"})),
        (dict[int, str], {1: "a"}),
        (dict[Colour, int], {Colour.RED: 1}),
        (Point, Point(1, 2)),
        (Options, {"size": 3}),
        (Frame, Frame("a", {"x"})),
        (int | None, None),
        (Literal["a", "b"], "b"),
        ("int", 5),
        (Any, {"anything": [1]}),
        (object, [1]),
    ],
)
def test_a_value_arrives_equal_and_in_its_annotated_type(annotation: Any, value: Any) -> None:
    (arrived,), _ = received(typed(annotation), value)

    assert arrived == value
    assert type(arrived) is type(value)


def test_a_whole_number_arrives_as_the_float_that_is_annotated() -> None:
    (arrived,), _ = received(typed(float), 3)

    assert (arrived, type(arrived)) == (3.0, float)


def test_types_defined_after_the_function_are_found() -> None:
    assert received(later_defined, Later(3)) == ([Later(3)], {})


def test_without_annotations_arguments_arrive_as_json_has_them() -> None:
    def handler(a, b, *rest, **others):  # type: ignore[no-untyped-def]
        ...

    args, kwargs = received(handler, Customer("Ada", Address("Turin", 1)), (1, 2), {3}, day=date(2026, 1, 2))

    assert args == [
        {"name": "Ada", "home": {"city": "Turin", "zip": 1, "avatar": None}, "colour": "red"}, [1, 2], [3],
    ]  # fmt: skip
    assert kwargs == {"day": "2026-01-02"}


def test_annotations_that_cannot_be_resolved_or_converted_pass_through() -> None:
    def handler(a: Unresolvable, b: Opaque, c: list[Opaque], d: int) -> None: ...

    with pytest.raises(BadArguments, match="argument 'd'"):
        received(handler, 1, {"x": 1}, ["y"], "no number")

    assert received(handler, 1, {"x": 1}, ["y"], 5) == ([1, {"x": 1}, ["y"], 5], {})


def test_none_fits_where_it_is_the_default() -> None:
    def handler(lang: str = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013

    assert received(handler, None) == ([None], {})


def test_annotations_of_rest_and_others_hold_for_each_of_them() -> None:
    def handler(first: str, *rest: date, key: int = 0, **others: uuid.UUID) -> None: ...

    args, kwargs = received(handler, "a", date(2026, 1, 2), date(2026, 1, 3), key=1, who=uuid.UUID(int=1))

    assert args == ["a", date(2026, 1, 2), date(2026, 1, 3)]
    assert kwargs == {"key": 1, "who": uuid.UUID(int=1)}
    with pytest.raises(BadArguments, match=r"argument args\[2\]: "):
        received(handler, "a", date(2026, 1, 2), "someday")
    with pytest.raises(BadArguments, match="argument 'who': "):
        received(handler, "a", who="nobody")


def both(a: int, /, b: int, *, c: int, d: int = 0) -> None: ...


def anything(a: int, /, **others: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "reason"),
    [
        (plain, (), {}, "missing a required argument: 'user_id'"),
        (plain, (1, "en", 3), {}, "too many positional arguments"),
        (plain, (1,), {"user_id": 1}, "multiple values for argument 'user_id'"),
        (plain, (1,), {"long": "en"}, "unexpected keyword argument 'long'"),
        (both, (1, 2), {}, "argument: 'c'"),
        (both, (1,), {"c": 1}, "missing a required argument: 'b'"),
        (both, (), {"a": 1, "b": 1, "c": 1}, "'a'"),
        (both, (1, 2, 3), {"c": 1}, "too many positional arguments"),
    ],
)
def test_arguments_that_do_not_fit_the_signature_are_refused(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadArguments) as refused:
        received(function, *args, **kwargs)

    assert reason in str(refused.value)
    assert "the signature is (" in str(refused.value)


def test_a_keyword_named_like_a_positional_only_parameter_is_one_of_the_others() -> None:
    assert received(anything, 1, a=2) == ([1], {"a": 2})


@given(
    count=st.integers(0, 4),
    names=st.sets(st.sampled_from("abcde")),
    which=st.sampled_from([both, plain, anything]),
)
def test_a_call_fits_exactly_if_python_itself_would_take_it(
    count: int, names: set[str], which: Callable[..., Any]
) -> None:
    arguments = Arguments(which)
    document = wire.Document(task="t", args=[1] * count, kwargs=dict.fromkeys(names, 1))

    try:
        arguments._signature.bind(*document.args, **document.kwargs)
        fits = True
    except TypeError:
        fits = False
    try:
        arguments._fit(document.args, document.kwargs)
        found = True
    except BadArguments:
        found = False

    assert found is fits


@pytest.mark.parametrize(
    ("annotation", "value", "reason"),
    [
        (int, "5", "argument 'value': Expected `int`, got `str`"),
        (int, True, "argument 'value': Expected `int`, got `bool`"),
        (str, 5, "argument 'value': Expected `str`, got `int`"),
        (datetime, "tomorrow", "argument 'value': Invalid RFC3339 encoded datetime"),
        (Colour, "green", "argument 'value': Invalid enum value 'green'"),
        (Address, {"city": "Turin"}, "argument 'value': Object missing required field `zip`"),
        (Customer, {"name": "a", "home": {"city": 1, "zip": 1}}, "got `int` - at `home.city`"),
        (list[int], [1, "a"], "argument 'value': Expected `int`, got `str` - at `[1]`"),
        (Positive, {"value": -1}, "argument 'value': KeyError: 'negative'"),
    ],
)
def test_a_mismatch_names_the_argument_and_the_reason(annotation: Any, value: Any, reason: str) -> None:
    with pytest.raises(BadArguments) as refused:
        received(typed(annotation), value)

    assert reason in str(refused.value)


LOOP: list[Any] = []
LOOP.append(LOOP)


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("args", "kwargs", "reason"),
    [
        ((1, Address("Turin", 1, Opaque())), {}, "args[1].avatar: a Opaque has no form in JSON"),
        (({"list": [1, Opaque()]},), {}, "args[0]['list'][1]: a Opaque has no form in JSON"),
        ((), {"who": Opaque()}, "kwargs['who']: a Opaque has no form in JSON"),
        ((Frame("a", {Opaque()}),), {}, "args[0].tags[0]: a Opaque has no form"),  # type: ignore[arg-type]
        ((float("nan"),), {}, "args[0]: nan is not in JSON"),
        (([1.0, float("-inf")],), {}, "args[0][1]: -inf is not in JSON"),
        ((Address("a", float("nan")),), {}, "args[0].zip: nan is not in JSON"),  # type: ignore[arg-type]
        (("ok", "\ud800"), {}, "args[1]: the text cannot be UTF-8"),
        (({"\ud800": 1},), {}, "args[0]: the text cannot be UTF-8"),
        (({(1, 2): 3},), {}, "args[0]: (1, 2) cannot be a key in JSON"),
        (({None: 3},), {}, "args[0]: None cannot be a key in JSON"),
        (({True: 3},), {}, "args[0]: True cannot be a key in JSON"),
        (({1.5: 3},), {}, "args[0]: 1.5 cannot be a key in JSON"),
        (({1: "a", "1": "b"},), {}, "args[0]: two keys become '1' in JSON"),
        ((10**4300,), {}, "args[0]: the number has more than 4300 digits"),
        ((deep(63),), {}, "more than 64 deep"),
        ((LOOP,), {}, "more than 64 deep"),
        ((iter([1]),), {}, "args[0]: a list_iterator has no form in JSON"),
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_path(
    args: tuple[Any, ...], kwargs: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadArguments) as refused:
        encode("shop.task", args, kwargs)

    assert str(refused.value).startswith("shop.task: ")
    assert reason in str(refused.value)


def test_62_lists_in_each_other_are_not_too_deep() -> None:
    _, document = encode("shop.task", (deep(62),), {})

    assert document.args == [deep(62)]


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "42", 42),
        (float, "1.5", 1.5),
        (bool, "true", True),
        (int | None, "null", None),
        (str, "42", "42"),
        (Any, "42", "42"),
        (date, "2026-01-02", date(2026, 1, 2)),
        (Colour, "blue", Colour.BLUE),
        (Number, "1", Number.ONE),
        (Decimal, "1.10", Decimal("1.10")),
    ],
)
def test_lax_arguments_are_converted_from_text(annotation: Any, text: str, value: Any) -> None:
    document = wire.decode(wire.encode("shop.task", [text], lax=True))

    assert Arguments(typed(annotation)).bind(document) == ([value], {})


def test_lax_arguments_that_do_not_fit_are_refused() -> None:
    document = wire.decode(wire.encode("shop.task", [], {"user_id": "many"}, lax=True))

    with pytest.raises(BadArguments, match="argument 'user_id': Expected `int`, got `str`"):
        Arguments(plain).bind(document)
