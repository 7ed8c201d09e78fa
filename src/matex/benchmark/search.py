"""The configuration of `matex tune`: one data set, one model, and the settings of a method to try."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from matex.attribution import METHODS, make
from matex.benchmark.choices import (
    DatasetChoice,
    MetricChoice,
    ModelChoice,
    dataset_choice,
    metric_choice,
    model_choice,
)
from matex.benchmark.config_key import ConfigKey
from matex.benchmark.parameters import checked_parameters, text_apart
from matex.checks import MAX_COUNT, SEEDS, is_array, read_toml
from matex.metrics import METRICS


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
    dataset = dataset_choice(at / "dataset", content["dataset"])
    model = model_choice(at / "model", content.get("model", "tiny"))
    return dataset, model, _search(at / "tune", content["tune"])


def is_test_split(split: str) -> bool:
    """Whether a split is named as a test split, in any spelling."""
    return split.strip().lower().startswith("test")


def _search(at: ConfigKey, entry: object) -> Search:
    table = at.known(entry, ("method", "metric", "column", "values", "fixed", "trials", "seed", "split"))
    for key in ("method", "metric", "values"):
        if key not in table:
            raise (at / key).refusal("given", None)
    method = at.name(METHODS, "method", table["method"])
    values = _tried_values(at / "values", method, table["values"])
    metric = metric_choice(at / "metric", table["metric"])
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
    trials = (at / "trials").optional(table.get("trials"), int)
    if trials is not None:
        (at / "trials").in_range(trials, MAX_COUNT)
    seed = (at / "seed").typed(table.get("seed", 0), int)
    (at / "seed").in_range(seed, SEEDS - 1, least=0)
    fixed = checked_parameters(at / "fixed", METHODS[method], make, method, table.get("fixed", {}))
    if both := set(fixed) & set(values):
        raise (at / "fixed").refusal("without the parameters that are tried", sorted(both))
    return Search(method, metric, column, values, fixed, trials, seed, split)


def _tried_values(at: ConfigKey, method: str, given: object) -> dict[str, tuple[object, ...]]:
    """The values to try by parameter, each checked by creating the method with it alone."""
    kind = METHODS[method]
    hints, fields = typing.get_type_hints(kind), [item.name for item in dataclasses.fields(kind)]
    own, of_text = text_apart(kind, given)
    both, text = at.known(own, fields), (at / "text").known(of_text, fields)
    values: dict[str, tuple[object, ...]] = {}
    for key, tried in {**both, **{f"text.{key}": tried for key, tried in text.items()}}.items():
        here = at / key
        if not is_array(tried) or not tried:
            raise here.refusal("a list of values to try", tried)
        hint = hints[key.removeprefix("text.")]
        values[key] = tuple(here.item(number).typed(value, hint) for number, value in enumerate(tried))
        for number, value in enumerate(values[key]):
            checked_parameters(here.item(number), kind, make, method, {key: value}, typed=True)
    return values
