"""The data sets, models, methods and metrics that a configuration chooses, read entry by entry."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matex.adapters import DTypeName
from matex.attribution import METHODS, make
from matex.benchmark.config_key import ConfigKey
from matex.benchmark.parameters import checked_parameters, read_preset, typed_fields
from matex.benchmark.runs.store import as_folder
from matex.benchmark.score_keys import SCORE, read_score
from matex.checks import SEEDS, is_object
from matex.datasets import DATASETS
from matex.explained_score import Labels, ScoreArguments
from matex.geometry import Resize
from matex.metrics import METRICS, make_metric
from matex.objectives import ClassScoreKind, Pooling
from matex.registry import Parameters

LABEL = 200
"""Characters of a label as a folder name, at most 255: the labels of controls are longer than those of methods."""


@dataclass(frozen=True)
class DatasetChoice:
    """A data set of a run.

    Args:
        name: as registered.
        label: what results call it.
        parameters: its fields.
        limit: use this many samples; None for all.
        seed: with `limit`, of a random choice of the samples; None: evenly spread over the data set.
    """

    name: str
    label: str
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])
    limit: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class ModelChoice:
    """A model of a run; the fields are those of `matex.load` and `matex.explain`."""

    name: str
    label: str
    preset: str | None = None
    tokenizer: str | None = None
    device: str = "auto"
    dtype: DTypeName = "float32"
    resize: Resize = "model"
    heads: tuple[int, int] | None = None
    activation: str | None = None
    resolution: int | None = None


@dataclass(frozen=True)
class MethodChoice:
    """A method of a run or a figure, under the label that results call it.

    Args:
        name: as registered.
        label: what results call it.
        parameters: its fields.
        against, labels, of, pool: of another explained score than the phrase's own, see `matex.explain`.
    """

    name: str
    label: str
    parameters: Parameters = field(default_factory=dict[str, object])
    against: str | None = None
    labels: Labels | None = None
    of: ClassScoreKind | None = None
    pool: Pooling | None = None

    @property
    def score(self) -> ScoreArguments:
        """The arguments of `matex.explain` that choose the explained score; empty for that of the phrase."""
        given = ScoreArguments()
        if self.against is not None:
            given["against"] = self.against
        if self.labels is not None:
            given["labels"] = self.labels
        if self.of is not None:
            given["of"] = self.of
        if self.pool is not None:
            given["pool"] = self.pool
        return given


@dataclass(frozen=True)
class MetricChoice:
    """A metric of a run under the label that results call it."""

    name: str
    label: str
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])


def dataset_choice(at: ConfigKey, entry: object) -> DatasetChoice:
    """A data set of a configuration, from its name or a table of its options; see `model_choice`."""
    table = _table(at, entry, ("name", "label", "parameters", "limit", "seed"))
    name = at.name(DATASETS, "name", table["name"])
    limit = (at / "limit").optional(table.get("limit"), int)
    if limit is not None:
        (at / "limit").in_range(limit, 1 << 32)  # of samples that are there: no film is made for it
    seed = (at / "seed").optional(table.get("seed"), int)
    if seed is not None:
        if limit is None:
            raise (at / "seed").refusal("left out without a limit, whose samples it chooses", seed)
        (at / "seed").in_range(seed, SEEDS - 1, 0)
    fields = [item.name for item in dataclasses.fields(DATASETS[name])]
    given = (at / "parameters").known(table.get("parameters", {}), fields)
    typed = typed_fields(at / "parameters", DATASETS[name], given)
    return DatasetChoice(name, _label(at, table, name), typed, limit, seed)


def model_choice(at: ConfigKey, entry: object) -> ModelChoice:
    """A model of a configuration, from its name or a table of its options.

    Args:
        at: key of the entry, for messages.
        entry: of the TOML file.

    Raises:
        InputError: an unknown key or name, or a value outside its range; the key is named.
    """
    hints = typing.get_type_hints(ModelChoice)
    table = _table(at, entry, tuple(hints))
    values: Parameters = {key: (at / key).typed(value, hints[key]) for key, value in table.items()}
    name = str(values["name"])
    last = name.rpartition(":")[2].rstrip("/\\")
    labelled: Parameters = {**values, "label": _label(at, table, Path(last).name or name)}
    return ModelChoice(**labelled)


def method_choice(at: ConfigKey, entry: object) -> MethodChoice:
    """A method with an image map, from its name, a table or the file of a preset.

    Args:
        at: key of the entry, for messages.
        entry: of the TOML file.

    Raises:
        InputError: an unknown key or name, or a value outside its range; the key is named.
    """
    if is_object(entry) and "preset" in entry:
        at.known(entry, ("preset", "label", *SCORE))
        path = (at / "preset").typed(entry["preset"], str)
        name, parameters = read_preset(path)
        score = read_score(at, name, parameters, entry)
        return MethodChoice(name, _label(at, entry, Path(path).stem), parameters, **score)
    table = _table(at, entry, ("name", "label", "parameters", "preset", *SCORE))
    name = at.name(METHODS, "name", table["name"])
    if "image" not in METHODS[name].towers:
        raise (at / "name").refusal("a method that makes a map of the image", name)
    parameters = checked_parameters(at / "parameters", METHODS[name], make, name, table.get("parameters", {}))
    return MethodChoice(name, _label(at, table, name), parameters, **read_score(at, name, parameters, table))


def metric_choice(at: ConfigKey, entry: object) -> MetricChoice:
    """A metric of a configuration, from its name or a table of its options; see `model_choice`."""
    table = _table(at, entry, ("name", "label", "parameters"))
    name = at.name(METRICS, "name", table["name"])
    parameters = checked_parameters(at / "parameters", METRICS[name], make_metric, name, table.get("parameters", {}))
    return MetricChoice(name, _label(at, table, name), parameters)


Choice = typing.TypeVar("Choice", DatasetChoice, ModelChoice, MethodChoice, MetricChoice)


def unique(at: ConfigKey, entries: list[Choice]) -> tuple[Choice, ...]:
    """Refuse two entries of one label; upper and lower case are one, as for the folders of many systems."""
    labels = [entry.label.casefold() for entry in entries]
    for number, label in enumerate(labels):
        if label in labels[:number]:
            raise (at.item(number) / "label").refusal(
                "another than those before it; give it a label", entries[number].label
            )
    return tuple(entries)


def _table(at: ConfigKey, entry: object, keys: Sequence[str]) -> Mapping[str, object]:
    """A table with a name; a name alone stands for a table with that name."""
    if isinstance(entry, str):
        return {"name": entry}
    table = at.known(entry, keys)
    if "name" not in table:
        raise (at / "name").refusal("a name", None)
    return table


def _label(at: ConfigKey, table: Mapping[str, object], default: str) -> str:
    label = (at / "label").typed(table.get("label", default), str)
    if not label.strip() or label != label.strip() or not label.isprintable() or label.startswith("control: "):
        raise (at / "label").refusal("printable text that does not begin with 'control: '", label)
    if len(as_folder(label)) > LABEL:
        raise (at / "label").refusal("shorter, as it names a folder", label)
    return label
