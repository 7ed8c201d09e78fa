"""Does the map of a finding's word lie on that finding? Films with two findings, one phrase that names both.

    python benchmarks/word_places.py --data ../shared/data --models tiny tiny-plain
    python benchmarks/word_places.py --question sides --films 20
    python benchmarks/word_places.py --question curves --films 10

For each way of `matex.interactions` and each of the two findings of a film: whether the peak of the summed maps of the
finding's words lies in its mask. Next to it the controls: the other finding's words (swapped rows), the mean map of all
words, which knows no word, the same way on random weights, and chance, the share of the film that the mask covers.

Sides: films with one finding; the phrase that names its place, and the phrase with the other side or zone in its stead.
The share of the side word's positive values that lies on the side that it names, by both phrases: a word that moves
its map is above 50 % in both. The finding's word is the control. Curves: the area between insertion and deletion of
pairs, and that of a matrix whose places are shuffled.
"""

from __future__ import annotations

import argparse
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm
from wrong_side import UNREPORTED, hit, mean_of, write

import matex
from matex.adapters.randomise import randomised
from matex.datasets import Sample, open_dataset
from matex.geometry import Placement
from matex.interaction import pair_curves

INTERACTION_METHODS: dict[str, dict[str, Any]] = {
    "second-order": {},
    "grad-eclip": {},
    "chefer": {},
    "maskclip": {},
    "matex": {},
    "banzhaf": {"masks": 128, "text_masks": 32},
}
MAPS = ("own words", "other finding's words", "mean of all words", "random weights")


def films(samples: Sequence[Sample]) -> Iterator[tuple[Sample, Sample]]:
    """The two samples of each film, one for each finding."""
    for first, second in zip(samples[::2], samples[1::2], strict=True):
        if first.cluster == second.cluster and first.mask is not None and second.mask is not None:
            yield first, second


def words_of(sample: Sample, found: matex.Interactions, begin: int) -> list[int]:
    """Numbers of the words that name a sample's finding, in the phrase from word `begin` on."""
    name = sample.group.lower().split()
    words = [word.lower() for word in found.words]
    for start in range(begin, len(words) - len(name) + 1):
        if words[start : start + len(name)] == name:
            return list(range(start, start + len(name)))
    return []


def evaluate(model: matex.Model, random: matex.Model, pairs: Sequence[tuple[Sample, Sample]]) -> list[dict[str, Any]]:
    """One row for each film, finding, way and map."""
    rows: list[dict[str, Any]] = []
    for first, second in tqdm(pairs, unit="film"):
        text = f"{first.text} and {second.text}"
        begins = (0, len(first.text.split()) + 1)
        for way, parameters in INTERACTION_METHODS.items():
            found = matex.interactions(model, first.image, text, way, **parameters)
            blank = matex.interactions(random, first.image, text, way, **parameters)
            named = [words_of(one, found, begin) for one, begin in zip((first, second), begins, strict=True)]
            if not all(named):
                continue
            for own, (sample, numbers) in enumerate(zip((first, second), named, strict=True)):
                maps = (
                    found.values[numbers].sum(0),
                    found.values[named[1 - own]].sum(0),
                    found.values.mean(0),
                    blank.values[numbers].sum(0),
                )
                mask = sample.mask
                assert mask is not None
                place = {"finding": sample.group, "area": float(mask.mean())}
                shared = {"way": way, "cluster": sample.cluster, **place}
                chance = 100 * float(mask.mean())
                rows += [
                    {**shared, "map": name, "hit": hit(grid, mask, found.placement), "chance": chance}
                    for name, grid in zip(MAPS, maps, strict=True)
                ]
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Share of peaks in the named finding, percent, with 95 % intervals over normal films."""
    lines = [
        "| method | " + " | ".join(MAPS) + " |",
        "| --- |" + " ---: |" * len(MAPS),
    ]
    for way in dict.fromkeys(row["way"] for row in rows):
        cells = []
        for name in MAPS:
            some = [row for row in rows if row["way"] == way and row["map"] == name]
            cells.append(mean_of(some, "hit"))
        lines.append(f"| `{way}` | " + " | ".join(cells) + " |")
    chance = float(np.mean([row["chance"] for row in rows]))
    return "\n".join([*lines, f"| chance | {chance:.1f} | | | |"])


def breakdown(rows: Sequence[dict[str, Any]]) -> str:
    """Share of peaks of the own words' maps in the finding, percent, by finding and by thirds of its area."""
    own = [row for row in rows if row["map"] == MAPS[0]]
    low, high = np.quantile([row["area"] for row in own], [1 / 3, 2 / 3])
    size = ["small" if row["area"] <= low else "middle" if row["area"] <= high else "large" for row in own]
    groups = [*sorted({row["finding"] for row in own}), "small", "middle", "large"]
    lines = []
    for way in dict.fromkeys(row["way"] for row in own):
        cells = []
        for group in groups:
            hits = [
                row["hit"]
                for row, third in zip(own, size, strict=True)
                if row["way"] == way and group in (row["finding"], third)
            ]
            cells.append(f"{np.nanmean(hits):.0f}" if hits else "–")
        lines.append(f"| `{way}` | " + " | ".join(cells) + " |")
    counts = [sum(group in (row["finding"], third) for row, third in zip(own, size, strict=True)) for group in groups]
    ways = len({row["way"] for row in own})
    head = (
        "| method | " + " | ".join(f"{group} (n = {n // ways})" for group, n in zip(groups, counts, strict=True)) + " |"
    )
    return "\n".join([head, "| --- |" + " ---: |" * len(groups), *lines])


PLACES = {"left": "right", "right": "left", "upper": "lower", "lower": "upper"}
MIDDLE = 0.42  # height of a film at which upper and lower zones are told apart best


def named_share(grid: NDArray[np.float32], placement: Placement, word: str) -> float:
    """Share of the positive values, percent, on the side or in the part of the film that a word names."""
    height, width = placement.original
    box = {
        "right": (0.0, 0.0, width / 2, height),  # the patient's right lies on the left of the picture
        "left": (width / 2, 0.0, width, height),
        "upper": (0.0, 0.0, width, MIDDLE * height),
        "lower": (0.0, MIDDLE * height, width, height),
    }[word]
    positive = grid.clip(min=0)
    total = float(positive.sum())
    return 100 * float((positive * placement.shares(box, grid.shape)).sum()) / total if total else float("nan")


def side_words(model: matex.Model, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """One row for each film, way and word of a place: its own map and the finding's, by both phrases."""
    rows: list[dict[str, Any]] = []
    for sample in tqdm(samples, unit="film"):
        words = re.findall(r"\w+", sample.text.lower())
        finding = sample.group.lower().split()[-1]
        for word in (one for one in words if one in PLACES and words.count(one) == 1):
            if finding not in words:
                continue
            other = " ".join(PLACES[one] if one == word else one for one in words)
            for way, parameters in INTERACTION_METHODS.items():
                for kind, text, named in (("true", " ".join(words), word), ("swapped", other, PLACES[word])):
                    found = matex.interactions(model, sample.image, text, way, **parameters)
                    for name, number in ((named, words.index(word)), ("finding", words.index(finding))):
                        share = named_share(found.values[number], found.placement, named)
                        axis = "side" if named in ("left", "right") else "zone"
                        what = "finding" if name == "finding" else axis
                        rows.append(
                            {
                                "way": way,
                                "cluster": sample.cluster,
                                "axis": axis,
                                "word": what,
                                "phrase": kind,
                                "share": share,
                            }
                        )
    return rows


def side_table(rows: Sequence[dict[str, Any]]) -> str:
    """Mean shares, percent, with 95 % intervals over normal films."""
    columns = [
        (axis, *rest)
        for axis in ("side", "zone")
        for rest in ((axis, "true"), (axis, "swapped"), ("finding", "swapped"))
    ]
    heads = [f"{axis}: {'its word' if word == axis else 'finding word'}, {kind} phrase" for axis, word, kind in columns]
    lines = ["| method | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(columns)]
    for way in dict.fromkeys(row["way"] for row in rows):
        of_way = [row for row in rows if row["way"] == way]
        cells = [
            mean_of([row for row in of_way if (row["axis"], row["word"], row["phrase"]) == column], "share")
            for column in columns
        ]
        lines.append(f"| `{way}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def curve_areas(model: matex.Model, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """One row for each film and way: the area of its curves, and with the places shuffled."""
    rows: list[dict[str, Any]] = []
    shuffle = np.random.default_rng(0)
    for sample in tqdm(samples, unit="film"):
        for way, parameters in INTERACTION_METHODS.items():
            found = matex.interactions(model, sample.image, sample.text, way, **parameters)
            flat = found.values.reshape(len(found.words), -1)
            shuffled = flat[:, shuffle.permutation(flat.shape[1])].reshape(found.values.shape)
            for name, values in (("matrix", found.values), ("places shuffled", shuffled)):
                area = pair_curves(model, replace(found, values=values)).area
                rows.append({"way": way, "cluster": sample.cluster, "map": name, "area": 1000 * area})
    return rows


def curve_table(rows: Sequence[dict[str, Any]]) -> str:
    """Mean areas, thousandths of the score, with 95 % intervals over normal films."""
    lines = ["| method | matrix | places shuffled |", "| --- | ---: | ---: |"]
    for way in dict.fromkeys(row["way"] for row in rows):
        cells = [
            mean_of([row for row in rows if row["way"] == way and row["map"] == name], "area")
            for name in ("matrix", "places shuffled")
        ]
        lines.append(f"| `{way}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--films", type=int, default=100)
    parser.add_argument("--models", nargs="+", default=["tiny", "tiny-plain"])
    parser.add_argument("--question", choices=("findings", "sides", "curves"), default="findings")
    parser.add_argument("--out", type=Path, default=Path("runs/word-places"), help="folder for the tables")
    given = parser.parse_args()
    findings = 2 if given.question == "findings" else 1
    data = open_dataset(
        "simulated", root=given.data / "normals", without=UNREPORTED, films=given.films, findings=findings
    )
    pairs = list(films(list(data))) if findings == 2 else []
    for name in given.models:
        model = matex.load(name)
        if given.question == "findings":
            rows = evaluate(model, randomised(model), pairs)
            write(given.out, name, rows, table(rows) + "\n\n" + breakdown(rows), len(pairs))
            continue
        answer, drawn = (side_words, side_table) if given.question == "sides" else (curve_areas, curve_table)
        rows = answer(model, list(data))
        write(given.out / given.question, name, rows, drawn(rows), len(list(data)))


if __name__ == "__main__":
    warnings.simplefilter("ignore", UserWarning)
    main()
