"""MS-CXR: phrases of radiology reports with the boxes that radiologists drew for them, on films of MIMIC-CXR-JPG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from matex.checks import is_array
from matex.datasets.boxes import corners, gather, scaled, within
from matex.datasets.layout import Layout, Reading, check_choice, cluster, identity
from matex.datasets.mimic_cxr import PATIENT
from matex.datasets.pictures import inside, size_of, table, table_of
from matex.datasets.sample import DATASETS, Problem, Sample
from matex.datasets.tables import Row, as_rows, missing_columns, read_object, read_rows
from matex.errors import InputError
from matex.geometry import Box

COLUMNS = (
    "dicom_id", "category_name", "label_text", "path", "x", "y", "w", "h", "image_width", "image_height",
)  # fmt: skip
TABLES = ("MS_CXR_Local_Alignment_v*.csv", "MS_CXR_Local_Alignment_v*.json")
SPLITS = ("train", "val", "test")


@DATASETS("ms-cxr")
@dataclass(frozen=True)
class MsCxr(Layout):
    """Phrases with boxes. Rows of one film, finding and phrase are one sample with several boxes.

    Boxes are annotated on films of `image_width` x `image_height`; where a JPG has another size they are scaled to it.

    Args:
        root: folder with MS_CXR_Local_Alignment_v*.csv or .json, of release 0.1 or 1.1.0.
        images: folder of MIMIC-CXR-JPG, which holds files/p10/...; None: root.
        table: name of the table in root, where there are several.
        split: "train", "val" or "test" of release 1.1.0; None: all.

    Source:
        "Making the Most of Text Semantics to Improve Biomedical Vision-Language Processing", ECCV 2022;
        physionet.org/content/ms-cxr.
    """

    domain: ClassVar[str] = "chest"

    root: Path
    images: Path | None = None
    table: str | None = None
    split: str | None = None

    def __post_init__(self) -> None:
        check_choice("split", self.split, (None, *SPLITS))

    def read(self) -> Reading:
        problems: list[Problem] = []
        file = table(self.root, self.table) if self.table else table_of(self.root, TABLES)
        images = self.images or self.root
        size = cache(size_of)

        def key_of(row: Row) -> tuple[str, str, str, str | None, str]:
            names = [row.text(column) for column in ("dicom_id", "category_name", "label_text", "path")]
            return names[0], names[1], names[2], row.optional("split"), names[3]

        def boxes_of(row: Row) -> list[Box]:
            annotated = (row.pixels("image_height"), row.pixels("image_width"))
            box = within(corners(row, ("x", "y", "w", "h"), "xywh"), annotated)
            return [scaled(box, size(inside(images, row.text("path"))), annotated)]

        rows = _coco_rows(file, problems) if file.name.endswith(".json") else read_rows(file, COLUMNS, problems)
        phrases = gather(rows, key_of, boxes_of, problems)
        if self.split is not None and not any(split for _, _, _, split, _ in phrases):
            raise InputError(f"Expected a column split in {file.name}, got none: it came with 1.1.0. Leave split out.")
        samples = [
            Sample(
                id=identity("ms-cxr", dicom, category, text),
                image=images / path,
                text=text,
                boxes=tuple(boxes),
                cluster=_cluster(path, dicom),
                group=category,
                split=split,
            )
            for (dicom, category, text, split, path), boxes in phrases.items()
            if self.split in (None, split)
        ]
        return Reading(samples, problems)


def _cluster(path: str, dicom: str) -> str:
    """Patient from MIMIC-CXR's path; the film where the path does not name one."""
    found = PATIENT.search(path.replace("\\", "/"))
    return cluster("patient", "mimic-cxr", found.group(1)) if found else cluster("film", "mimic-cxr", dicom)


def _coco_rows(table: Path, problems: list[Problem]) -> Iterator[Row]:
    """Annotations of the COCO form joined with their images, under the column names of the CSV."""
    lists = {key: value for key, value in read_object(table).items() if is_array(value)}
    parts = ("images", "categories", "annotations")
    if not set(parts) <= set(lists):
        raise missing_columns(table.name, parts, list(lists))
    images = {row.cells.get("id"): row.cells for row in as_rows(table.name, lists["images"], problems)}
    names = {row.cells.get("id"): row.cells.get("name") for row in as_rows(table.name, lists["categories"], problems)}
    for row in as_rows(table.name, lists["annotations"], problems):
        image: dict[str, object] = dict(images.get(row.cells.get("image_id"), {}))
        path = str(image.get("path") or "")
        box = row.cells.get("bbox")
        sides = box if is_array(box) and len(box) == 4 else [None] * 4
        yield Row(
            table.name,
            row.number,
            {
                "dicom_id": image.get("dicom_id") or Path(path).stem,
                "category_name": names.get(row.cells.get("category_id")),
                "label_text": row.cells.get("label_text"),
                "path": path,
                "image_width": image.get("width"),
                "image_height": image.get("height"),
                "split": row.cells.get("split") or image.get("split"),
                **dict(zip(("x", "y", "w", "h"), sides, strict=True)),
            },
        )
