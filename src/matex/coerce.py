"""Plain values as the types that fields are annotated with, and those types in words."""

from __future__ import annotations

import functools
import math
import typing
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import ClassVar, Literal, NotRequired, Protocol, TypeVar, Union, overload

from matex.checks import is_list, is_object

T = TypeVar("T")
Words = Mapping[object, tuple[str, str]]
"""What one and what several of a type are called."""
PYTHON: Words = {
    int: ("a whole number", "numbers"),
    float: ("a finite number", "numbers"),
    bool: ("True or False", "truth values"),
    str: ("text", "texts"),
    tuple: ("a tuple", "tuples"),
    Path: ("a path", "paths"),
    NoneType: ("None", "None"),
}
PLAIN: Words = {
    int: ("a whole number", "whole numbers"),
    float: ("a finite number", "numbers"),
    bool: ("true or false", "truth values"),
    str: ("text", "texts"),
    tuple: ("a list", "lists"),
    NoneType: ("none", "none"),
}
"""The types of parameters where no Python is written: on the command line and in its lists."""


@overload
def as_type(value: object, hint: type[T]) -> T: ...
@overload
def as_type(value: object, hint: object) -> object: ...
def as_type(value: object, hint: object) -> object:
    """A value as an annotated type, however it was given: in Python, as numpy's number, in TOML or in JSON.

    Lists become tuples, whole numbers floats, numpy's numbers Python's and texts paths where those are expected; in a
    union the first type that takes the value counts. A truth value is no number, nor are nan and inf. Objects of JSON
    are read as a TypedDict, or as a dict of one type, entry by entry. Types other than these and those that `in_words`
    has words for let every value through.

    Raises:
        ValueError: it is none. The caller, who knows what the value is called, says so with `in_words`.
    """
    kind, inner = typing.get_origin(hint), typing.get_args(hint)
    if kind in (Union, UnionType):
        for option in inner:
            try:
                return as_type(value, option)
            except ValueError:
                continue
        raise ValueError
    if kind is tuple or kind is Sequence:
        if not (is_list(value) or isinstance(value, range)):
            raise ValueError
        each = inner[:1] * len(value) if _any_length(hint) else inner
        return tuple(as_type(one, its) for one, its in zip(value, each, strict=True))
    if typing.is_typeddict(hint):
        return _record(value, *_entries(hint))
    if kind is dict:
        if not is_object(value):
            raise ValueError
        return {name: as_type(one, inner[1]) for name, one in value.items()}
    if hint is int:
        return _whole(value)
    if hint is float:
        return _real(value)
    if hint is Path and isinstance(value, str | Path):
        return Path(value)
    if kind is Literal:
        fits = any(type(value) is type(choice) and value == choice for choice in inner)
    else:
        fits = hint not in (bool, str, NoneType, Path) or isinstance(value, hint)
    if not fits:
        raise ValueError
    return value


def in_words(hint: object, words: Words = PYTHON, several: bool = False) -> str:
    """An annotated type as "Expected x to be ..." goes on; `words` without None leave it out of unions."""
    kind, inner = typing.get_origin(hint), typing.get_args(hint)
    if kind in (Union, UnionType):
        options = [option for option in inner if option is not NoneType or NoneType in words]
        return " or ".join(in_words(option, words, several) for option in options)
    if kind is Literal:
        return ("" if several else "one of ") + ", ".join(map(str, inner))
    if kind is tuple or kind is Sequence:
        among = in_words(inner[0], words, several=True)
        if not _any_length(hint):
            alike = len(set(inner)) == 1
            among = f"{len(inner)} {among}" if alike else " and ".join(in_words(one, words) for one in inner)
        return f"{words[tuple][several]} of {among}"
    return words[hint][several] if hint in words else getattr(hint, "__name__", str(hint))


def _record(value: object, hints: Mapping[str, object], required: frozenset[str]) -> dict[str, object]:
    """A JSON object with the entries of a TypedDict; others stay as they are."""
    if not is_object(value) or not required <= value.keys():
        raise ValueError
    return value | {name: as_type(value[name], hint) for name, hint in hints.items() if name in value}


class _TypedDict(Protocol):
    """A TypedDict's class."""

    __required_keys__: ClassVar[frozenset[str]]


@functools.cache
def _entries(kind: type[_TypedDict]) -> tuple[Mapping[str, object], frozenset[str]]:
    """Types of the entries of a TypedDict, and the names of those that it must have."""
    written = typing.get_type_hints(kind, include_extras=True)
    optional = {name for name, hint in written.items() if typing.get_origin(hint) is NotRequired}
    return typing.get_type_hints(kind), kind.__required_keys__ - optional


def _whole(value: object) -> int:
    """A value as int; raises ValueError when it is no whole number."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError
    return int(value)


def _real(value: object) -> float:
    """A value as float; raises ValueError when it is no finite number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError
    try:
        number = float(value)
    except OverflowError:  # a whole number above every float
        raise ValueError from None
    if not math.isfinite(number):
        raise ValueError
    return number


def _any_length(hint: object) -> bool:
    """Whether a tuple or sequence may hold any number of entries, all of one type."""
    return typing.get_origin(hint) is Sequence or typing.get_args(hint)[-1:] == (Ellipsis,)


def required_entries(kind: type[_TypedDict]) -> frozenset[str]:
    """The names that a TypedDict must have, also where its annotations are strings."""
    return _entries(kind)[1]
