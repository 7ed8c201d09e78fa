"""IoU at thresholds that were chosen on other patients."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matex.benchmark.report.section import TUNED, Values, cluster_of, curve_of
from matex.metrics.localisation import tune_thresholds


def tuned_iou(
    metric: str,
    arrays: Mapping[tuple[str, str, str], tuple[Values, NDArray[np.bool_]]],
    rows: Sequence[Mapping[str, Any]],
) -> dict[tuple[str, str, str], tuple[Values, NDArray[np.bool_]]]:
    """IoU of each sample at a threshold of its finding that was chosen on other patients or films.

    With samples of a validation and a test split, thresholds are chosen on the first and samples of the second have a
    value, as CheXlocalize does. Otherwise patients, or source films, are dealt into two halves and each is evaluated at
    the thresholds chosen on the other.
    """
    splits = [row["split"] for row in rows]
    digests = [hashlib.sha256(cluster_of(row).encode()).digest()[0] for row in rows]
    dealt = [("second", "first")[digest % 2] for digest in digests]
    ways = [(splits, "val", "test")] if {"val", "test"} <= set(splits) else []
    ways = ways or [(dealt, "first", "second"), (dealt, "second", "first")]
    groups = [str(row["group"]) for row in rows]
    ladders: dict[str, dict[int, tuple[Values, NDArray[np.bool_]]]] = {}
    for (method, of_metric, column), found in arrays.items():
        if of_metric == metric and (point := curve_of(column)):
            ladders.setdefault(method, {})[point[1]] = found
    tuned: dict[tuple[str, str, str], tuple[Values, NDArray[np.bool_]]] = {}
    for method, ladder in ladders.items():
        runs, there = next(iter(ladder.values()))
        values = np.full_like(runs, np.nan)
        for seed in range(len(runs)):
            ious = {threshold: column[seed] for threshold, (column, _) in ladder.items()}
            for split, choose, evaluate in ways:
                one = tune_thresholds(ious, groups, split, choose, evaluate).values
                values[seed] = np.where(np.isnan(one), values[seed], one)
        tuned[method, metric, TUNED] = values, there
    return tuned
