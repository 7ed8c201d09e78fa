"""Conceptual Captions: lists of captions and links, with images that were downloaded before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from matex.datasets.layout import Layout, Reading, check_choice, identity
from matex.datasets.pictures import SUFFIXES, contained, table_of
from matex.datasets.sample import DATASETS, Problem, Sample
from matex.datasets.tables import Row, clean, leaving_out, read_lines
from matex.errors import InputError

TABLES = {"train": ("Train_GCC-training.tsv",), "val": ("Validation_GCC-1.1.0-Validation.tsv",)}
NAMES: dict[str, Callable[[bytes], str]] = {
    "md5": lambda url: hashlib.md5(url, usedforsecurity=False).hexdigest(),
    "sha1": lambda url: hashlib.sha1(url, usedforsecurity=False).hexdigest(),
    "sha256": lambda url: hashlib.sha256(url).hexdigest(),
}


@DATASETS("conceptual-captions")
@dataclass(frozen=True)
class ConceptualCaptions(Layout):
    """Captions whose image is in a local folder; nothing is downloaded.

    Args:
        root: folder with Train_GCC-training.tsv or Validation_GCC-1.1.0-Validation.tsv (caption, tab, link; no header).
        images: folder of the images; None: root/train or root/val.
        split: "train" or "val".
        named_by: what the images are called: "row" (its number, zeros in front or not), or the "md5", "sha1" or
            "sha256" of the link in hexadecimal digits.
        first_row: number of the first row where images are named by it; img2dataset counts from 0.

    Source:
        "Conceptual Captions", ACL 2018; github.com/google-research-datasets/conceptual-captions.
    """

    domain: ClassVar[str] = "natural"

    root: Path
    images: Path | None = None
    split: str = "val"
    named_by: str = "row"
    first_row: int = 0

    def __post_init__(self) -> None:
        check_choice("split", self.split, tuple(TABLES))
        check_choice("named_by", self.named_by, ("row", *NAMES))

    def read(self) -> Reading:
        table = table_of(self.root, TABLES[self.split])
        images = self._images()
        problems: list[Problem] = []
        samples: list[Sample] = []
        gone = 0
        for line, text in read_lines(table):
            caption, *link = text.split("\t")
            if len(link) != 1 or not clean(caption):
                problems.append(Problem(table.name, line, "Expected a caption, a tab and a link, got something else."))
                continue
            number = str(line - 1 + self.first_row)
            image = images.get(number if self.named_by == "row" else NAMES[self.named_by](link[0].encode()))
            if image is None:
                gone += 1
                continue
            with leaving_out(Row(table.name, line, {}), problems):
                image = contained(self.images or self.root, image)
                name = identity("conceptual-captions", self.split, number)
                samples.append(Sample(name, image, clean(caption), split=self.split))
        if gone:
            problems.append(
                Problem(table.name, None, f"{gone} rows have no image: their links are not loaded or gone.")
            )
        return Reading(samples, problems)

    def _images(self) -> dict[str, Path]:
        """Images by row number or digest."""
        folder = self.images or self.root / self.split
        if not folder.is_dir():
            raise InputError(f"Expected images in {str(folder)!r}, got no such folder. Name the folder in images.")
        files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES]
        if self.named_by == "row":
            return {str(int(path.stem)): path for path in files if path.stem.isdecimal()}
        return {path.stem.lower(): path for path in files}
