"""A configuration as plain values: for the record of a run, without the user's folders, and compared with another."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

from matex.benchmark.config import Config
from matex.checks import is_list, is_mapping
from matex.coerce import as_type
from matex.datasets import DATASETS
from matex.errors import InputError, shown
from matex.registry import Parameterised


def plain(config: Config) -> dict[str, object]:
    """The configuration as `parse_config` reads it, every default written out."""
    return {
        "datasets": [_bare(entry) for entry in config.datasets],
        "models": [_bare(entry) for entry in config.models],
        "methods": [_bare(entry) for entry in config.methods],
        "metrics": [_bare(entry) for entry in config.metrics],
        "seeds": config.seeds,
        "chunk": config.chunk,
    }


class _DatasetEntry(TypedDict):
    name: str
    parameters: dict[str, object]


class _ModelEntry(TypedDict):
    name: str
    tokenizer: NotRequired[str]


class _Folders(TypedDict):
    """The parts of a plain configuration that may name folders."""

    datasets: Sequence[_DatasetEntry]
    models: Sequence[_ModelEntry]


def public(config: object) -> dict[str, object]:
    """A plain configuration without the user's folders: of every path its last part alone.

    Run folders hold this form, since they are copied and published.

    Raises:
        InputError: a damaged record of a configuration.
    """
    try:
        read = as_type(config, _Folders)
    except ValueError:
        raise InputError(
            f"Expected a configuration as it was recorded, got {shown(config)}. Copy the folder."
        ) from None
    datasets = [
        {**entry, "parameters": {**entry["parameters"], **_last_parts(DATASETS[entry["name"]], entry["parameters"])}}
        for entry in read["datasets"]
    ]
    models = [{**entry, "name": _without_folder(entry["name"])} for entry in read["models"]]
    for model in models:
        if "tokenizer" in model:
            model["tokenizer"] = _without_folder(str(model["tokenizer"]))
    return {**read, "datasets": datasets, "models": models}


def differences(before: object, after: object, key: str = "") -> list[str]:
    """Differences between two plain configurations, as "key: before -> after"."""
    if is_mapping(before) and is_mapping(after):
        keys = dict.fromkeys((*before, *after))
        return [
            line
            for name in keys
            for line in differences(before.get(name), after.get(name), f"{key}.{name}" if key else str(name))
        ]
    if is_list(before) and is_list(after) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [line for number, (old, new) in pairs for line in differences(old, new, f"{key}[{number}]")]
    return [] if before == after else [f"{key}: {shown(before)} -> {shown(after)}"]


def _bare(entry: Parameterised) -> dict[str, object]:
    return {key: value for key, value in dataclasses.asdict(entry).items() if value is not None}


def _last_parts(kind: type[object], parameters: Mapping[str, object]) -> dict[str, str]:
    """The last part of those parameters of a data set that are paths."""
    hints = typing.get_type_hints(kind)
    paths = [name for name in parameters if Path in (hints[name], *typing.get_args(hints[name]))]
    return {name: Path(str(parameters[name])).name for name in paths}


def _without_folder(name: str) -> str:
    """The name of a model or tokenizer; of one on this machine, its prefix and the last part of its path."""
    prefix, colon, rest = name.rpartition(":")
    path = Path(rest).expanduser()
    return f"{prefix}{colon}{path.name}" if path.is_absolute() or path.exists() else name
