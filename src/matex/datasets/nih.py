"""NIH ChestX-ray14: films with labels, some of them with the boxes of BBox_List_2017.csv."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, NamedTuple

from matex.datasets.boxes import corners, gather, scaled, within
from matex.datasets.layout import Layout, Reading, check_choice, check_template, cluster, identity
from matex.datasets.pictures import contained, size_of, table, table_of
from matex.datasets.sample import DATASETS, Problem, Sample
from matex.datasets.tables import Row, Unusable, leaving_out, read_lines, read_rows
from matex.geometry import Box

BOX_COLUMNS = ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]")  # so the header's bracket falls apart
ENTRY_COLUMNS = ("Image Index", "Finding Labels", "View Position")
_NAME = re.compile(r"\d{8}_\d{3}")  # patient and number of the film, as the NIH names its files
DRAWN_ON = (1024, 1024)  # height and width of all films as the NIH hands them out
FINDINGS = (
    "atelectasis", "cardiomegaly", "consolidation", "edema", "effusion", "emphysema", "fibrosis", "hernia",
    "infiltration", "mass", "nodule", "pleural thickening", "pneumonia", "pneumothorax",
)  # fmt: skip


@DATASETS("nih")
@dataclass(frozen=True)
class Nih(Layout):
    """Labels as phrases. Boxes of one film and label are one sample; copies of the films at another size are taken too.

    Args:
        root: folder with BBox_List_2017.csv, Data_Entry_2017*.csv and images/ or images_001/images/ and so on.
        films: "boxes": the labels that have boxes; "all": every label of Data_Entry, with boxes where there are some.
        template: of the phrase, {} is the label.
        split: "train" (train_val_list.txt) or "test" (test_list.txt); None: all.

    Source:
        "ChestX-ray8", CVPR 2017, arXiv:1705.02315; nihcc.app.box.com/v/ChestXray-NIHCC.
    """

    domain: ClassVar[str] = "chest"

    root: Path
    films: str = "boxes"
    template: str = "{}"
    split: str | None = None

    def __post_init__(self) -> None:
        check_choice("films", self.films, ("boxes", "all"))
        check_choice("split", self.split, (None, "train", "test"))
        check_template(self.template)

    def read(self) -> Reading:
        problems: list[Problem] = []
        folders = [self.root / "images", *sorted(self.root.glob("images_*/images"))]
        images = {path.name: path for folder in folders if folder.is_dir() for path in folder.iterdir()}
        size = cache(size_of)

        def key_of(row: Row) -> tuple[str, str]:
            return row.text("Image Index"), _finding(row.text("Finding Label"))

        def boxes_of(row: Row) -> list[Box]:
            box = within(corners(row, BOX_COLUMNS[2:], "xywh"), DRAWN_ON)
            return [scaled(box, size(self._image(images, row)), DRAWN_ON)]

        boxes = gather(
            read_rows(table(self.root, "BBox_List_2017.csv"), BOX_COLUMNS, problems), key_of, boxes_of, problems
        )
        entries, unplaced = self._entries(images, problems)
        if self.films == "all":
            boxes |= {key: [] for key in unplaced if key not in boxes}
        splits = self._splits()
        samples = [
            Sample(
                id=identity("nih", name, finding),
                image=images[name],
                text=self.template.replace("{}", finding),
                boxes=tuple(found),
                label=finding,
                cluster=cluster("patient", "nih", name[:8]) if _NAME.match(name) else "",
                group=finding,
                split=splits.get(name),
                view=entries[name].view if name in entries else None,
                attributes=entries[name].attributes if name in entries else {},
            )
            for (name, finding), found in boxes.items()
            if self.split in (None, splits.get(name))
        ]
        return Reading(samples, problems, {one: (self.template.replace("{}", one),) for one in FINDINGS})

    def _entries(
        self, images: dict[str, Path], problems: list[Problem]
    ) -> tuple[dict[str, _Entry], list[tuple[str, str]]]:
        """Entries by film, and with films="all" every film and finding whose image exists."""
        if self.films == "boxes" and not any(self.root.glob("Data_Entry_2017*.csv")):
            return {}, []
        entries = table_of(self.root, ("Data_Entry_2017_v2020.csv", "Data_Entry_2017*.csv"))
        known: dict[str, _Entry] = {}
        found: list[tuple[str, str]] = []
        for row in read_rows(entries, ENTRY_COLUMNS, problems):
            with leaving_out(row, problems):
                name, labels = row.text("Image Index"), row.text("Finding Labels").split("|")
                known[name] = _Entry(row.optional("View Position"), _person(row))
                if self.films == "all" and labels != ["No Finding"]:
                    self._image(images, row)
                    found += [(name, _finding(label)) for label in labels]
        return known, found

    def _splits(self) -> dict[str, str]:
        """Split of each film by the official lists that exist; that of the requested split must."""
        lists = {"train": self.root / "train_val_list.txt", "test": self.root / "test_list.txt"}
        return {
            line.strip(): split
            for split, path in lists.items()
            if path.exists() or split == self.split
            for _, line in read_lines(table(self.root, path.name))
        }

    def _image(self, images: dict[str, Path], row: Row) -> Path:
        try:
            return contained(self.root, images[row.text("Image Index")])
        except KeyError:
            raise Unusable("Expected the image of this row under images or images_0NN/images, found none.") from None


class _Entry(NamedTuple):
    """Row of Data_Entry: labels and patient of a film."""

    view: str | None
    attributes: dict[str, object]


def _person(row: Row) -> dict[str, object]:
    """Sex and age in years; ages such as "058Y" are those of the first release."""
    age = (row.optional("Patient Age") or "").removesuffix("Y")
    return {"sex": row.optional("Patient Gender"), "age": int(age) if age.isdecimal() else None}


def _finding(label: str) -> str:
    """Finding of a label in words; the boxes use Infiltrate, the entries Infiltration."""
    finding = label.lower().replace("_", " ")
    return "infiltration" if finding == "infiltrate" else finding
