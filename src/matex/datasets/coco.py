"""COCO with Karpathy's splits: five captions for each image, and how many objects were marked in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from matex.checks import is_array, is_object
from matex.datasets.layout import Layout, Reading, check_choice, identity
from matex.datasets.pictures import inside, table
from matex.datasets.sample import DATASETS, Problem, Sample
from matex.datasets.tables import Row, Unusable, as_rows, clean, leaving_out, missing_columns, once, read_object
from matex.errors import InputError, shown

SPLITS = {"train": "train", "restval": "train", "val": "val", "test": "test"}


@DATASETS("coco")
@dataclass(frozen=True)
class Coco(Layout):
    """One sample per image, the phrase its first caption, or one per caption; `captions` holds all of the image.

    Args:
        root: folder with dataset_coco.json, and train2014/ and val2014/ unless `images` says otherwise.
        images: folder with train2014/ and val2014/; None: root.
        captions: "first" for one sample per image; "each" for one per caption, as retrieval wants it.
        objects: folder with instances_train2014.json and instances_val2014.json (COCO's own annotations): every sample
            has the attributes `objects` (marked objects, crowds left out), `categories` (different ones) and `clutter`
            ("1-5", "6-10", "more than 10", or "none"), by which the report breaks results down; None: without.
        split: Karpathy's "train", "restval", "val" or "test"; None: all. Samples of restval count as "train".

    Source:
        "Deep Visual-Semantic Alignments for Generating Image Descriptions", CVPR 2015, arXiv:1412.2306.
    """

    domain: ClassVar[str] = "natural"

    root: Path
    images: Path | None = None
    split: str | None = "test"
    captions: str = "first"
    objects: Path | None = None

    def __post_init__(self) -> None:
        check_choice("captions", self.captions, ("first", "each"))
        check_choice("split", self.split, (None, *SPLITS))

    def read(self) -> Reading:
        file = table(self.root, "dataset_coco.json")
        problems: list[Problem] = []
        content = read_object(file)
        images = content.get("images")
        if not is_array(images):
            raise missing_columns(file.name, ("images",), tuple(content))
        marked = None if self.objects is None else _objects(self.objects)
        samples: list[Sample] = []
        found: set[str] = set()
        seen: set[str] = set()
        for row in as_rows(file.name, images, problems):
            found.update(row.cells)
            if self.split in (None, row.optional("split")):
                with leaving_out(row, problems):
                    of_image = self._samples(row, marked)
                    once(row.text("cocoid"), seen)
                    samples += of_image
        expected = ("filepath", "filename", "split", "sentences", "cocoid")
        if not set(expected) <= found:
            raise missing_columns(file.name, expected, sorted(found))
        return Reading(samples, problems)

    def _samples(self, row: Row, marked: Mapping[str, list[str]] | None) -> list[Sample]:
        sentences = row.cells.get("sentences")
        raw = [one["raw"] for one in sentences if is_object(one) and "raw" in one] if is_array(sentences) else []
        if not is_array(sentences) or len(raw) != len(sentences):
            raise Unusable("Expected sentences with their raw text, got something else.")
        captions = tuple(caption for one in raw if (caption := clean(str(one))))
        if not captions:
            raise Unusable("Expected at least one caption, got none.")
        name = row.text("cocoid")
        first = Sample(
            id=identity("coco", name),
            image=inside(self.images or self.root, f"{row.text('filepath')}/{row.text('filename')}"),
            text=captions[0],
            captions=captions,
            split=SPLITS.get(row.text("split")),
            attributes={} if marked is None else _counts(marked.get(name, [])),
        )
        if self.captions == "first":
            return [first]
        return [replace(first, id=identity("coco", name, str(n)), text=text) for n, text in enumerate(captions)]


def _objects(folder: Path) -> dict[str, list[str]]:
    """Categories of the objects that are marked in each image, by the image's id; crowds are left out.

    Raises:
        InputError: neither file is there, or one is no list of annotations.
    """
    files = [path for half in ("train", "val") if (path := folder / f"instances_{half}2014.json").is_file()]
    if not files:
        raise InputError(
            f"Expected instances_val2014.json in the folder of objects, got {shown(str(folder))} without. Unpack "
            "annotations_trainval2014.zip."
        )
    found: dict[str, list[str]] = {}
    for file in files:
        content = read_object(file)
        annotations = content.get("annotations")
        if not is_array(annotations):
            raise missing_columns(file.name, ("annotations",), tuple(content))
        for one in annotations:
            if is_object(one) and not one.get("iscrowd"):
                found.setdefault(str(one.get("image_id")), []).append(str(one.get("category_id")))
    return found


def _counts(categories: Sequence[str]) -> dict[str, object]:
    """Attributes of an image with objects of these categories."""
    objects = len(categories)
    clutter = "none" if not objects else "1-5" if objects <= 5 else "6-10" if objects <= 10 else "more than 10"
    return {"objects": objects, "categories": len(set(categories)), "clutter": clutter}
