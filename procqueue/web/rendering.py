"""Templates, and how things are shown in them: ages, numbers, names that may hold anything.

Everything is escaped; what a terminal or a browser would hide, or turn around, is shown as its escape.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from procqueue.core.units import format_bytes, format_seconds

_STATIC = {"app.css": "text/css", "app.js": "text/javascript"}
#: The order of states in tabs and bars.
STATES = ("waiting", "delayed", "reserved", "failed", "timeout")
_LONGEST = 100_000


class Rendering:
    """The templates and the static files, both read once."""

    def __init__(self) -> None:
        folder = files("procqueue.web").joinpath("static")
        content = {name: folder.joinpath(name).read_bytes() for name in _STATIC}
        #: Path → content and type. The name of a file changes with what is in it, so it may be kept for ever.
        self.static: dict[str, tuple[bytes, str]] = {
            f"/static/{hashlib.sha256(body).hexdigest()[:12]}/{name}": (body, _STATIC[name])
            for name, body in content.items()
        }
        self._templates = Environment(
            loader=PackageLoader("procqueue.web"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._templates.filters |= {
            "shown": shown, "age": age, "seconds": seconds, "bytes": size, "number": number,
            "pretty": pretty, "segment": partial(quote, safe=""), "query": query, "since": since,
        }  # fmt: skip
        self._templates.globals |= {
            "assets": {path.rpartition("/")[2]: path for path in self.static},
            "states": STATES,
            "bar": bar,
        }
        self._templates.globals["ui"] = self._templates.get_template("parts.html").module

    def page(self, template: str, context: Mapping[str, Any]) -> str:
        """Return a whole page."""
        return self._templates.get_template(template).render(_BARE | {**context})

    def fragments(self, template: str, names: Sequence[str], context: Mapping[str, Any]) -> dict[str, str]:
        """Return single blocks of a page, by name."""
        found = self._templates.get_template(template)
        return {name: "".join(found.blocks[name](found.new_context(_BARE | {**context}))) for name in names}


#: What the frame of each page needs, where nobody says more.
_BARE: dict[str, Any] = {"person": None, "live": "", "here": "", "done": ""}


def shown(text: object) -> str:
    """Return a text with its control and formatting characters visible."""
    plain = str(text)[:_LONGEST]
    if plain.isprintable():
        return plain
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in plain)


def since(at: str | None) -> float | None:
    """Return for how many seconds an ISO moment has been past; below 0, it is to come."""
    if not at:
        return None
    return time.time() - datetime.fromisoformat(at).timestamp()


def age(at: str | None) -> str:
    """Return how long ago a moment was, or in how long it comes: "3m", "in 10s"."""
    past = since(at)
    if past is None:
        return "–"
    return f"in {seconds(int(-past))}" if past < 0 else seconds(int(past))


def seconds(value: float | None) -> str:
    """Return a duration in the largest two units that say something."""
    if value is None:
        return "–"
    if value < 10:
        return format_seconds(round(value, 3))
    for unit in (60, 3600, 86_400):
        if value < unit * 100:
            break
    return format_seconds(int(value) if value < 600 else int(value) // unit * unit)


def size(value: int | None) -> str:
    """Return a number of bytes."""
    return "–" if value is None else format_bytes(value)


def number(value: int | None) -> str:
    """Return a number, grouped."""
    return "–" if value is None else f"{value:,}"


def pretty(value: Any) -> str:
    """Return a value of JSON, over several lines if it is long."""
    line = json.dumps(value, ensure_ascii=False)
    return shown(line if len(line) < 80 else json.dumps(value, ensure_ascii=False, indent=2))


def query(given: Mapping[str, Any]) -> str:
    """Return a query string, without what is empty."""
    return urlencode({key: value for key, value in given.items() if value}, doseq=True)


def bar(counts: Mapping[str, int | None], width: int = 120) -> list[tuple[str, float, float]]:
    """Return (state, x, width) of the parts of a bar, each visible however small."""
    present = [(state, counts.get(state) or 0) for state in STATES if counts.get(state)]
    total = sum(count for _, count in present)
    room = width - 3 * len(present)
    parts, x = [], 0.0
    for state, count in present:
        wide = 3 + room * count / total
        parts.append((state, round(x, 1), round(wide, 1)))
        x += wide
    return parts
