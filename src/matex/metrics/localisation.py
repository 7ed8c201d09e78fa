"""Localisation metrics against boxes and masks, at the resolution of the original image.

Pixels that the model does not see, such as those beyond a centre crop, are ignored; `outside_view` is the share of the
truth that lies there. The truth is the sample's mask, or else the union of its boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from matex.checks import check
from matex.metrics.field_of_view import FieldOfView, Mask, Values
from matex.metrics.metric import METRICS, Case, Columns, Direction, Need, check_percent


def iou(predicted: Mask, truth: Mask) -> float:
    """Intersection over union, in [0, 1]; NaN where both are empty.

    Examples:
        >>> from matex.metrics.field_of_view import union
        >>> truth = union([(0, 0, 4, 4)], (8, 8))
        >>> iou(truth, truth), iou(truth, union([(0, 0, 4, 8)], (8, 8)))
        (1.0, 0.5)
    """
    union_area = int((predicted | truth).sum())
    return float((predicted & truth).sum() / union_area) if union_area else float("nan")


def hit(values: Values, truth: Mask, within: int = 0) -> float:
    """Share of the map's highest pixels that lie in the truth, or at most `within` pixels from it.

    One highest pixel gives 0 or 1; a constant map gets the value of chance.

    Examples:
        >>> from matex.metrics.field_of_view import union
        >>> values = np.zeros((8, 8))
        >>> values[2, 3] = 1
        >>> hit(values, union([(0, 0, 4, 4)], (8, 8))), hit(values, union([(4, 4, 8, 8)], (8, 8)))
        (1.0, 0.0)
    """
    top = values == values.max()
    within = min(within, sum(values.shape))  # farther than any two pixels lie apart
    if within:
        down, across = top.any(1).nonzero()[0], top.any(0).nonzero()[0]
        rows = slice(max(0, down[0] - within), down[-1] + within + 1)
        columns = slice(max(0, across[0] - within), across[-1] + within + 1)
        top, truth = top[rows, columns], grown(truth[rows, columns], within)
    return float(truth[top].mean())


def grown(mask: Mask, radius: int) -> Mask:
    """Dilate a mask by `radius` pixels, by the distance of the pixels' centres."""
    height, width = mask.shape
    column = np.arange(width, dtype=np.intp)
    far = width + radius  # no pixel of the mask on this side
    before = column - np.maximum.accumulate(np.where(mask, column, -far), axis=1)
    after = np.minimum.accumulate(np.where(mask, column, width + far)[:, ::-1], axis=1)[:, ::-1] - column
    across = np.minimum(np.minimum(before, after), radius + 1).astype(np.int32)  # to the nearest in the same row
    result = np.zeros_like(mask)
    for down in range(-radius, radius + 1):
        top, bottom = max(0, -down), min(height, height - down)
        if top < bottom:
            reach = int((radius**2 - down**2) ** 0.5)
            result[top:bottom] |= across[top + down : bottom + down] <= reach
    return result


def energy(values: Values, truth: Mask) -> float:
    """Share of the positive part of the map that lies in the truth; NaN where nothing is positive.

    Examples:
        >>> from matex.metrics.field_of_view import union
        >>> energy(np.ones((8, 8)), union([(0, 0, 4, 4)], (8, 8)))
        0.25
    """
    positive = np.maximum(values, 0)
    total = positive.sum()
    return float(positive[truth].sum() / total) if total > 0 else float("nan")


@METRICS("iou")
@dataclass(frozen=True)
class IoU:
    """Intersection over union of the truth and the map above a fixed threshold, x100.

    Args:
        threshold: in percent, 0 or from 1 to below 100: 75 means the highest quarter of the pixels, or three quarters
            of the way from the lowest to the highest value.
        by: "percentile" of the seen pixels (linear between two of them), or "value". Both are strict: above, not at.
            The first gives every map the same area, whatever the size of the finding; the second is a contest of
            how peaked maps are.

    Source:
        CA-M2IB eq. 12; the paper does not say which of the two is meant. METHODS 17.4.
    """

    threshold: float = 75
    by: Literal["percentile", "value"] = "percentile"

    needs: ClassVar[tuple[Need, ...]] = ("image", "boxes")
    dataset_level: ClassVar[bool] = False
    finished_maps: ClassVar[bool] = True
    better: ClassVar[Mapping[str, Direction]] = {
        "iou": "higher",
        "outside_view": "neither",
    }
    source: ClassVar[str] = "CA-M2IB eq. 12"

    def __post_init__(self) -> None:
        check(0 <= self.threshold < 100, "threshold", "in [0, 100)", self.threshold)
        check_percent(self.threshold, "threshold")
        check(self.by in ("percentile", "value"), "by", "'percentile' or 'value'", self.by)

    def __call__(self, cases: Sequence[Case]) -> Columns:
        return _table(cases, self.better, self._one)

    def _one(self, view: FieldOfView) -> dict[str, float]:
        if view.constant:
            return {}
        if self.by == "percentile":
            above = view.values > np.percentile(view.values[view.seen], self.threshold)
        else:
            above = view.scaled() > self.threshold / 100
        return {"iou": 100 * iou(above, view.truth)}


@METRICS("miou")
@dataclass(frozen=True)
class MeanIoU:
    """IoU of each case at several thresholds, x100, for `tune_thresholds` to choose from; and the hit rate.

    Args:
        thresholds: percent of the way from the map's lowest to its highest value, whole numbers from 1 to 99; a column
            `iou_at_<threshold>` for each.

    Source:
        CheXlocalize, "Benchmarking saliency methods for chest X-ray interpretation", doi:10.1038/s42256-022-00536-x,
        and its tune_heatmap_threshold.py and eval.py. There the first of several highest pixels is taken for the hit;
        here each counts by its share.
    """

    thresholds: Sequence[int] = (20, 30, 40, 50, 60, 70, 80)

    needs: ClassVar[tuple[Need, ...]] = ("image", "boxes")
    dataset_level: ClassVar[bool] = False
    finished_maps: ClassVar[bool] = True
    better: ClassVar[Mapping[str, Direction]] = {
        **{f"iou_at_{threshold}": "higher" for threshold in range(1, 100)},
        "hit": "higher",
        "outside_view": "neither",
    }
    source: ClassVar[str] = "CheXlocalize, doi:10.1038/s42256-022-00536-x"

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", tuple(self.thresholds))
        known = bool(self.thresholds) and all(threshold in range(1, 100) for threshold in self.thresholds)
        check(known, "thresholds", "whole numbers from 1 to 99", self.thresholds)

    def __call__(self, cases: Sequence[Case]) -> Columns:
        names = [*[f"iou_at_{threshold}" for threshold in self.thresholds], "hit", "outside_view"]
        return _table(cases, names, self._one)

    def _one(self, view: FieldOfView) -> dict[str, float]:
        values = {"hit": hit(view.values, view.truth)}
        if not view.constant:
            scaled = view.scaled()
            values |= {f"iou_at_{t}": 100 * iou(scaled > t / 100, view.truth) for t in self.thresholds}
        return values


@METRICS("pointing")
@dataclass(frozen=True)
class Pointing:
    """Pointing game: share of the map's highest pixels that lie in the truth.

    Args:
        within: pixels of the original image that the highest pixel may be away from the truth, in `pointing_within`.

    Source:
        "Top-down Neural Attention by Excitation Backprop", arXiv:1608.00507, section 4.2, with 15 pixels on images
        of some 500. METHODS 17.8.
    """

    within: int = 15

    needs: ClassVar[tuple[Need, ...]] = ("image", "boxes")
    dataset_level: ClassVar[bool] = False
    finished_maps: ClassVar[bool] = True
    better: ClassVar[Mapping[str, Direction]] = {
        "pointing": "higher",
        "pointing_within": "higher",
        "outside_view": "neither",
    }
    source: ClassVar[str] = "arXiv:1608.00507"

    def __post_init__(self) -> None:
        check(self.within >= 0, "within", "of 0 or more", self.within)

    def __call__(self, cases: Sequence[Case]) -> Columns:
        return _table(cases, self.better, self._one)

    def _one(self, view: FieldOfView) -> dict[str, float]:
        return {
            "pointing": hit(view.values, view.truth),
            "pointing_within": hit(view.values, view.truth, self.within),
        }


@METRICS("energy")
@dataclass(frozen=True)
class Energy:
    """Share of the positive part of the raw map that lies in the truth; NaN for maps without positive values.

    Source:
        Energy-based pointing game of Score-CAM, arXiv:1910.01279, section 4.3. METHODS 17.8: on the raw map, as scaling
        by minimum and maximum turns a signed map's background into energy.
    """

    needs: ClassVar[tuple[Need, ...]] = ("image", "boxes")
    dataset_level: ClassVar[bool] = False
    finished_maps: ClassVar[bool] = True
    better: ClassVar[Mapping[str, Direction]] = {
        "energy": "higher",
        "outside_view": "neither",
    }
    source: ClassVar[str] = "arXiv:1910.01279"

    def __call__(self, cases: Sequence[Case]) -> Columns:
        return _table(cases, self.better, lambda view: {"energy": energy(view.values, view.truth)})


@METRICS("named-over-other")
@dataclass(frozen=True)
class NamedOverOther:
    """Specificity of the map to the named one of two findings in a film.

    A map of anything abnormal marks both alike: `points_named` and `points_other` are the pointing game on each,
    `named_above_other` is 1 where the map's mean over the named finding exceeds that over the other (ties 0.5),
    `energy_share` is the named finding's share of the positive part of the map that lies in either. Pixels of both
    belong to the named one. Chance is 0.5 for `named_above_other`, and for a constant map the share of the areas for
    `energy_share`.

    Source:
        ours.
    """

    needs: ClassVar[tuple[Need, ...]] = ("image", "boxes", "other")
    dataset_level: ClassVar[bool] = False
    finished_maps: ClassVar[bool] = True
    better: ClassVar[Mapping[str, Direction]] = {
        "points_named": "higher",
        "points_other": "lower",
        "named_above_other": "higher",
        "energy_share": "higher",
        "outside_view": "neither",
    }
    source: ClassVar[str] = "matex"

    def __call__(self, cases: Sequence[Case]) -> Columns:
        return _table(cases, self.better, self._one)

    def _one(self, view: FieldOfView) -> dict[str, float]:
        other = view.other
        if not other.any():
            return {}
        named_mean, other_mean = (float(view.values[mask].mean()) for mask in (view.truth, other))
        above = 0.5 if view.constant else 0.5 * (1 + np.sign(named_mean - other_mean))
        return {
            "points_named": hit(view.values, view.truth),
            "points_other": hit(view.values, other),
            "named_above_other": float(above),
            "energy_share": energy(np.where(view.truth | other, view.values, 0), view.truth),
        }


@dataclass(frozen=True, eq=False)
class TunedThresholds:
    """Thresholds chosen on one split and their IoU on another.

    Args:
        thresholds: of each group; a group without a defined case to choose by has none.
        values: IoU of each case at its group's threshold, [case]; NaN outside of the evaluated split.
    """

    thresholds: dict[str, int]
    values: Values


def tune_thresholds(
    ious: Mapping[int, Values],
    groups: Sequence[str],
    splits: Sequence[str | None],
    choose: str = "val",
    evaluate: str = "test",
) -> TunedThresholds:
    """Choose each group's threshold by its mean IoU on the validation split and apply it to the test split.

    So a method is evaluated at its own best threshold instead of by how peaked its maps are.

    Args:
        ious: the columns of `miou`, by threshold, each [case].
        groups: finding of each case.
        splits: split of each case.
        choose: split to choose on.
        evaluate: split to evaluate on.

    Raises:
        ValueError: the two splits are one, or columns of different lengths.

    Source:
        CheXlocalize, tune_heatmap_threshold.py: per finding, the lowest of equally good thresholds.
    """
    if choose == evaluate:
        raise ValueError(f"Expected two different splits, got {choose!r} for both. Tune on 'val', evaluate on 'test'.")
    lengths = {len(column) for column in [*ious.values(), groups, splits]}
    if len(lengths) != 1:
        raise ValueError(f"Expected one entry per case in all arguments, got lengths {sorted(lengths)}.")
    of_group, of_split = np.array(groups, dtype=object), np.array(splits, dtype=object)
    thresholds: dict[str, int] = {}
    values = np.full(len(groups), np.nan)
    for group in dict.fromkeys(groups):
        means: dict[int, float] = {}
        for threshold in sorted(ious):
            chosen = ious[threshold][(of_group == group) & (of_split == choose)]
            if not np.isnan(chosen).all():
                means[threshold] = float(np.nanmean(chosen))
        if means:
            thresholds[group] = max(means, key=lambda threshold: means[threshold])
            at = (of_group == group) & (of_split == evaluate)
            values[at] = ious[thresholds[group]][at]
    return TunedThresholds(thresholds, values)


def _table(cases: Sequence[Case], names: Iterable[str], one: Callable[[FieldOfView], Mapping[str, float]]) -> Columns:
    """Columns of these names, `outside_view` included; NaN where `one` returns no value or no truth is in view."""
    columns = {name: np.full(len(cases), np.nan) for name in names}
    for i, case in enumerate(cases):
        view = FieldOfView.of(case)
        columns["outside_view"][i] = view.outside
        if view.truth.any():
            for name, value in one(view).items():
                columns[name][i] = value
    return columns
