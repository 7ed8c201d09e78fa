"""Share of a map outside the lungs and outside the body, and recall of single boxes of a finding in several zones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from PIL import Image

from matex.metrics.field_of_view import FieldOfView, Mask, union
from matex.metrics.localisation import energy
from matex.metrics.metric import METRICS, Case, Columns, Direction, Need, check_percent
from matex.simulation import find_lungs
from matex.simulation.body import enlarged, find_body


@METRICS("outside-lungs")
@dataclass(frozen=True)
class OutsideLungs:
    """Share of the positive part of the raw map that lies outside the lungs, and that of an even map.

    The lungs are those of the explanation's lung mask, or else those that the packaged segmenter marks; NaN where it is
    not sure of both, for maps without positive values, and for images that are no chest films.

    Source:
        Claim of embedding-space XAI that its maps stay in the lungs; the paper shows pictures, this measures it.
    """

    needs: ClassVar[tuple[Need, ...]] = ("image",)
    dataset_level: ClassVar[bool] = False
    finished_maps: ClassVar[bool] = True
    better: ClassVar[Mapping[str, Direction]] = {"outside_lungs": "lower", "outside_lungs_even": "neither"}
    source: ClassVar[str] = "embedding-space XAI"

    def __call__(self, cases: Sequence[Case]) -> Columns:
        return _shares_outside(cases, lungs_of, ("outside_lungs", "outside_lungs_even"))


@METRICS("outside-body")
@dataclass(frozen=True)
class OutsideBody:
    """Share of the positive part of the raw map that lies outside the body, and that of an even map.

    Air around the patient and the markers in it are outside; the outline is that of `simulation.body`. NaN where it
    is not sure or the film shows nothing outside, for maps without positive values, and for images that are no chest
    films.

    Source:
        Claim of embedding-space XAI that maps mark pixels outside the body; the paper shows pictures, this measures it.
    """

    needs: ClassVar[tuple[Need, ...]] = ("image",)
    dataset_level: ClassVar[bool] = False
    better: ClassVar[Mapping[str, Direction]] = {"outside_body": "lower", "outside_body_even": "neither"}
    source: ClassVar[str] = "embedding-space XAI"

    def __call__(self, cases: Sequence[Case]) -> Columns:
        return _shares_outside(cases, body_of, ("outside_body", "outside_body_even"))


def _shares_outside(cases: Sequence[Case], region_of: Callable[[Case], Mask | None], names: tuple[str, str]) -> Columns:
    """Share of each positive map, and of the seen film, outside a region of the film; NaN where it is not known."""
    columns = {name: np.full(len(cases), np.nan) for name in names}
    known: dict[str, Mask | None] = {}
    for number, case in enumerate(cases):
        key = case.explanation.film.sha256
        if key not in known:
            known[key] = region_of(case)
        region, raw = known[key], case.explanation.image.raw
        if region is not None:
            outside = ~region & np.isfinite(raw)
            columns[names[0]][number] = energy(np.where(np.isfinite(raw), raw, 0.0), outside)
            columns[names[1]][number] = outside.sum() / np.isfinite(raw).sum()
    return columns


def body_of(case: Case) -> Mask | None:
    """The body on a case's film, bool [height, width]; None where it is not known."""
    query = case.explanation.query
    if query.domain != "chest":
        return None
    found = find_body(np.asarray(Image.fromarray(query.film.pixels).convert("L")))
    if not found.measured:
        return None
    height, width = query.film.size
    return enlarged(found.mask, height, width)


def lungs_of(case: Case) -> Mask | None:
    """Both lungs of a case's film, bool [height, width]; None where they are not known."""
    query = case.explanation.query
    if query.domain != "chest":
        return None
    if query.lung_mask is not None:
        return np.asarray(query.lung_mask) != 0
    grey = np.asarray(Image.fromarray(query.film.pixels).convert("L"))
    found = find_lungs(grey)
    if not found.measured:
        return None
    height, width = query.film.size
    return enlarged(found.right | found.left, height, width)


def highest(view: FieldOfView, percent: float) -> Mask:
    """The highest percent of the seen pixels, with all that equal the lowest of them, unless that is the minimum."""
    seen = view.values[view.seen]
    least = np.quantile(seen, 1 - percent / 100)
    return view.values > least if least == seen.min() else view.values >= least


@METRICS("box-recall")
@dataclass(frozen=True)
class BoxRecall:
    """Share of a sample's boxes that the highlighted part of the map finds, each box counted alike.

    The union of the boxes lets a map that finds the largest of them pass. Here a box is found when the highest `top`
    percent of the map cover at least `cover` percent of it. `box_cover` is the mean share of a box that is covered, in
    percent. NaN for samples with fewer than two boxes in view, since one box is what the other metrics measure.

    Args:
        top: percent of the seen pixels that count as highlighted.
        cover: percent of a box that must be covered.

    Source:
        ours.
    """

    top: float = 10.0
    cover: float = 25.0

    needs: ClassVar[tuple[Need, ...]] = ("image", "boxes")
    dataset_level: ClassVar[bool] = False
    finished_maps: ClassVar[bool] = True
    better: ClassVar[Mapping[str, Direction]] = {"box_recall": "higher", "box_cover": "higher", "boxes": "neither"}
    source: ClassVar[str] = "matex"

    def __post_init__(self) -> None:
        check_percent(self.top, "top")
        check_percent(self.cover, "cover")

    def __call__(self, cases: Sequence[Case]) -> Columns:
        columns = {name: np.full(len(cases), np.nan) for name in self.better}
        for number, case in enumerate(cases):
            view = FieldOfView.of(case)
            size = case.explanation.film.size
            boxes = [union([box], (size[0], size[1])) & view.seen for box in case.sample.boxes]
            boxes = [box for box in boxes if box.any()]
            if len(boxes) < 2:
                continue
            columns["boxes"][number] = len(boxes)
            if not view.constant:
                highlighted = highest(view, self.top)
                shares = [100 * float(highlighted[box].mean()) for box in boxes]
                columns["box_recall"][number] = 100 * np.mean([share >= self.cover for share in shares])
                columns["box_cover"][number] = math.fsum(shares) / len(shares)
        return columns
