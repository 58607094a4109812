"""Arguments: Python values to JSON at the push, JSON to the annotated types in the consumer.

Both ends use the same code: a push is encoded, read back and converted as the consumer will do it, so what
does not fit is reported where it was written. What JSON cannot hold exactly is refused, never changed.
All that can be known from a signature is computed once per task. Next to read: execute.py.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from enum import Enum
from types import SimpleNamespace
from typing import Any, Optional, TypeVar, get_type_hints

import msgspec

from procqueue.core import wire
from procqueue.core.errors import BadArguments

_MOST = 10**wire.MAX_DIGITS
_UNTYPED = (Any, object, inspect.Parameter.empty)
_PLAIN_TYPES = (str, int, float, bool, type(None), list, dict)
_TOO_DEEP = f"lists and dicts stand in each other more than {wire.MAX_DEPTH} deep"
_HINT = "push its id, or a str, number, list, dict, dataclass, datetime, UUID …"


def encode(task: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[bytes, wire.Document]:
    """Return the body of a call and what a consumer will read from it.

    Raises BadArguments naming the value that is not JSON, as `args[1].avatar`.
    """
    try:
        plain = msgspec.to_builtins([list(args), dict(kwargs)])
        body = wire.encode(task, plain[0], plain[1])
        document = wire.decode(body)
        # NaN, and whatever else JSON would change on the way, shows here.
        if document.args == plain[0] and document.kwargs == plain[1]:
            return body, document
    except (TypeError, ValueError, RecursionError):
        pass
    # Rare: a tuple, a key that is no text, or a mistake, which has to be found to be named.
    try:
        plain_args = [_plain(value, f"args[{index}]", 3) for index, value in enumerate(args)]
        plain_kwargs = {name: _plain(value, f"kwargs[{name!r}]", 3) for name, value in kwargs.items()}
        body = wire.encode(task, plain_args, plain_kwargs)
        return body, wire.decode(body)
    except (TypeError, ValueError) as error:  # BadArguments is one of them
        raise BadArguments(f"{task}: {error}") from None


class Arguments:
    """How one function takes its arguments."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._signature = inspect.signature(function)
        hints = _hints(function, self._signature)
        self._positional: list[tuple[str, _Type | None]] = []
        self._named: dict[str, _Type | None] = {}
        self._rest: _Type | None = None
        self._others: _Type | None = None
        self._takes_rest = self._takes_others = False
        required = []
        for name, parameter in self._signature.parameters.items():
            known = _type_of(hints[name])
            match parameter.kind:
                case inspect.Parameter.VAR_POSITIONAL:
                    self._takes_rest, self._rest = True, known
                    continue
                case inspect.Parameter.VAR_KEYWORD:
                    self._takes_others, self._others = True, known
                    continue
                case inspect.Parameter.POSITIONAL_ONLY:
                    self._positional.append((name, known))
                case inspect.Parameter.POSITIONAL_OR_KEYWORD:
                    self._positional.append((name, known))
                    self._named[name] = known
                case inspect.Parameter.KEYWORD_ONLY:
                    self._named[name] = known
            if parameter.default is inspect.Parameter.empty:
                required.append(name)
        self._kinds = [known for _, known in self._positional]
        names = [name for name, _ in self._positional]
        self._names = [frozenset(names[:count]) for count in range(len(names) + 1)]
        self._required = frozenset(required)
        #: So many that are positional need no others.
        self._enough = {count for count, given in enumerate(self._names) if self._required <= given}

    def bind(self, document: wire.Document) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments converted to their annotations. Raises BadArguments naming the argument."""
        args, kwargs, strict = document.args, document.kwargs, not document.lax
        if not kwargs and len(args) in self._enough:
            for value, known in zip(args, self._kinds, strict=False):
                if known is not None and type(value) is not known.exact:
                    break
            else:
                return args, kwargs  # most have nothing to convert
        self._fit(args, kwargs)
        bound, named = [], {}
        at: int | str = 0
        try:
            for at, value in enumerate(args):  # noqa: B007
                known = self._positional[at][1] if at < len(self._positional) else self._rest
                if known is not None and type(value) is not known.exact:
                    value = known.convert(value, strict)
                bound.append(value)
            for at, value in kwargs.items():  # noqa: B007
                known = self._named.get(at, self._others)
                if known is not None and type(value) is not known.exact:
                    value = known.convert(value, strict)
                named[at] = value
        except _Mismatch as mismatch:
            raise BadArguments(f"argument {self._name(at)}: {mismatch}") from None
        return bound, named

    def _fit(self, args: list[Any], kwargs: dict[str, Any]) -> None:
        count = len(args)
        if count <= len(self._positional):
            taken = self._names[count]
        elif self._takes_rest:
            taken = self._names[-1]
        else:
            return self._refuse(args, kwargs)
        given = kwargs.keys()
        if not given:
            fits = self._required <= taken
        else:
            known = self._takes_others or given <= self._named.keys()
            by_name = given & self._named.keys()  # not what **others takes under the name of a / parameter
            fits = known and not taken & by_name and self._required <= taken | by_name
        return None if fits else self._refuse(args, kwargs)

    def _refuse(self, args: list[Any], kwargs: dict[str, Any]) -> None:
        try:
            self._signature.bind(*args, **kwargs)  # it knows the words
        except TypeError as error:
            raise BadArguments(f"{error}; the signature is {self._signature}") from None

    def _name(self, at: int | str) -> str:
        if isinstance(at, int):
            return f"{self._positional[at][0]!r}" if at < len(self._positional) else f"args[{at}]"
        return f"{at!r}"


class _Mismatch(Exception):
    """A value cannot be converted; the text says why."""


class _Type:
    """One annotation, ready to convert to. A value whose type is `exact` needs no conversion."""

    __slots__ = ("_box", "exact")

    def __init__(self, annotation: Any) -> None:
        self.exact = annotation if any(annotation is plain for plain in _PLAIN_TYPES) else None
        # msgspec analyses a struct once, and other types anew in every call.
        self._box: Any = msgspec.defstruct("Box", [("value", annotation)])

    def convert(self, value: Any, strict: bool) -> Any:
        try:
            return msgspec.convert({"value": value}, self._box, strict=strict, str_keys=True).value
        except msgspec.ValidationError as error:
            raise _Mismatch(_AT.sub(_below, str(error))) from None
        except Exception as error:  # __post_init__ and the like: code of the application
            raise _Mismatch(f"{type(error).__qualname__}: {error}") from None


_AT = re.compile(r" - at `\$\.value(.*)`$", re.DOTALL)


def _below(found: re.Match[str]) -> str:
    return f" - at `{found[1].removeprefix('.')}`" if found[1] else ""


def _type_of(annotation: Any) -> _Type | None:
    """Return how to convert to `annotation`; None for what passes through as it was read."""
    if annotation is None:
        annotation = type(None)
    if any(annotation is untyped for untyped in _UNTYPED) or isinstance(annotation, TypeVar):
        return None
    try:
        if any(annotation is plain for plain in _PLAIN_TYPES) or _is_convertible(annotation):
            return _Type(annotation)
    except Exception:  # whatever a foreign class does when it is looked at
        pass
    return None


def _is_convertible(annotation: Any) -> bool:
    from msgspec import inspect as look  # half of the tasks have only plain annotations

    seen: set[int] = set()
    todo: list[Any] = [look.type_info(annotation)]
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, look.CustomType) and one.cls is not object:
            return False
        if isinstance(one, (look.Type, look.Field)):
            todo += [getattr(one, name) for name in one.__struct_fields__ if name not in ("default", "cls")]
        elif isinstance(one, (tuple, list)):
            todo += one
    return True


def _hints(function: Callable[..., Any], signature: inspect.Signature) -> dict[str, Any]:
    """Return name → annotation, resolved where that is possible, Any where not."""
    inner = inspect.unwrap(function)
    found: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        # One by one: an annotation that only a type checker can resolve must not spoil the others.
        alone = SimpleNamespace(__annotations__={name: parameter.annotation})
        try:
            hint = get_type_hints(alone, getattr(inner, "__globals__", {}), include_extras=True)[name]
        except Exception:
            hint = Any
        if parameter.annotation is inspect.Parameter.empty:
            hint = Any
        # `lang: str = None` was always meant, and often written, as str | None.
        found[name] = Optional[hint] if parameter.default is None and hint is not Any else hint  # noqa: UP045
    return found


def _plain(value: Any, path: str, depth: int) -> Any:
    """Return `value` as JSON has it. Raises BadArguments naming `path`."""
    if depth > wire.MAX_DEPTH + 1:
        raise BadArguments(f"{path[:60]}…: {_TOO_DEEP}")
    match value:
        case None | bool():
            return value
        case Enum():
            return _plain(value.value, path, depth)
        case int() if type(value) is int:
            if not -_MOST < value < _MOST:
                raise BadArguments(f"{path}: the number has more than {wire.MAX_DIGITS} digits")
            return value
        case float() if type(value) is float:
            if not math.isfinite(value):
                raise BadArguments(f"{path}: {value!r} is not in JSON; push None, or a str")
            return value
        case str() if type(value) is str:
            return _text(value, path)
        case dict():
            return _plain_dict(value, path, depth)
        case list() | tuple() | set() | frozenset():
            return [_plain(one, f"{path}[{index}]", depth + 1) for index, one in enumerate(value)]
        case _:
            return _plain_object(value, path, depth)


def _plain_dict(value: dict[Any, Any], path: str, depth: int) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, below in value.items():
        name = _key(key, path)
        if name in plain:
            raise BadArguments(f"{path}: two keys become {name!r} in JSON")
        plain[name] = _plain(below, f"{path}[{key!r}]", depth + 1)
    return plain


def _key(key: Any, path: str) -> str:
    if isinstance(key, Enum):
        key = key.value
    if type(key) is str:
        return _text(key, path)
    plain = key if isinstance(key, (bool, float)) else _plain(key, f"{path}, the key {key!r}", 0)
    if type(plain) not in (str, int):
        raise BadArguments(f"{path}: {key!r} cannot be a key in JSON, where keys are texts")
    return str(plain)


def _plain_object(value: Any, path: str, depth: int) -> Any:
    try:
        plain = msgspec.to_builtins(value)
    except RecursionError:
        raise BadArguments(f"{path}: {_TOO_DEEP}") from None
    except Exception:
        for name in _fields(value):  # the part at fault, if it is but a part
            if hasattr(value, name):
                _plain(getattr(value, name), f"{path}.{name}", depth + 1)
        raise BadArguments(f"{path}: a {type(value).__qualname__} has no form in JSON; {_HINT}") from None
    if isinstance(plain, dict):
        return {name: _plain(below, f"{path}.{name}", depth + 1) for name, below in plain.items()}
    return _plain(plain, path, depth)


def _fields(value: Any) -> tuple[str, ...]:
    """Return the names of a record's fields."""
    kind = type(value)
    attrs = getattr(kind, "__attrs_attrs__", ())
    return (
        *getattr(kind, "__struct_fields__", ()),
        *getattr(kind, "__dataclass_fields__", ()),
        *(field.name for field in attrs),
    )


def _text(value: str, path: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadArguments(
            f"{path}: the text cannot be UTF-8: lone surrogate {value[error.start]!r} at {error.start}"
        ) from None
    return value
