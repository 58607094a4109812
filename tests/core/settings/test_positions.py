"""The scanner finds the keys that tomli finds, on the lines where they stand."""

from __future__ import annotations

from typing import Any

import pytest
import tomli
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from procqueue.core.settings.positions import Path, lines_of


def keys_of(tree: Any, path: Path = ()) -> set[Path]:
    """All key paths of a parsed document; those inside arrays without their index."""
    found: set[Path] = set()
    if isinstance(tree, dict):
        for key, value in tree.items():
            found |= {(*path, key)} | keys_of(value, (*path, key))
    elif isinstance(tree, list):
        for item in tree:
            found |= keys_of(item, path)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\nb = 2\n", {("a",): 1, ("b",): 2}),
        ("[a.b]\nc = 1", {("a",): 1, ("a", "b"): 1, ("a", "b", "c"): 2}),
        ("\n\n[a]\r\n# x = 1\r\nb = 2", {("a",): 3, ("a", "b"): 5}),
        ("[ a . 'b.c' ]\n\"d\\te\" = 1", {("a",): 1, ("a", "b.c"): 1, ("a", "b.c", "d\te"): 2}),
        ('a = """\nb = 1\n"""\nc = 1', {("a",): 1, ("c",): 4}),
        ('a = """x""""" # "\nc = 1', {("a",): 1, ("c",): 2}),
        ("a = '''\n[b]\n''''\nc = 1", {("a",): 1, ("c",): 4}),
        ('a = """\\"""b = 1\n"""\nc = 1', {("a",): 1, ("c",): 3}),
        ("a = [ # [x]\n  '[', # ]\n  1979-05-27 07:32:00,\n]\nc = 1", {("a",): 1, ("c",): 5}),
        ("a = {b = {c = 1}, d.e = '}'}\nf = 1", {("a",): 1, ("a", "b"): 1, ("a", "b", "c"): 1,
                                                  ("a", "d"): 1, ("a", "d", "e"): 1, ("f",): 2}),
        ("a = [\n  {b = 1},\n  {c = 2},\n]", {("a",): 1, ("a", "b"): 2, ("a", "c"): 3}),
        ("[[a]]\nb = 1\n[[a]]\nb = 2\nc = 3", {("a",): 1, ("a", "b"): 2, ("a", "c"): 5}),
        ("a=-inf\nb=0x1F\nc=1e5#x\nd=true", {("a",): 1, ("b",): 2, ("c",): 3, ("d",): 4}),
        ("", {}),
        ("# nothing", {}),
    ],
)  # fmt: skip
def test_keys_are_found_on_their_lines(text: str, expected: dict[Path, int]) -> None:
    assert lines_of(text) == expected
    assert keys_of(tomli.loads(text)) == set(expected)


AWKWARD = st.text(alphabet="ab.#=[]{}\"'\\,\n\t é${", max_size=12)
KEYS = st.one_of(st.from_regex(r"[a-zA-Z0-9_-]{1,4}", fullmatch=True), AWKWARD)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False),
    st.datetimes(),
    st.dates(),
    st.times(),
    AWKWARD,
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=6)
TREES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(KEYS, VALUES, max_size=4),
    lambda inner: st.dictionaries(
        KEYS, st.one_of(VALUES, inner, st.lists(inner, min_size=1, max_size=2)), max_size=4
    ),
    max_leaves=8,
)


class Writer:
    """Writes a tree as TOML in one of the many ways that TOML has, noting where each key came to stand."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[Path, int] = {}

    def table(self, tree: dict[str, Any], path: Path) -> None:
        later: list[tuple[Path, Any]] = []
        for key, value in tree.items():
            here = (*path, key)
            as_tables = isinstance(value, dict) or _is_array_of_tables(value)
            if as_tables and self.draw(st.booleans()):
                later.append((here, value))
                continue
            self.pair(here, [key], value)
            self.text += self.draw(st.sampled_from(["\n", " # = [x]\n", "\r\n", "\n\n\t\n"]))
        for here, value in later:
            for item in value if isinstance(value, list) else [value]:
                self.header(here, isinstance(value, list))
                self.table(item, here)

    def header(self, path: Path, is_array: bool) -> None:
        self.note(path)
        dotted = self.draw(st.sampled_from([".", " . "])).join(self.key(part) for part in path)
        self.text += f"[[ {dotted}]]\n" if is_array else f"[{dotted} ] # [no]\n"

    def pair(self, path: Path, keys: list[str], value: Any) -> None:
        """One `key = value`; a table of one key may become a dotted key."""
        if isinstance(value, dict) and len(value) == 1 and self.draw(st.booleans()):
            (key, inner), *_ = value.items()
            self.note(path)
            self.pair((*path, key), [*keys, key], inner)
            return
        self.note(path)
        self.text += ".".join(map(self.key, keys)) + self.draw(st.sampled_from(["=", " = ", "\t="]))
        self.value(path, value)

    def value(self, path: Path, value: Any) -> None:
        if isinstance(value, dict):
            self.text += "{"
            for number, (key, item) in enumerate(value.items()):
                self.text += ", " if number else ""
                self.pair((*path, key), [key], item)
            self.text += " }"
        elif isinstance(value, list):
            self.text += "["
            for item in value:
                self.text += self.draw(st.sampled_from(["", "\n", " # ] }\n"]))
                self.value(path, item)
                self.text += self.draw(st.sampled_from([",", "\n,\n"]))
            self.text += "]"
        else:
            self.text += self.scalar(value)

    def scalar(self, value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str):
            return self.string(value)
        return value.isoformat() if hasattr(value, "isoformat") else repr(value)

    def string(self, value: str) -> str:
        ways = [_basic(value)]
        if "'" not in value:
            ways.append(f"'''\n{value}'''")
            ways += [f"'{value}'"] if "\n" not in value else []
        ways.append('"""' + value.replace("\\", "\\\\").replace('"""', '""\\"') + '"""')
        if value.endswith('"""'):
            ways.pop()
        return str(self.draw(st.sampled_from(ways)))

    def key(self, key: str) -> str:
        bare = key and all(mark.isascii() and (mark.isalnum() or mark in "_-") for mark in key)
        ways = (
            [_basic(key)]
            + ([key] if bare else [])
            + ([f"'{key}'"] if "'" not in key and "\n" not in key else [])
        )
        return str(self.draw(st.sampled_from(ways)))

    def note(self, path: Path) -> None:
        for end in range(1, len(path) + 1):
            self.lines.setdefault(path[:end], self.text.count("\n") + 1)


def _is_array_of_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _basic(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[Path, int]]:
    writer = Writer(draw)
    writer.table(draw(TREES), ())
    return writer.text, writer.lines


@given(documents())
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
def test_the_scanner_finds_the_same_keys_as_tomli_and_the_lines_on_which_they_were_written(
    document: tuple[str, dict[Path, int]],
) -> None:
    text, written = document

    found = lines_of(text)

    assert set(found) == keys_of(tomli.loads(text))
    assert found == written


@given(st.text(alphabet="ab=[]{}.,#\"'\\\n 1"))
@settings(max_examples=1000, deadline=None)
def test_whatever_tomli_accepts_the_scanner_reads_alike(text: str) -> None:
    try:
        tree = tomli.loads(text)
    except tomli.TOMLDecodeError:
        return

    assert set(lines_of(text)) == keys_of(tree)
