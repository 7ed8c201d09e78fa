"""Errors by the number of findings in a film, which MMEL names as its limit (section 4.7).

    python benchmarks/crowded_films.py --data ../shared/data --films 40

Simulated obvious findings in validation normals that nothing else is reported on, 1 to 12 in each film. One phrase for
each film names one finding with its side and zone. For each method and number of findings: how often the map's peak
lies on that finding, on another one, or on neither; and how much of the positive map lies on it, in multiples of the
share of the film that it covers.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm
from wrong_side import UNREPORTED

import matex
from matex.datasets import Sample, open_dataset

COUNTS = (1, 2, 4, 6, 8, 10, 12)
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "grad-eclip": ("grad-eclip", {}),
    "mmel": ("mmel", {}),
    "mmel, pyramid=input": ("mmel", {"pyramid": "input"}),
    "mmel, choice=adaptive": ("mmel", {"choice": "adaptive"}),
    "matex": ("matex", {}),
    "matex, scales=1,0.75,0.5": ("matex", {"scales": (1.0, 0.75, 0.5)}),
}


def measured(explanation: matex.Explanation, sample: Sample) -> tuple[float, float, float]:
    """Whether the peak lies on the named finding and on another one, and the share of the map on the named one."""
    raw = explanation.image.raw
    peak = raw == np.nanmax(raw)
    other = np.zeros_like(peak) if sample.other is None else sample.other
    positive = np.clip(raw, 0, None)
    total = positive.sum()
    share = positive[sample.mask].sum() / total / sample.mask.mean() if total > 0 else np.nan
    return float(sample.mask[peak].mean()), float(other[peak].mean()), float(share)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with normals")
    parser.add_argument("--films", type=int, default=40, help="for each number of findings")
    parser.add_argument("--models", nargs="+", default=["tiny"])
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    sets = {
        count: open_dataset(
            "simulated", root=given.data / "normals", films=given.films, findings=count, only=UNREPORTED
        )
        for count in COUNTS
    }
    samples = {
        count: [some[number * count] for number in range(given.films)]
        for count, some in tqdm(sets.items(), unit="films")
    }
    for name in given.models:
        model = matex.load(name)
        print(f"{name}, {given.films} films for each number: peak on the finding %, on another %, share of the map (x)")
        print("| method | " + " | ".join(map(str, COUNTS)) + " |")
        print("| --- |" + " ---: |" * len(COUNTS))
        for label, (method, parameters) in METHODS.items():
            cells: list[str] = []
            for count in COUNTS:
                pairs = [(sample.image, sample.text) for sample in samples[count]]
                found = matex.explain_batch(model, pairs, method=method, **parameters)
                rows = [measured(one, sample) for one, sample in zip(found, samples[count], strict=True)]
                hit, other, share = np.nanmean(np.array(rows), axis=0)
                cells.append(f"{100 * hit:.0f}, {100 * other:.0f}, {share:.1f}")
            print(f"| {label} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
