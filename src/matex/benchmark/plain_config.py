"""A configuration as plain values: for the record of a run, without the user's folders, and compared with another."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matex.benchmark.config import Config
from matex.checks import is_list, is_mapping, shown
from matex.datasets import DATASETS


def plain(config: Config) -> dict[str, Any]:
    """The configuration as `parse_config` reads it, every default written out."""
    return {
        name: [_bare(entry) for entry in value] if name in ("datasets", "models", "methods", "metrics") else value
        for name, value in ((item.name, getattr(config, item.name)) for item in dataclasses.fields(config))
    }


def public(config: Mapping[str, Any]) -> dict[str, Any]:
    """A plain configuration without the user's folders: of every path its last part alone.

    Run folders hold this form, since they are copied and published.
    """
    datasets = [
        {**entry, "parameters": {**entry["parameters"], **_last_parts(DATASETS[entry["name"]], entry["parameters"])}}
        for entry in config["datasets"]
    ]
    models = [{**entry, "name": _without_folder(entry["name"])} for entry in config["models"]]
    for model in models:
        if "tokenizer" in model:
            model["tokenizer"] = _without_folder(model["tokenizer"])
    return {**config, "datasets": datasets, "models": models}


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


def _bare(entry: Any) -> dict[str, Any]:
    return {key: value for key, value in dataclasses.asdict(entry).items() if value is not None}


def _last_parts(kind: type[object], parameters: Mapping[str, Any]) -> dict[str, str]:
    """The last part of those parameters of a data set that are paths."""
    hints = typing.get_type_hints(kind)
    paths = [name for name in parameters if Path in (hints[name], *typing.get_args(hints[name]))]
    return {name: Path(parameters[name]).name for name in paths}


def _without_folder(name: str) -> str:
    """The name of a model or tokenizer; of one on this machine, its prefix and the last part of its path."""
    prefix, colon, rest = name.rpartition(":")
    path = Path(rest).expanduser()
    return f"{prefix}{colon}{path.name}" if path.is_absolute() or path.exists() else name
