"""RSNA Pneumonia Detection Challenge: NIH films with boxes around lung opacities."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from matex.datasets.boxes import corners, gather, scaled, within
from matex.datasets.layout import Layout, Reading, identity
from matex.datasets.pictures import first_inside, size_of, table
from matex.datasets.sample import DATASETS, Problem, Sample
from matex.datasets.tables import Row, read_rows
from matex.geometry import Box

COLUMNS = ("patientId", "x", "y", "width", "height", "Target")
DRAWN_ON = (1024, 1024)  # height and width of all films of the challenge


@DATASETS("rsna")
@dataclass(frozen=True)
class Rsna(Layout):
    """Films with an opacity, all boxes of a film in one sample; films without one (Target 0) are skipped.

    The challenge's patientId names a film: which films share a patient is not in its tables.

    Args:
        root: folder with stage_2_train_labels.csv and stage_2_train_images/<patientId>.dcm; PNG and JPG of any size
            are taken too, with boxes scaled from 1024 x 1024. DICOM needs pydicom.
        phrase: of all films.

    Source:
        "Augmenting the National Institutes of Health Chest Radiograph Dataset with Expert Annotations of Possible
        Pneumonia", Radiology: AI 2019; kaggle.com/c/rsna-pneumonia-detection-challenge.
    """

    domain: ClassVar[str] = "chest"

    root: Path
    phrase: str = "lung opacity"

    def read(self) -> Reading:
        problems: list[Problem] = []
        size = cache(size_of)

        def image_of(patient: str) -> Path:
            names = [f"stage_2_train_images/{patient}{suffix}" for suffix in (".dcm", ".png", ".jpg")]
            return first_inside(self.root, names)

        def boxes_of(row: Row) -> list[Box]:
            box = within(corners(row, COLUMNS[1:5], "xywh"), DRAWN_ON)
            return [scaled(box, size(image_of(row.text("patientId"))), DRAWN_ON)]

        rows = read_rows(table(self.root, "stage_2_train_labels.csv"), COLUMNS, problems)
        opaque = (row for row in rows if row.optional("Target") not in ("0", "0.0"))
        boxes = gather(opaque, lambda row: row.text("patientId"), boxes_of, problems)
        samples = [
            Sample(
                id=identity("rsna", patient),
                image=image_of(patient),
                text=self.phrase,
                boxes=tuple(found),
                group="lung opacity",
            )
            for patient, found in boxes.items()
        ]
        return Reading(samples, problems)
