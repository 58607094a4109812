"""What nobody sees: the values of arguments whose names are like the patterns of [web] redact."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

MASK = "[redacted]"
_DEEPEST = 50


@dataclass(frozen=True, slots=True)
class Redaction:
    """The patterns, in lower case."""

    patterns: tuple[str, ...]

    def hides(self, name: str) -> bool:
        """Return whether what has this name is not shown."""
        return any(fnmatchcase(name.lower(), pattern) for pattern in self.patterns)

    def of(self, value: Any, depth: int = 0) -> Any:
        """Return a value of JSON without what is hidden, however deep it stands."""
        if depth > _DEEPEST:
            return MASK
        match value:
            case dict():
                return {k: MASK if self.hides(k) else self.of(v, depth + 1) for k, v in value.items()}
            case list():
                return [self.of(one, depth + 1) for one in value]
            case _:
                return value
