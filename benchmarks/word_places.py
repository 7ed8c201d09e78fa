"""Does the map of a finding's word lie on that finding? Films with two findings, one phrase that names both.

    python benchmarks/word_places.py --data ../shared/data --models tiny tiny-plain

For each way of `matex.interactions` and each of the two findings of a film: whether the peak of the summed maps of the
finding's words lies in its mask. Next to it the controls: the other finding's words (swapped rows), the mean map of all
words, which knows no word, the same way on random weights, and chance, the share of the film that the mask covers.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm
from wrong_side import UNREPORTED, hit, mean_of, write

import matex
from matex.adapters.randomise import randomised
from matex.datasets import Sample, open_dataset

WAYS: dict[str, dict[str, Any]] = {
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
        for way, parameters in WAYS.items():
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
                shared = {"way": way, "cluster": sample.cluster, "finding": sample.group}
                mask = sample.mask
                assert mask is not None
                chance = 100 * float(mask.mean())
                rows += [
                    {**shared, "map": name, "hit": hit(grid, mask, found.placement), "chance": chance}
                    for name, grid in zip(MAPS, maps, strict=True)
                ]
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Share of peaks in the named finding, percent, with 95 % intervals over normal films."""
    lines = [
        "| way | " + " | ".join(MAPS) + " |",
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--films", type=int, default=100)
    parser.add_argument("--models", nargs="+", default=["tiny", "tiny-plain"])
    parser.add_argument("--out", type=Path, default=Path("runs/word-places"), help="folder for the tables")
    given = parser.parse_args()
    data = open_dataset("simulated", root=given.data / "normals", without=UNREPORTED, films=given.films, findings=2)
    pairs = list(films(list(data)))
    for name in given.models:
        model = matex.load(name)
        rows = evaluate(model, randomised(model), pairs)
        write(given.out, name, rows, table(rows), len(pairs))


if __name__ == "__main__":
    warnings.simplefilter("ignore", UserWarning)
    main()
