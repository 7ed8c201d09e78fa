"""The configuration of a benchmark: a TOML file as frozen dataclasses; errors are one line that names the key."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matex.adapters import DTypeName
from matex.attribution import METHODS, make
from matex.benchmark.config_key import ConfigKey
from matex.benchmark.runs.store import as_folder
from matex.benchmark.score_keys import SCORE, check_metrics, read_score
from matex.checks import MAX_BATCH, MAX_COUNT, SEEDS, is_array, is_list, is_mapping, is_object, read_toml, shown
from matex.datasets import DATASETS
from matex.errors import InputError
from matex.geometry import Resize
from matex.metrics import METRICS, Metric, make_metric
from matex.objectives import ClassScoreKind, Pooling
from matex.protocols import Method
from matex.registry import check_counts

CHUNK = 16
"""Samples that are explained together; the bytes of a run depend on it."""
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
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    against: str | None = None
    labels: str | Sequence[str] | Mapping[str, Sequence[str]] | None = None
    of: ClassScoreKind | None = None
    pool: Pooling | None = None

    @property
    def score(self) -> dict[str, Any]:
        """The arguments of `matex.explain` that choose the explained score; empty for that of the phrase."""
        given = {name: getattr(self, name) for name in SCORE}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class MetricChoice:
    """A metric of a run under the label that results call it."""

    name: str
    label: str
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True)
class Config:
    """Every method on every sample of every data set with every model, measured by every metric.

    Args:
        datasets: one or more.
        models: one or more.
        methods: one or more.
        metrics: one or more.
        seeds: of stochastic methods, random maps and random weights.
        chunk: samples explained together; an interrupted run loses at most one chunk.
    """

    datasets: tuple[DatasetChoice, ...]
    models: tuple[ModelChoice, ...]
    methods: tuple[MethodChoice, ...]
    metrics: tuple[MetricChoice, ...]
    seeds: tuple[int, ...] = (0,)
    chunk: int = CHUNK


@dataclass(frozen=True)
class Search:
    """The search of `matex tune`: settings to try, and the metric by which they are compared.

    Args:
        method: name as registered.
        metric: by which settings are compared, of single maps.
        column: of the metric.
        values: those to try, by parameter.
        fixed: parameters that are the same in every setting.
        trials: None for every combination, a number for as many random ones.
        seed: of the random choice.
        split: whose samples are used. "none" for data sets without splits, whose samples the user has set apart.
    """

    method: str
    metric: MetricChoice
    column: str
    values: Mapping[str, tuple[object, ...]]
    fixed: Mapping[str, object] = field(default_factory=dict[str, object])
    trials: int | None = None
    seed: int = 0
    split: str = "val"


def load_config(path: str | Path) -> Config:
    """Read the configuration of `matex benchmark`.

    Raises:
        InputError: no such file, no TOML, or a mistake in it.
    """
    return parse_config(read_toml(Path(path)), str(path))


def parse_config(content: Mapping[str, Any], source: str = "configuration") -> Config:
    """A configuration from plain values, as TOML gives them; `source` is named in errors."""
    at = ConfigKey(source)
    at.known(content, ("seeds", "chunk", "datasets", "models", "methods", "metrics"))
    config = Config(
        datasets=unique(at / "datasets", [_dataset(*entry) for entry in at.entries(content, "datasets")]),
        models=unique(at / "models", [model_choice(*entry) for entry in at.entries(content, "models")]),
        methods=unique(at / "methods", [method_choice(*entry) for entry in at.entries(content, "methods")]),
        metrics=unique(at / "metrics", [_metric(*entry) for entry in at.entries(content, "metrics")]),
        seeds=(at / "seeds").typed(content.get("seeds", [0]), tuple[int, ...]),
        chunk=(at / "chunk").typed(content.get("chunk", CHUNK), int),
    )
    different = len(set(config.seeds)) == len(config.seeds)
    if not (different and 1 <= len(config.seeds) <= 1000 and all(0 <= seed < SEEDS for seed in config.seeds)):
        raise (at / "seeds").refusal("1 to 1000 different whole numbers from 0 to 4294967295", list(config.seeds))
    (at / "chunk").in_range(config.chunk, MAX_BATCH)
    check_metrics(
        source,
        {method.label: method.score for method in config.methods},
        {metric.label: metric.name for metric in config.metrics},
    )
    return config


def load_search(path: str | Path) -> tuple[DatasetChoice, ModelChoice, Search]:
    """Read the configuration of `matex tune`: one data set, one model, and what to try.

    Raises:
        InputError: no such file, no TOML, or a mistake in it.
    """
    content, at = read_toml(Path(path)), ConfigKey(str(path))
    at.known(content, ("dataset", "model", "tune"))
    for key in ("dataset", "tune"):
        if key not in content:
            raise (at / key).refusal(f"a table [{key}]", None)
    dataset = _dataset(at / "dataset", content["dataset"])
    model = model_choice(at / "model", content.get("model", "tiny"))
    return dataset, model, _search(at / "tune", content["tune"])


def is_test_split(split: str) -> bool:
    """Whether a split is named as a test split, in any spelling."""
    return split.strip().lower().startswith("test")


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
    return name, _parameters(at / "parameters", METHODS[name], make, name, content.get("parameters", {}))


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


def _dataset(at: ConfigKey, entry: object) -> DatasetChoice:
    table = _table(at, entry, ("name", "label", "parameters", "limit", "seed"))
    name = at.name(DATASETS, "name", table["name"])
    limit = (at / "limit").typed(table.get("limit"), int | None)
    if limit is not None:
        (at / "limit").in_range(limit, 1 << 32)  # of samples that are there: no film is made for it
    seed = (at / "seed").typed(table.get("seed"), int | None)
    if seed is not None:
        if limit is None:
            raise (at / "seed").refusal("left out without a limit, whose samples it chooses", seed)
        (at / "seed").in_range(seed, SEEDS - 1, 0)
    fields = [item.name for item in dataclasses.fields(DATASETS[name])]
    given = (at / "parameters").known(table.get("parameters", {}), fields)
    typed = _typed_fields(at / "parameters", DATASETS[name], given)
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
    values: dict[str, Any] = {key: (at / key).typed(value, hints[key]) for key, value in table.items()}
    last = str(values["name"]).rpartition(":")[2].rstrip("/\\")
    values["label"] = _label(at, table, Path(last).name or values["name"])
    return ModelChoice(**values)


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
    parameters = _parameters(at / "parameters", METHODS[name], make, name, table.get("parameters", {}))
    return MethodChoice(name, _label(at, table, name), parameters, **read_score(at, name, parameters, table))


def _metric(at: ConfigKey, entry: object) -> MetricChoice:
    table = _table(at, entry, ("name", "label", "parameters"))
    name = at.name(METRICS, "name", table["name"])
    parameters = _parameters(at / "parameters", METRICS[name], make_metric, name, table.get("parameters", {}))
    return MetricChoice(name, _label(at, table, name), parameters)


def _search(at: ConfigKey, entry: object) -> Search:
    table = at.known(entry, ("method", "metric", "column", "values", "fixed", "trials", "seed", "split"))
    for key in ("method", "metric", "values"):
        if key not in table:
            raise (at / key).refusal("given", None)
    method = at.name(METHODS, "method", table["method"])
    hints = typing.get_type_hints(METHODS[method])
    fields = [item.name for item in dataclasses.fields(METHODS[method])]
    values: dict[str, tuple[object, ...]] = {}
    own, of_text = _text_apart(METHODS[method], table["values"])
    keys = (at / "values").known(own, fields), (at / "values" / "text").known(of_text, fields)
    for key, tried in {**keys[0], **{f"text.{key}": tried for key, tried in keys[1].items()}}.items():
        here = at / "values" / key
        if not is_array(tried) or not tried:
            raise here.refusal("a list of values to try", tried)
        hint = hints[key.removeprefix("text.")]
        values[key] = tuple(here.item(number).typed(value, hint) for number, value in enumerate(tried))
        for number, value in enumerate(values[key]):
            _parameters(here.item(number), METHODS[method], make, method, {key: value}, typed=True)
    metric = _metric(at / "metric", table["metric"])
    columns = tuple(METRICS[metric.name].better)
    column = table.get("column", columns[0])
    if not isinstance(column, str) or column not in columns or METRICS[metric.name].better[column] == "neither":
        raise (at / "column").refusal(
            f"a column of {metric.name} that has a better end, of {', '.join(columns)}", column
        )
    split = (at / "split").typed(table.get("split", "val"), str)
    if is_test_split(split):
        raise (at / "split").refusal(
            "'val' or 'train', as parameters chosen on the test split say nothing there", split
        )
    trials = (at / "trials").typed(table.get("trials"), int | None)
    if trials is not None:
        (at / "trials").in_range(trials, MAX_COUNT)
    seed = (at / "seed").typed(table.get("seed", 0), int)
    (at / "seed").in_range(seed, SEEDS - 1, least=0)
    fixed = _parameters(at / "fixed", METHODS[method], make, method, table.get("fixed", {}))
    if both := set(fixed) & set(values):
        raise (at / "fixed").refusal("without the parameters that are tried", sorted(both))
    return Search(method, metric, column, values, fixed, trials, seed, split)


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


def _parameters(
    at: ConfigKey,
    kind: type[Method] | type[Metric],
    make_one: Callable[[str, Mapping[str, object]], object],
    name: str,
    given: object,
    typed: bool = False,
) -> dict[str, object]:
    """Parameters of a method or metric, checked by creating one; `typed` when the values have their types already."""
    names = [item.name for item in dataclasses.fields(kind)]
    own, of_text = _text_apart(kind, given)
    table, text = at.known(own, names), (at / "text").known(of_text, names)
    if not typed:
        table, text = _typed_fields(at, kind, table), _typed_fields(at / "text", kind, text)
    values = {**table, **{f"text.{key}": value for key, value in text.items()}}
    try:
        make_one(name, values)
    except ValueError as error:
        raise InputError(f"{at.source}: {at.key}: {error}") from None
    return dict(values)


def _text_apart(kind: type[object], given: object) -> tuple[object, object]:
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


def _typed_fields(at: ConfigKey, kind: type[object], given: Mapping[str, object]) -> dict[str, object]:
    hints = typing.get_type_hints(kind)
    values = {key: (at / key).typed(value, hints[key]) for key, value in given.items()}
    for key, value in values.items():
        try:
            check_counts(key, value)
        except InputError as error:
            raise InputError(f"{at.source}: {(at / key).key}: {error}") from None
    return values


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
