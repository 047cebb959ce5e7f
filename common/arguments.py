"""Check the arguments of the functions that notebooks and programs call, so that a wrong one is named in a sentence.

What a function takes is stated once, in its annotations. `checked` compares a call with them; `check_fields` does the
same for the attributes of a dataclass. A text is accepted wherever a path is expected, and numbers of numpy wherever
Python's are.
"""

import inspect
import operator
import os
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cache, wraps
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from spoofcache.common.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")

WORDS: Mapping[Any, str] = {
    Path: "a path",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    type(None): "None",
    Callable: "a function",
    Sequence: "a sequence",
    Mapping: "a mapping",
}
SHOWN = 60
"""Number of characters of a wrong value that a message shows."""


class ArgumentError(InputError):
    """An argument has the wrong type; the message names the function, the argument and what was expected."""


class _Misfit(Exception):
    """A value is not of the type that an annotation states."""


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that every call is compared with its annotations.

    Annotations that cannot be checked, such as `ArrayLike`, accept everything. A call with too few, too many or unknown
    arguments raises TypeError as usual.

    Raises:
        ArgumentError: raised by the decorated function if an argument has the wrong type.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        signature, hints = _stated(function)
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # raises it in the words that Python users know
        for name, value in bound.arguments.items():
            if name in hints and signature.parameters[name].kind not in (_LIST, _TABLE):
                bound.arguments[name] = _argument(value, hints[name], f"{function.__qualname__} with {name}")
        return function(*bound.args, **bound.kwargs)

    return call


def check_fields(record: Any) -> None:
    """Compare the attributes of a dataclass with their annotations; a frozen one calls this in `__post_init__`.

    Raises:
        ArgumentError: an attribute has the wrong type.
    """
    kind: Callable[..., Any] = type(record)
    hints = _hints(kind)
    for field in fields(record):
        if field.name in hints:
            value = getattr(record, field.name)
            found = _argument(value, hints[field.name], f"{type(record).__name__} with {field.name}")
            if found is not value:
                object.__setattr__(record, field.name, found)


def real_array(values: object, what: str) -> "NDArray[Any]":
    """Convert an argument to an array of whole or floating-point numbers; `what` names it in the message.

    Raises:
        ArgumentError: the values are texts, truth values, complex numbers, masked or anything else than numbers, or
            their lists are of unequal lengths.
    """
    import numpy as np  # here, because the commands' --help does not need it

    try:
        array = np.asarray(values)
    except Exception as error:  # of any library whose objects convert themselves
        reason = str(error).partition("\n")[0]
        raise ArgumentError(f"{what} cannot be converted to an array ({reason}); expected numbers") from error
    if array.dtype.kind not in "iuf":
        raise ArgumentError(f"{what} of type {array.dtype}; expected numbers")
    if np.ma.is_masked(values):
        raise ArgumentError(f"{what} with masked elements; expected numbers without a mask")
    return array


_LIST, _TABLE = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD


@cache
def _stated(function: Callable[..., Any]) -> tuple[inspect.Signature, Mapping[str, Any]]:
    return inspect.signature(function), _hints(function)


@cache
def _hints(described: Callable[..., Any]) -> Mapping[str, Any]:
    """The annotations, without those that name a module which is imported for type checkers only."""
    try:
        return get_type_hints(described)
    except NameError:
        own = getattr(described, "__annotations__", {})
        return {name: hint for name, hint in own.items() if not isinstance(hint, str)}


def _argument(value: Any, hint: Any, what: str) -> Any:
    try:
        found = _conform(value, hint)
    except _Misfit:
        shown = repr(value)
        shown = f"{shown[:SHOWN]}…" if len(shown) > SHOWN else shown
        raise ArgumentError(f"{what} {shown} ({type(value).__name__}); expected {_words(hint)}") from None
    if isinstance(found, Path) and "\0" in str(found):
        raise ArgumentError(f"{what} {str(found)!r}; expected a path without NUL characters")
    return found


def _conform(value: Any, hint: Any) -> Any:
    """The value as the type that the annotation states; _Misfit if it is of another type."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any or isinstance(hint, TypeVar):
        return value
    if origin in (Union, types.UnionType):
        return _one_of(value, inner)
    if origin is Literal:
        return _require(value, value in inner)
    if origin is tuple:
        return _numbers_or_texts(value, inner)
    if hint in _PLAIN:
        return _PLAIN[hint](value)
    kind = origin or hint
    if kind is Sequence:
        return _require(value, isinstance(value, Sequence) and not isinstance(value, str | bytes))
    try:
        return _require(value, isinstance(value, kind))
    except TypeError:  # nothing that `isinstance` knows
        return value


def _one_of(value: Any, hints: Sequence[Any]) -> Any:
    """The value as the first type that it fits; a text is a path where both are allowed."""
    for hint in sorted(hints, key=lambda hint: hint is not Path):
        try:
            return _conform(value, hint)
        except _Misfit:
            continue
    raise _Misfit


def _numbers_or_texts(value: Any, inner: Sequence[Any]) -> Any:
    """A tuple whose elements are all of one type, such as a shape; lists are accepted too."""
    _require(value, isinstance(value, Sequence) and not isinstance(value, str | bytes))
    if len(inner) == 2 and inner[1] is Ellipsis:
        return tuple(_conform(each, inner[0]) for each in value)
    return value


def _path(value: Any) -> Path:
    _require(value, isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str))
    return value if isinstance(value, Path) else Path(value)


def _whole_number(value: Any) -> int:
    _require(value, not _is_bool(value))
    try:
        return operator.index(value)
    except TypeError:
        raise _Misfit from None


def _require(value: Any, fits: bool) -> Any:
    if not fits:
        raise _Misfit
    return value


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")


_PLAIN: Mapping[Any, Callable[[Any], Any]] = {
    Path: _path,
    int: _whole_number,
    float: lambda value: _require(value, isinstance(value, Real) and not _is_bool(value)),
    bool: lambda value: _require(value, _is_bool(value)),
    str: lambda value: _require(value, isinstance(value, str)),
    type(None): lambda value: _require(value, value is None),
}


def _words(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        kinds = [each for each in inner if not (each is str and Path in inner)]
        return " or ".join(_words(each) for each in kinds)
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin is tuple:
        return f"a tuple, each element {_words(inner[0])}" if inner else "a tuple"
    kind = origin or hint
    return WORDS.get(kind) or f"an instance of {getattr(kind, '__name__', kind)}"
