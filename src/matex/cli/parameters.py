"""Parameters of methods as the command line spells them: KEY=VALUE, METHOD.KEY=VALUE and presets."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from typing import TypeVar, overload

from matex.coerce import PLAIN, as_type, in_words
from matex.errors import InputError, shown
from matex.registry import Parameters

T = TypeVar("T")
TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def parse_parameters(method: str, given: Sequence[str]) -> Parameters:
    """KEY=VALUE strings as the types of the method's fields; @FILE takes those of a preset, which KEY=VALUE override.

    Raises:
        InputError: not KEY=VALUE, a value of another type or outside its range, or a preset of another method.
        UnknownName: no such method or parameter.
    """
    from matex.attribution import METHODS, make
    from matex.protocols import TEXT

    kind = METHODS[method]
    hints = typing.get_type_hints(kind)
    known = [field.name for field in dataclasses.fields(kind)]
    presets = [_preset(item, method) for item in given if item.startswith("@")]
    pairs = [item for item in given if not item.startswith("@")]
    if pairs and not known:
        raise InputError(f"Expected no parameters, since {method} has none, got {shown(pairs[0])}.")
    values: dict[str, object] = {}
    for item in pairs:
        name, text = _key_and_value(item, known)
        if name in values:
            raise InputError(f"Expected each parameter once, got {shown(name)} twice. Leave one out.")
        if name.removeprefix(TEXT) in known:  # text.layer: of the text side alone
            values[name] = read_option(name, text, hints[name.removeprefix(TEXT)])
        else:
            make(method, {name: text})  # refuses, naming the known ones
    for preset in reversed(presets):
        values = {**preset, **values}
    try:
        make(method, values)
    except ValueError as error:
        raise InputError(str(error)) from None
    return values


def parameters_by_method(names: Sequence[str], given: Sequence[str]) -> dict[str, Parameters]:
    """METHOD.KEY=VALUE strings as the parameters of each of the methods named.

    Raises:
        InputError: no such string, or of a method that is not among them; and what `parse_parameters` raises.
    """
    of_method: dict[str, list[str]] = {name: [] for name in names}
    for item in given:
        key, sign, text = item.partition("=")
        method, _, name = key.strip().partition(".")
        if preset := item.startswith("@"):
            method = _read_preset(item)[0]
        if not (sign or preset) or method not in of_method:
            raise InputError(f"Expected -p METHOD.KEY=VALUE with METHOD one of {', '.join(names)}, got {shown(item)}.")
        of_method[method].append(item if preset else f"{name}={text}")
    return {name: parse_parameters(name, items) for name, items in of_method.items()}


@overload
def read_option(name: str, text: str, hint: type[T]) -> T: ...
@overload
def read_option(name: str, text: str, hint: object) -> object: ...
def read_option(name: str, text: str, hint: object) -> object:
    """A string as a value of an annotated type.

    Raises:
        InputError: it is none.
    """
    try:
        return _read(text, hint)
    except ValueError:
        expected = in_words(hint, PLAIN)
        advice = " Separate numbers by commas, texts by semicolons." if "a list" in expected else ""
        raise InputError(f"Expected {name} to be {expected}, got {shown(text)}.{advice}") from None


def _read(text: str, hint: object) -> object:
    """The value of an annotated type that a string spells; raises ValueError where it spells none."""
    options = _options(hint)
    if not text and str in options:
        return text
    for option in options:
        try:
            return as_type(_spelled(text, option), option)
        except ValueError:
            continue
    raise ValueError(text)


def _options(hint: object) -> tuple[object, ...]:
    """The types of a union, text last, since any value could be read as text."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    return tuple(sorted(options, key=lambda option: option is str))


def _spelled(text: str, hint: object) -> object:
    """The plain value that a string stands for where a type that is no union is expected."""
    kind, inner = typing.get_origin(hint), typing.get_args(hint)
    if kind is typing.Literal:
        return _choose(text, {str(choice): choice for choice in inner})
    if kind is tuple:
        pieces = text.split(";") if inner[0] is str else text.strip("()").split(",")  # phrases have commas of their own
        parts = [part.strip() for part in pieces if part.strip()]
        each = inner[:1] * len(parts) if inner[-1] is Ellipsis else inner
        return [_read(part, one) for part, one in zip(parts, each, strict=True)]
    if hint is types.NoneType:
        return _choose(text.lower(), {"none": None})
    if hint is bool:
        return _choose(text.lower(), TRUTH)
    if hint is int or hint is float:
        return hint(text)
    return text


def _choose(text: str, choices: Mapping[str, object]) -> object:
    if text not in choices:
        raise ValueError(text)
    return choices[text]


def _key_and_value(item: str, known: Sequence[str]) -> tuple[str, str]:
    """Both sides of KEY=VALUE, the key as a field is spelled.

    Raises:
        InputError: it is no such string.
    """
    key, sign, text = item.partition("=")
    name = key.strip().replace("-", "_")
    if not sign or not name:
        raise InputError(f"Expected -p KEY=VALUE, got {shown(item)}. Known: {', '.join(known)}.")
    return name, text.strip()


def _preset(item: str, method: str) -> dict[str, object]:
    """The parameters that -p @FILE names.

    Raises:
        InputError: no preset, or one of another method.
    """
    found, values = _read_preset(item)
    if found != method:
        raise InputError(f"Expected a preset of {method}, got one of {found}: {shown(item[1:])}. Add -m {found}.")
    return values


def _read_preset(item: str) -> tuple[str, dict[str, object]]:
    """Method and parameters of @FILE."""
    from matex.benchmark.parameters import read_preset

    return read_preset(item[1:])
