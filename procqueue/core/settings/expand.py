"""`${VAR}` and `${VAR:-default}` inside strings of the configuration; the environment comes in as a mapping.

Only parsed strings are expanded, so a variable can never add a key or a table. A string that is nothing but
one reference becomes `Fed`, which parsers of other types may convert. `$${` is a literal `${`, and a lone `$`
is itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from procqueue.core.settings.wrong import Wrong, Wrongs
from procqueue.core.units import shown

_REFERENCE = r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}"
_ANY = r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?"


class Fed(str):
    """Text that came whole from one reference: it may stand for a number, a boolean or a list."""

    __slots__ = ()


def expand(value: Any, environ: Mapping[str, str], encode: Callable[[str], str] = str) -> Any:
    """`value` with every reference in its strings replaced, also inside lists and tables.

    `encode` is applied to what replaces a reference that is only a part of its string. Raises Wrongs with all
    references that are malformed or name a variable that is not set.
    """
    wrongs: list[Wrong] = []
    expanded = _expanded(value, environ, encode, wrongs)
    if wrongs:
        raise Wrongs(wrongs)
    return expanded


def _expanded(
    value: Any, environ: Mapping[str, str], encode: Callable[[str], str], wrongs: list[Wrong]
) -> Any:
    match value:
        case str():
            try:
                return _expanded_text(value, environ, encode)
            except Wrong as wrong:
                wrongs.append(wrong)
                return value
        case list():
            return [_expanded(item, environ, encode, wrongs) for item in value]
        case dict():
            return {key: _expanded(item, environ, encode, wrongs) for key, item in value.items()}
        case _:
            return value


def _expanded_text(text: str, environ: Mapping[str, str], encode: Callable[[str], str]) -> str:
    if "${" not in text:
        return text
    if whole := re.fullmatch(_REFERENCE, text):
        return Fed(_looked_up(whole, environ))

    def replaced(found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        if found[1] is None:
            # No value in this text: a default may hold a secret.
            raise Wrong(
                "a ${ is not closed, or does not hold the name of a variable",
                "write ${NAME} or ${NAME:-default}; for a literal ${ write $${",
            )
        return encode(_looked_up(found, environ))

    return re.sub(_ANY, replaced, text)


def _looked_up(found: re.Match[str], environ: Mapping[str, str]) -> str:
    name, default = found[1], found[2]
    if default is not None and "${" in default:
        raise Wrong(f"${{{name}:-…}} has a reference inside its default", "a default is plain text")
    value = environ.get(name)
    if value:
        return value
    if default is not None:
        return default
    if value is None:
        raise Wrong(
            f"the environment variable {shown(name)} is not set", f"set it, or write ${{{name}:-default}}"
        )
    return value
