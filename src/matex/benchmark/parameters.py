"""Parameters of methods, metrics and data sets in a configuration, and the presets that `matex tune` writes."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from pathlib import Path

from matex.attribution import METHODS, make
from matex.benchmark.config_key import ConfigKey
from matex.checks import is_object, read_toml
from matex.errors import InputError
from matex.metrics import Metric
from matex.protocols import Method
from matex.registry import check_counts


def read_preset(path: str | Path) -> tuple[str, dict[str, object]]:
    """Read the method and the parameters that `matex tune` wrote.

    Raises:
        InputError: no such file, no TOML, or no preset.
    """
    content, at = read_toml(Path(path)), ConfigKey(str(path))
    at.known(content, ("method", "parameters", "evidence"))
    if "method" not in content:
        raise (at / "method").refusal("the name of a method", None)
    name = at.name(METHODS, "method", content["method"])
    return name, checked_parameters(at / "parameters", METHODS[name], make, name, content.get("parameters", {}))


def checked_parameters(
    at: ConfigKey,
    kind: type[Method] | type[Metric],
    make_one: Callable[[str, Mapping[str, object]], object],
    name: str,
    given: object,
    typed: bool = False,
) -> dict[str, object]:
    """Parameters of a method or metric, checked by creating one; `typed` when the values have their types already."""
    names = [item.name for item in dataclasses.fields(kind)]
    own, of_text = text_apart(kind, given)
    table, text = at.known(own, names), (at / "text").known(of_text, names)
    if not typed:
        table, text = typed_fields(at, kind, table), typed_fields(at / "text", kind, text)
    values = {**table, **{f"text.{key}": value for key, value in text.items()}}
    try:
        make_one(name, values)
    except ValueError as error:
        raise InputError(f"{at.source}: {at.key}: {error}") from None
    return dict(values)


def text_apart(kind: type[object], given: object) -> tuple[object, object]:
    """The parameters of both sides, and those of the text alone: `text.layer = 7`, as a table or in quotation marks."""
    if not is_object(given) or not hasattr(kind, "towers"):
        return given, {}
    parameters = given
    quoted = {key.removeprefix("text."): value for key, value in parameters.items() if key.startswith("text.")}
    own = {key: value for key, value in parameters.items() if key != "text" and not key.startswith("text.")}
    table = parameters.get("text", {})
    if not is_object(table):
        return own, table
    return own, {**quoted, **table}


def typed_fields(at: ConfigKey, kind: type[object], given: Mapping[str, object]) -> dict[str, object]:
    """Values of TOML as the types that the fields of `kind` are annotated with.

    Raises:
        InputError: a value of another type, or a count outside its range; the key is named.
    """
    hints = typing.get_type_hints(kind)
    values = {key: (at / key).typed(value, hints[key]) for key, value in given.items()}
    for key, value in values.items():
        try:
            check_counts(key, value)
        except InputError as error:
            raise InputError(f"{at.source}: {(at / key).key}: {error}") from None
    return values
