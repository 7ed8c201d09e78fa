"""ChestX-Det: NIH films with boxes and outlines of thirteen findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from matex.checks import is_array
from matex.datasets.boxes import Polygon, box_of, mask_of_polygons, outline, within
from matex.datasets.layout import Entry, Layout, Reading, check_choice, check_template, identity
from matex.datasets.pictures import first_inside, size_of, table
from matex.datasets.sample import DATASETS, Problem, Sample
from matex.datasets.tables import Row, Unusable, clean, leaving_out, numbers, once, read_rows
from matex.geometry import Box, Size

FINDINGS = {
    "Atelectasis": "atelectasis",
    "Calcification": "calcification",
    "Cardiomegaly": "cardiomegaly",
    "Consolidation": "consolidation",
    "Diffuse Nodule": "diffuse nodules",
    "Effusion": "pleural effusion",
    "Emphysema": "emphysema",
    "Fibrosis": "fibrosis",
    "Fracture": "fracture",
    "Mass": "mass",
    "Nodule": "nodule",
    "Pleural Thickening": "pleural thickening",
    "Pneumothorax": "pneumothorax",
}


@DATASETS("chestx-det")
@dataclass(frozen=True)
class ChestxDet(Layout):
    """One sample per film and finding: all boxes of the finding, and a mask of its outlines.

    Args:
        root: folder with ChestX_Det_train.json and ChestX_Det_test.json, images in train_data/ and
            test_data/, train_data/train/ and test_data/test/, or train/ and test/.
        template: of the phrase, {} is the finding.
        split: "train" or "test"; None: both.

    Source:
        "A Structure-Aware Relation Network for Thoracic Diseases Detection and Segmentation", IEEE TMI 2021,
        arXiv:2104.10326; github.com/Deepwise-AILab/ChestX-Det-Dataset.
    """

    domain: ClassVar[str] = "chest"

    root: Path
    template: str = "{}"
    split: str | None = "test"

    def __post_init__(self) -> None:
        check_choice("split", self.split, (None, "train", "test"))
        check_template(self.template)

    def read(self) -> Reading:
        problems: list[Problem] = []
        entries: list[Entry] = []
        for split in ("train", "test") if self.split is None else (self.split,):
            seen: set[str] = set()
            name = f"ChestX_Det_{split}.json"
            for row in read_rows(table(self.root, name), ("file_name", "syms", "boxes", "polygons"), problems):
                with leaving_out(row, problems):
                    found = self._film(row, split)
                    once(row.text("file_name"), seen)
                    entries += found
        return Reading(entries, problems, {phrase: (self._phrase(phrase),) for phrase in FINDINGS.values()})

    def _phrase(self, finding: str) -> str:
        return self.template.replace("{}", finding)

    def _film(self, row: Row, split: str) -> list[Entry]:
        """A sample for each finding of a film."""
        name = row.text("file_name")
        parts = [part for key in ("syms", "boxes", "polygons") if is_array(part := row.cells.get(key))]
        if len(parts) != 3 or len({len(part) for part in parts}) != 1:
            raise Unusable("Expected as many syms as boxes and polygons.")
        image = first_inside(
            self.root, [f"{folder}/{name}" for folder in (f"{split}_data/{split}", f"{split}_data", split)]
        )
        size = size_of(image) if parts[0] else (0, 0)
        found: dict[str, tuple[list[Box], list[Polygon]]] = {}
        for label, corners, polygon in zip(*parts, strict=True):
            finding = FINDINGS.get(str(label)) or clean(str(label).lower())
            boxes, polygons = found.setdefault(finding, ([], []))
            boxes.append(within(box_of(numbers(corners, "boxes")), size))
            polygons.append(outline(polygon, size))
        return [
            partial(
                _with_mask,
                Sample(
                    id=identity("chestx-det", split, name, finding),
                    image=image,
                    text=self._phrase(finding),
                    boxes=tuple(boxes),
                    label=finding,
                    group=finding,
                    split=split,
                ),
                polygons,
                size,
            )
            for finding, (boxes, polygons) in found.items()
        ]


def _with_mask(sample: Sample, polygons: Sequence[Polygon], size: Size) -> Sample:
    return replace(sample, mask=mask_of_polygons(polygons, size))
