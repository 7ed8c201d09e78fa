"""IoU at thresholds that were chosen on other patients."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from matex.benchmark.report.section import TUNED, Values, cluster_of, curve_of
from matex.benchmark.runs.records import SampleColumns
from matex.metrics.localisation import tune_thresholds

Runs = tuple[Values, NDArray[np.bool_]]  # values [seed, sample], and which samples have a row at all
Fold = tuple[Sequence[str | None], str, str]  # split of each sample, the one to choose on, the one to evaluate


def tuned_iou(
    metric: str,
    arrays: Mapping[tuple[str, str, str], Runs],
    rows: Sequence[SampleColumns],
) -> dict[tuple[str, str, str], Runs]:
    """IoU of each sample at a threshold of its finding that was chosen on other patients or films.

    With samples of a validation and a test split, thresholds are chosen on the first and samples of the second have a
    value, as CheXlocalize does. Otherwise patients, or source films, are divided into two halves and each is evaluated
    at the thresholds chosen on the other.

    Args:
        metric: label of the metric miou.
        arrays: values by method, metric and column.
        rows: of samples.parquet, in the order of the values.
    """
    groups = [str(row["group"]) for row in rows]
    ladders: dict[str, dict[int, Runs]] = {}
    for (method, of_metric, column), runs in arrays.items():
        if of_metric == metric and (point := curve_of(column)):
            ladders.setdefault(method, {})[point[1]] = runs
    folds = _folds(rows)
    return {(method, metric, TUNED): _tuned_runs(ladder, groups, folds) for method, ladder in ladders.items()}


def _folds(rows: Sequence[SampleColumns]) -> list[Fold]:
    """The splits of the data set where there are both; else two halves, each evaluated with the other's thresholds."""
    splits = [row["split"] for row in rows]
    if {"val", "test"} <= set(splits):
        return [(splits, "val", "test")]
    digests = [hashlib.sha256(cluster_of(row).encode()).digest()[0] for row in rows]
    halves = [("second", "first")[digest % 2] for digest in digests]
    return [(halves, "first", "second"), (halves, "second", "first")]


def _tuned_runs(ladder: Mapping[int, Runs], groups: Sequence[str], folds: Sequence[Fold]) -> Runs:
    """IoU of one method at its chosen thresholds, [seed, sample]; NaN where no threshold could be chosen."""
    runs, present = next(iter(ladder.values()))
    values = np.full_like(runs, np.nan)
    for seed in range(len(runs)):
        ious = {threshold: column[seed] for threshold, (column, _) in ladder.items()}
        for splits, choose, evaluate in folds:
            chosen = tune_thresholds(ious, groups, splits, choose, evaluate).values
            values[seed] = np.where(np.isnan(chosen), values[seed], chosen)
    return values, present
