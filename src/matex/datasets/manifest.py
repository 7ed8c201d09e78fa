"""User-defined table of images, phrases and ground truth; the general form of every other layout."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from matex.checks import is_array
from matex.datasets.boxes import FORMATS, box_of, gather, scaled, within
from matex.datasets.layout import Layout, Reading, check_choice, cluster, identity
from matex.datasets.pictures import inside, size_of, table_of
from matex.datasets.sample import DATASETS, Problem, Sample
from matex.datasets.tables import Row, Unusable, numbers, read_rows
from matex.domains import check_domain
from matex.geometry import Box, Size

TABLES = ("manifest.jsonl", "manifest.csv", "manifest.tsv", "manifest.json")
_SIZE = re.compile(r"(\d{1,6})x(\d{1,6})")


class _Key(NamedTuple):
    """Columns that rows of one sample have in common."""

    image: str
    text: str
    group: str
    label: str | None
    split: str | None
    view: str | None


@DATASETS("manifest")
@dataclass(frozen=True)
class Manifest(Layout):
    """CSV, TSV, JSON lines or a JSON list with columns image, text, and optionally boxes, split, group, label, view.

    Rows of one image and phrase are one sample; their boxes are put together. In a CSV the cell of boxes is JSON,
    [[x0, y0, x1, y1], ...]. Columns box_format and box_frame of a row win over the fields.

    Args:
        root: the table, or a folder with manifest.jsonl, .csv, .tsv or .json.
        images: folder that the names of images are relative to; None: that of the table.
        image: column of the image's file name.
        text: column of the phrase.
        boxes: column of the boxes.
        group: column by which results are broken down.
        label: column of the class.
        patient: column of the patient; films of one patient count once in intervals and tests.
        box_format: "xyxy" (corners), "xywh" (corner and size) or "cxcywh" (centre and size).
        box_frame: what boxes are measured in: "pixels" of the image, "fractions" of its width and height, or pixels
            of the image at another size, WIDTHxHEIGHT such as "2544x3056".
        split: only rows whose column split says this; None: all.
        attributes: further columns that results are broken down by, such as sex, age and device; of the first row of a
            sample.
        domain: a name or file of `matex domains`, or "sound" where the images are sound files (WAV, FLAC, OGG).
    """

    root: Path
    images: Path | None = None
    image: str = "image"
    text: str = "text"
    boxes: str = "boxes"
    group: str = "group"
    label: str = "label"
    patient: str = "patient"
    box_format: str = "xyxy"
    box_frame: str = "pixels"
    split: str | None = None
    attributes: tuple[str, ...] = ()
    domain: str = "chest"

    def __post_init__(self) -> None:
        check_choice("box_format", self.box_format, FORMATS)
        if self.domain != "sound":
            check_domain(self.domain)
        if not _SIZE.fullmatch(self.box_frame):
            check_choice("box_frame", self.box_frame, ("pixels", "fractions", "WIDTHxHEIGHT"))

    def read(self) -> Reading:
        problems: list[Problem] = []
        table = table_of(self.root, TABLES) if self.root.is_dir() else self.root
        folder = self.images or table.parent
        size = cache(size_of)
        patients: dict[str, str | None] = {}  # by image
        further: dict[_Key, dict[str, object]] = {}

        def key_of(row: Row) -> _Key:
            return _Key(
                row.text(self.image),
                row.text(self.text),
                row.optional(self.group) or "",
                row.optional(self.label),
                row.optional("split"),
                row.optional("view"),
            )

        def boxes_of(row: Row) -> list[Box]:
            path = inside(folder, row.text(self.image))
            patients.setdefault(row.text(self.image), row.optional(self.patient))
            further.setdefault(key_of(row), {name: row.optional(name) for name in self.attributes})
            listed = _lists(row.cells.get(self.boxes))
            form = row.optional("box_format") or self.box_format
            frame = row.optional("box_frame") or self.box_frame
            if form not in FORMATS:
                raise Unusable(f"Expected a box_format among {', '.join(FORMATS)}, got another.")
            return [_framed(box_of(numbers(one, "boxes"), form), frame, size(path)) for one in listed]

        renamed = [
            name
            for name, usual in (
                (self.boxes, "boxes"),
                (self.group, "group"),
                (self.label, "label"),
                (self.patient, "patient"),
            )
            if name != usual
        ]
        columns = [self.image, self.text, *renamed, *self.attributes, *(["split"] if self.split is not None else [])]
        rows = read_rows(table, columns, problems)
        wanted = (row for row in rows if self.split in (None, row.optional("split")))
        samples = [
            Sample(
                id=identity("manifest", *(part or "" for part in key)),
                image=inside(folder, key.image),
                text=key.text,
                boxes=tuple(found),
                label=key.label,
                cluster=cluster("patient", "manifest", patient) if (patient := patients[key.image]) else "",
                group=key.group,
                split=key.split,
                view=key.view,
                attributes=further[key],
            )
            for key, found in gather(wanted, key_of, boxes_of, problems).items()
        ]
        labels = sorted({sample.label for sample in samples if sample.label})
        return Reading(samples, problems, {label: (label,) for label in labels})


def _lists(value: object) -> Sequence[object]:
    """Parse a cell of boxes: nothing, one box, several, or JSON text of these."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else None
        except (ValueError, RecursionError):
            raise Unusable("Expected boxes as JSON, [[x0, y0, x1, y1], ...], got something else.") from None
    if value is None:
        return []
    if not is_array(value):
        raise Unusable("Expected a list of boxes, got something else.")
    return value if all(is_array(one) for one in value) else [value]


def _framed(box: Box, frame: str, size: Size) -> Box:
    """Convert a box to pixels of the image."""
    other = _SIZE.fullmatch(frame)
    if frame == "fractions":
        box = scaled(box, size, (1, 1))
    elif other:
        width, height = int(other.group(1)), int(other.group(2))
        box = scaled(box, size, (max(height, 1), max(width, 1)))
    elif frame != "pixels":
        raise Unusable('Expected a box_frame of "pixels", "fractions" or WIDTHxHEIGHT, got another.')
    return within(box, size)
