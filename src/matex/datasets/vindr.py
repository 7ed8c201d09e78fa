"""VinDr-CXR: films with the boxes of several radiologists, in the layout of PhysioNet or Kaggle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from matex.datasets.boxes import corners, gather, within
from matex.datasets.layout import Layout, Reading, check_choice, check_template, identity
from matex.datasets.pictures import first_inside, size_of, table
from matex.datasets.sample import DATASETS, Problem, Sample
from matex.datasets.tables import Row, read_rows
from matex.errors import InputError, shown
from matex.geometry import Box

COLUMNS = ("image_id", "class_name", "x_min", "y_min", "x_max", "y_max")
NONE = "no finding"
WORDS = {"ild": "interstitial lung disease", "nodule/mass": "nodule or mass"}


@DATASETS("vindr")
@dataclass(frozen=True)
class Vindr(Layout):
    """One sample per film and finding; the boxes of several readers are merged by union.

    Training films were read by three radiologists each, so two boxes of a sample may show the same thing twice;
    test films carry the consensus of five.

    Args:
        root: folder with annotations_train.csv and annotations_test.csv, in it or in annotations/ (PhysioNet), or
            train.csv (Kaggle), and the films in train/ and test/ as .dicom or .dcm. Boxes are in their pixels, so that
            converted films are not taken.
        template: of the phrase, {} is the finding.
        split: "train" or "test"; None: both.

    Source:
        "VinDr-CXR", Scientific Data 2022, arXiv:2012.15029; physionet.org/content/vindr-cxr.
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
        samples: list[Sample] = []
        for split in ("train", "test") if self.split is None else (self.split,):
            if (table := self._table(split)) is not None:
                samples += self._samples(table, split, problems)
        labels = {sample.label: (sample.text,) for sample in samples if sample.label}
        return Reading(samples, problems, dict(sorted(labels.items())))

    def _table(self, split: str) -> Path | None:
        """Table of a split; None where both were requested and Kaggle's layout has one."""
        names = [f"annotations/annotations_{split}.csv", f"annotations_{split}.csv"]
        names += ["train.csv"] if split == "train" else []
        found = next((table(self.root, name) for name in names if (self.root / name).is_file()), None)
        if found is None and (self.split is not None or split == "train"):
            raise InputError(
                f"Expected {' or '.join(names)} in {shown(self.root)}, got none. Check its path (root) and split."
            )
        return found

    def _samples(self, table: Path, split: str, problems: list[Problem]) -> list[Sample]:
        size = cache(size_of)

        def image_of(name: str) -> Path:
            return first_inside(self.root, [f"{split}/{name}.dicom", f"{split}/{name}.dcm"])

        def key_of(row: Row) -> tuple[str, str]:
            finding = row.text("class_name").lower()
            return row.text("image_id"), WORDS.get(finding, finding)

        def boxes_of(row: Row) -> list[Box]:
            return [within(corners(row, COLUMNS[2:]), size(image_of(row.text("image_id"))))]

        rows = read_rows(table, COLUMNS, problems)
        marked = (row for row in rows if (row.optional("class_name") or "").lower() != NONE)
        return [
            Sample(
                id=identity("vindr", name, finding),
                image=image_of(name),
                text=self.template.replace("{}", finding),
                boxes=tuple(dict.fromkeys(boxes)),
                label=finding,
                group=finding,
                split=split,
            )
            for (name, finding), boxes in gather(marked, key_of, boxes_of, problems).items()
        ]
