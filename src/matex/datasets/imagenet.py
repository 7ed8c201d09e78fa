"""ImageNet's validation images: flat with a file of labels, or in a folder for each class."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from matex.checks import is_array
from matex.datasets.layout import Layout, Reading, check_template, identity
from matex.datasets.pictures import contained, inside, subfolder, table
from matex.datasets.sample import DATASETS, Problem, Sample
from matex.datasets.tables import Row, Unusable, clean, leaving_out, missing_columns, once, read_lines, read_object
from matex.errors import InputError, shortened, shown

_CLASS = re.compile(r"n\d{8}")
FOLDERS = ("val", "ILSVRC/Data/CLS-LOC/val")
CLASSES = ("LOC_synset_mapping.txt", "synset_words.txt", "imagenet_class_index.json", "classes.txt")
TRUTHS = ("LOC_val_solution.csv", "val.txt", "ILSVRC2012_validation_ground_truth.txt")
TEMPLATES = (
    "a photo of a {}.",
    "a picture showing a {}.",
    "one {} seen from close by.",
    "a {} in the distance.",
    "a {} indoors.",
    "a {} outdoors.",
    "several of them: {}.",
)


@DATASETS("imagenet")
@dataclass(frozen=True)
class ImageNet(Layout):
    """One sample per image; the phrase is its class in the first template, `labels` the class in all of them.

    A class is known by its WordNet id (n01440764). Images are in folders of these names, or all in one folder with one
    of three files: Kaggle's LOC_val_solution.csv; val.txt with lines "ILSVRC2012_val_00000001.JPEG n01751748" or with
    numbers from 0 in the order of the ids; or the development kit's ILSVRC2012_validation_ground_truth.txt, whose
    numbers from 1 are ILSVRC2012_ID and need `classes` in that order.

    Args:
        root: folder of the folders, or of the flat images; either may also be in val/ or
            ILSVRC/Data/CLS-LOC/val/.
        classes: file with a line for each class, "n01440764 tench, Tinca tinca", or imagenet_class_index.json; None:
            LOC_synset_mapping.txt, synset_words.txt, imagenet_class_index.json or classes.txt in root.
        truth: file that says what flat images show; None: one of the three names in root.
        templates: of phrases, {} is the first name of the class. Phrases of a class are averaged in zero-shot
            classification: give the ensemble of the paper you compare with.

    Source:
        "ImageNet Large Scale Visual Recognition Challenge", IJCV 2015, arXiv:1409.0575.
    """

    domain: ClassVar[str] = "natural"

    root: Path
    classes: Path | None = None
    truth: Path | None = None
    templates: tuple[str, ...] = TEMPLATES

    def __post_init__(self) -> None:
        if not self.templates:
            raise InputError("Expected at least one template, got none.")
        for template in self.templates:
            check_template(template)

    def read(self) -> Reading:
        problems: list[Problem] = []
        names = self._names()
        base = self.root / subfolder(self.root, FOLDERS)
        folders = [path for path in sorted(base.iterdir()) if path.is_dir() and _CLASS.fullmatch(path.name)]
        samples: list[Sample] = []
        if folders:
            for folder in folders:
                if folder.name not in names:
                    problems.append(Problem(folder.name, None, "Expected a class of the list of classes, got another."))
                    continue
                for path in sorted(folder.glob("*.[Jj][Pp]*[Gg]")):
                    with leaving_out(Row(f"{folder.name}/{path.name}", 1, {}), problems):
                        samples.append(self._sample(contained(self.root, path), folder.name, names))
        else:
            samples = self._flat(names, problems)
        labels = {
            label: tuple(template.replace("{}", name) for template in self.templates) for label, name in names.items()
        }
        return Reading(samples, problems, labels)

    def _sample(self, path: Path, label: str, names: Mapping[str, str]) -> Sample:
        text = self.templates[0].replace("{}", names[label])
        return Sample(identity("imagenet", path.name), path, text, label=label, group=label, split="val")

    def _names(self) -> dict[str, str]:
        """First name of each class by its id, in the order of the file."""
        path = self.classes or _first(self.root, CLASSES, "classes")
        if path.suffix == ".json":
            classes = read_object(path)
            pairs = [classes[key] for key in sorted(classes, key=lambda key: int(key) if key.isdecimal() else -1)]
        else:
            pairs = [line.split(maxsplit=1) for _, line in read_lines(path) if line.strip()]
        entries = [(str(pair[0]), str(pair[1])) for pair in pairs if is_array(pair) and len(pair) == 2]
        if len(entries) != len(pairs) or not all(_CLASS.fullmatch(label) for label, _ in entries):
            raise InputError(f"Expected lines such as 'n01440764 tench, Tinca tinca' in {path.name}, got others.")
        try:
            return {label: clean(name.split(",")[0].replace("_", " ")) for label, name in entries}
        except Unusable as error:
            raise InputError(f"{shortened(path.name)}: {error}") from None

    def _flat(self, names: Mapping[str, str], problems: list[Problem]) -> list[Sample]:
        path = self.truth or _first(self.root, TRUTHS, "truth")
        rows = [(number, re.split(r"[\s,]+", line.strip())) for number, line in read_lines(path) if line.strip()]
        if path.suffix == ".csv":
            if not rows or rows[0][1][:2] != ["ImageId", "PredictionString"]:
                raise missing_columns(path.name, ("ImageId", "PredictionString"), rows[0][1] if rows else ())
            rows = rows[1:]
        alone = all(len(parts) == 1 for _, parts in rows)  # the development kit: a number for each image in order
        classes = tuple(names)
        if any(parts[-1].isdecimal() for _, parts in rows if len(parts) < 3):
            _check_order(classes, path.name, alone)
        samples: list[Sample] = []
        seen: set[str] = set()
        for index, (number, parts) in enumerate(rows, start=1):
            with leaving_out(Row(path.name, number, {}), problems):
                image = f"ILSVRC2012_val_{index:08d}" if alone else parts[0].removesuffix(".JPEG")
                label = _class(parts[0] if alone else (*parts, "")[1], classes, 1 if alone else 0)
                sample = self._sample(inside(self.root, f"{subfolder(self.root, FOLDERS)}{image}.JPEG"), label, names)
                once(image, seen)
                samples.append(sample)
        return samples


def _check_order(classes: tuple[str, ...], file: str, alone: bool) -> None:
    """Refuse numeric labels unless the classes are in the order that they refer to: the two orders in use differ."""
    by_id = classes == tuple(sorted(classes))
    if alone and by_id:
        raise InputError(
            f"Expected classes in the order of ILSVRC2012_ID for {file}, got them in the order of their WordNet ids. "
            "Take the order from the development kit's meta.mat."
        )
    if not alone and not by_id:
        raise InputError(f"Expected classes in the order of their WordNet ids for the numbers in {file}, got another.")


def _class(name: str, classes: tuple[str, ...], first: int) -> str:
    if name in classes:
        return name
    if name.isdecimal() and 0 <= int(name) - first < len(classes):
        return classes[int(name) - first]
    raise Unusable("Expected a class of the list of classes, got another.")


def _first(root: Path, names: tuple[str, ...], field: str) -> Path:
    for name in names:
        if (root / name).is_file():
            return table(root, name)
    raise InputError(f"Expected {' or '.join(names)} in {shown(root)}, got none. Name the file in {field}.")
