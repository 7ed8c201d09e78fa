"""Plain values as the types that fields are annotated with, and those types in words."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union

from matex.checks import is_list

Words = Mapping[Any, tuple[str, str]]
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


def as_type(value: object, hint: Any) -> Any:
    """A value as an annotated type, however it was given: in Python, as numpy's number, in TOML or in JSON.

    Lists become tuples, whole numbers floats, numpy's numbers Python's and texts paths where those are expected; in a
    union the first type that takes the value counts. A truth value is no number, nor are nan and inf. Types other than
    those that `in_words` has words for let every value through.

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
    if hint is int or hint is float:
        return _number(value, hint)
    if hint is Path and isinstance(value, str | Path):
        return Path(value)
    if kind is Literal:
        fits = any(type(value) is type(choice) and value == choice for choice in inner)
    else:
        fits = hint not in (bool, str, NoneType, Path) or isinstance(value, hint)
    if not fits:
        raise ValueError
    return value


def in_words(hint: Any, words: Words = PYTHON, several: bool = False) -> str:
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


def _number(value: Any, kind: type[int] | type[float]) -> Any:
    """A value as int or float; raises ValueError when it is no finite number of this kind."""
    among: Any = Integral if kind is int else Real
    if isinstance(value, bool) or not isinstance(value, among):
        raise ValueError
    try:
        number = kind(value)
    except OverflowError:  # a whole number above every float
        raise ValueError from None
    if kind is float and not math.isfinite(number):
        raise ValueError
    return number


def _any_length(hint: Any) -> bool:
    """Whether a tuple or sequence may hold any number of entries, all of one type."""
    return typing.get_origin(hint) is Sequence or typing.get_args(hint)[-1:] == (Ellipsis,)
