"""The analysis of a reader study on readers of known agreement: docs/reader-study.md.

    python benchmarks/reader_study.py --data ../shared/data

There are no human readers here. Three simulated ones rate the share of the map's highest tenth that lies in the
finding, from 1 (none) to 5, each with an offset and noise of their own; what the analysis must find is therefore known.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from pathlib import Path

import numpy as np

import matex
from matex.cli.reader_study import print_analysis
from matex.datasets import open_dataset
from matex.reader_study import analyse, make_study

ROOT = Path(__file__).parents[1]
UNREPORTED = ROOT / "examples" / "unreported-normals.txt"
METHODS = ("matex", "grad-eclip", "raw-attention")
OFFSETS = (0.0, 0.5, -0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--films", type=int, default=40)
    parser.add_argument("--noise", type=float, default=0.5, help="standard deviation of a rating")
    given = parser.parse_args()
    root, model = given.data / "normals", matex.load("tiny")
    samples = list(open_dataset("simulated", root=root, without=UNREPORTED, films=given.films, findings=1, seed=9))
    study = make_study(model, samples, METHODS, readers=len(OFFSETS), repeats=0.2, seed=1)
    truth: list[float] = []
    for method in METHODS:
        for sample in samples:
            image = matex.explain(model, sample.image, sample.text, method).image
            mask = image.placement.map_to_grid(sample.mask)
            highest = image.grid >= np.quantile(image.grid, 0.9)
            truth.append(1 + 4 * min(1.0, float(mask[highest].sum() / min(mask.sum(), highest.sum()))))
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        files: list[Path] = []
        study.save(Path(folder) / "pages", Path(folder) / "key.json")
        for reader, (cases, offset) in enumerate(zip(study.order, OFFSETS, strict=True), start=1):
            ratings = {
                one.case: {"q1": int(np.clip(round(truth[one.item] + offset + random.normal(0, given.noise)), 1, 5))}
                for one in cases
            }
            record = {"format": "matex-reader-answers/1", "study": study.name, "reader": reader, "answers": ratings}
            files.append(Path(folder) / f"{reader}.json")
            files[-1].write_text(json.dumps(record), encoding="utf-8")
        print_analysis(analyse(files, Path(folder) / "key.json"))
    for number, method in enumerate(METHODS):
        print(f"true mean of {method}: {np.mean(truth[number * len(samples) : (number + 1) * len(samples)]):.2f}")


if __name__ == "__main__":
    warnings.simplefilter("ignore", UserWarning)
    main()
