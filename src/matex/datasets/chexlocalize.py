"""CheXlocalize: the films of CheXpert's validation and test sets with outlines of ten findings by radiologists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeGuard

import numpy as np
from numpy.typing import NDArray

from matex.checks import is_array, is_object
from matex.datasets.boxes import box_of_mask, mask_of_polygons, outline
from matex.datasets.layout import Entry, Layout, Reading, check_choice, check_template, cluster, identity
from matex.datasets.pictures import first_inside, size_of, table
from matex.datasets.sample import DATASETS, Problem, Sample
from matex.datasets.tables import Row, Unusable, leaving_out, missing_columns, read_object
from matex.geometry import Size

FINDINGS = (
    "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Lesion", "Airspace Opacity", "Edema", "Consolidation",
    "Atelectasis", "Pneumothorax", "Pleural Effusion", "Support Devices",
)  # fmt: skip
FOLDERS = {"val": ("CheXpert/val", "CheXpert/valid", "val", "valid"), "test": ("CheXpert/test", "test")}


@DATASETS("chexlocalize")
@dataclass(frozen=True)
class CheXlocalize(Layout):
    """One sample per film and outlined finding, with its mask and the bounding box.

    The heatmaps that come with the set are Python pickles, which can run any code when opened: they are never read.

    Args:
        root: folder with gt_segmentations_val.json and so on.
        images: folder with CheXpert/val, CheXpert/test, or val (valid) and test; None: root. Full size, not
            CheXpert-small.
        table: "gt_segmentations", "gt_annotations", or "hb_segmentations": the human benchmark of the test set.
        template: of the phrase, {} is the finding.
        split: "val", on which thresholds are tuned, or "test".

    Source:
        "Benchmarking saliency methods for chest X-ray interpretation", Nature Machine Intelligence 2022;
        github.com/rajpurkarlab/cheXlocalize.
    """

    domain: ClassVar[str] = "chest"

    root: Path
    images: Path | None = None
    table: str = "gt_segmentations"
    template: str = "{}"
    split: str = "test"

    def __post_init__(self) -> None:
        check_choice("table", self.table, ("gt_segmentations", "gt_annotations", "hb_segmentations"))
        check_choice("split", self.split, tuple(FOLDERS))
        check_template(self.template)

    def read(self) -> Reading:
        problems: list[Problem] = []
        entries: list[Entry] = []
        file = table(self.root, f"{self.table}_{self.split}.json")
        films = read_object(file)
        names = {name for findings in films.values() if is_object(findings) for name in findings}
        if not names & set(FINDINGS):
            raise missing_columns(file.name, FINDINGS, sorted(names - {"img_size"}))
        for index, (name, findings) in enumerate(films.items(), start=1):
            if not is_object(findings):
                problems.append(Problem(file.name, index, "Expected findings of a film, got something else."))
                continue
            row = Row(file.name, index, findings)
            for finding in FINDINGS:
                if finding in findings:
                    with leaving_out(row, problems):
                        entries += self._entry(name, finding, findings)
        return Reading(entries, problems, {one.lower(): (self._phrase(one),) for one in FINDINGS})

    def _phrase(self, finding: str) -> str:
        return self.template.replace("{}", finding.lower())

    def _entry(self, name: str, finding: str, findings: Mapping[str, object]) -> Iterator[Entry]:
        """Sample of a finding, if the film shows it."""
        annotation = findings[finding]
        if self.table == "gt_annotations":
            size = _size(findings.get("img_size"))
            contours = annotation if is_array(annotation) else [None]
            make = partial(mask_of_polygons, [outline(one, size) for one in contours], size)
            marked = len(contours) > 0
        else:
            if not is_object(annotation):
                raise Unusable("Expected a mask in run lengths, got something else.")
            size = _size(annotation.get("size"))
            runs = run_lengths(annotation.get("counts"), size)
            make = partial(mask_of_runs, runs, size)
            marked = bool(runs[1::2].any())
        if not marked:
            return
        parts = "/".join(name.split("_", 2)) + ".jpg"
        image = first_inside(self.images or self.root, [f"{folder}/{parts}" for folder in FOLDERS[self.split]])
        there = size_of(image)
        if there != size:
            raise Unusable(
                f"Expected an image of {size[0]} x {size[1]} (height x width) as outlined, got {there[0]} x {there[1]}."
            )
        sample = Sample(
            id=identity("chexlocalize", self.split, name, finding),
            image=image,
            text=self._phrase(finding),
            label=finding.lower(),
            cluster=cluster("patient", "chexpert", name.split("_", 1)[0]),
            group=finding.lower(),
            split=self.split,
            view="FRONTAL" if name.endswith("frontal") else "LATERAL",
        )
        yield lambda: _with_mask(sample, make())


def _with_mask(sample: Sample, mask: NDArray[np.bool_]) -> Sample:
    return replace(sample, mask=mask, boxes=(box_of_mask(mask),) if mask.any() else ())


def _size(values: object) -> Size:
    sides = [one for one in values if _is_count(one) and 0 < one < 1 << 16] if is_array(values) else []
    if not is_array(values) or not len(sides) == len(values) == 2:
        raise Unusable("Expected height and width of the film, got something else.")
    return sides[0], sides[1]


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and value >= 0  # True is no count


def run_lengths(counts: object, size: Size) -> NDArray[np.int64]:
    """Run lengths of a mask in column-major order, background first.

    Args:
        counts: a list of them, or COCO's text: 5 bits to a character from "0" on, low ones first, bit 5 says that more
            follow, and from the fourth number on the difference to the last but one (cocoapi's rleFrString).
        size: (height, width) that they must fill.

    Raises:
        Unusable: damaged, or of another size.
    """
    given = _unpacked(counts) if isinstance(counts, str) else counts
    runs = [run for run in given if _is_count(run)] if is_array(given) else []
    if not is_array(given) or len(runs) != len(given) or sum(runs) != size[0] * size[1]:
        raise Unusable(f"Expected run lengths that fill {size[0]} x {size[1]} (height x width), got others.")
    return np.array(runs, dtype=np.int64)


def _unpacked(text: str) -> list[int]:
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise Unusable("Expected a mask in COCO's run lengths, got other characters.")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise Unusable("Expected a mask in COCO's run lengths, got one that breaks off.")
    return runs


def mask_of_runs(runs: NDArray[np.int64], size: Size) -> NDArray[np.bool_]:
    """Decode run lengths to a mask [height, width]."""
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size[1], size[0]).T
