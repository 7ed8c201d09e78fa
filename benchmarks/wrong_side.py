"""Does the prior help the model or replace it? Maps of phrases that name the wrong side: docs/benchmark/wrong-side.md.

    python benchmarks/wrong_side.py --data ../shared/data

One simulated finding on one side of each film, which the phrase names, then the same phrase with left and right
exchanged. A map that follows the film peaks on the finding's side for both phrases; one that follows the words peaks on
the side that the phrase names. "Prior alone" is drawn from the words without any model.
"""

from __future__ import annotations

import argparse
import csv
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import matex
from matex.datasets import Sample, open_dataset
from matex.metrics.statistics import summarise
from matex.phrases.swap_sides import other_side
from matex.traced import trace_pairs

ROOT = Path(__file__).parents[1]
UNREPORTED = ROOT / "examples" / "unreported-normals.txt"
BATCH = 32
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "matex": ("matex", {}),
    "matex, no prior": ("matex", {"prior_strength": 1.0}),
    "matex, prior 10 times as strong": ("matex", {"prior_strength": 25.0}),
    "matex-paper, patient's side": ("matex-paper", {"laterality": "patient"}),
    "matex-paper, no prior": ("matex-paper", {"prior_strength": 1.0}),
    "grad-eclip": ("grad-eclip", {}),
    "chefer": ("chefer", {}),
    "maskclip": ("maskclip", {}),
    "raw-attention": ("raw-attention", {}),
}


def peak_on_the_right(grid: np.ndarray) -> float:
    """Share of a map's maximum on the patient's right; ties count in proportion."""
    best = grid == grid.max()
    column = (np.arange(grid.shape[1]) + 0.5) / grid.shape[1]
    return float((best * (column < 0.5)).sum() / best.sum())


def hit(grid: np.ndarray, mask: np.ndarray, placement: matex.Placement) -> float:
    """Share of the cells with the highest value that a mask in original pixels covers, percent of their area."""
    return 100 * float(placement.map_to_grid(mask)[grid == grid.max()].mean())


def measure(grid: np.ndarray, mask: np.ndarray, placement: matex.Placement, side: str) -> dict[str, float]:
    """Of one map on the patch grid: peak on the finding's side, peak in the finding, in percent."""
    right = peak_on_the_right(grid)
    return {"side": 100 * (right if side == "right" else 1 - right), "finding": hit(grid, mask, placement)}


def evaluate(model: matex.Model, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """One row per sample, phrase and map."""
    rows: list[dict[str, Any]] = []
    for start in tqdm(range(0, len(samples), BATCH), unit="batch"):
        some = samples[start : start + BATCH]
        pairs = [(s.image, s.text) for s in some] + [(s.image, other_side(s.text)) for s in some]
        traced = trace_pairs(model, pairs, METHODS.values())
        explained = traced.explain("matex", {})
        placements = [one.image.placement for one in explained]
        maps = {name: [one.image.grid for one in traced.explain(*method)] for name, method in METHODS.items()}
        priors = [one.prior for one in explained]
        for name, grids in {**maps, "prior alone": priors}.items():
            for index, grid in enumerate(grids):
                sample = some[index % len(some)]
                found = measure(grid, sample.mask, placements[index], str(sample.attributes["side"]))
                phrase = "right phrase" if index < len(some) else "wrong side"
                rows.append({"map": name, "phrase": phrase, "cluster": sample.cluster, **found})
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Means with 95 % intervals over normal films, percent."""
    lines = [
        "| map | peak on the finding's side | the phrase names the wrong side | peak in the finding | wrong side |"
    ]
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    for name in dict.fromkeys(row["map"] for row in rows):
        cells = []
        for key in ("side", "finding"):
            for phrase in ("right phrase", "wrong side"):
                some = [row for row in rows if row["map"] == name and row["phrase"] == phrase]
                cells.append(mean_of(some, key))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def mean_of(rows: Sequence[dict[str, Any]], key: str) -> str:
    """Mean of a column with its 95 % interval over normal films."""
    found = summarise([row[key] for row in rows], [row["cluster"] for row in rows])
    return f"{found.mean:.1f} ({found.low:.1f}–{found.high:.1f})"


def write(folder: Path, name: str, rows: Sequence[dict[str, Any]], text: str, films: int) -> None:
    """Write a model's rows as CSV and its table as Markdown, and print the table."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{Path(name).name}.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (folder / f"{Path(name).name}.md").write_text(text + "\n", encoding="utf-8")
    print(f"\n## {name}: {films} films\n\n{text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--films", type=int, default=300)
    parser.add_argument("--models", nargs="+", default=["tiny", "tiny-plain", "hf:benchmarks/models/tiny-siglip"])
    parser.add_argument("--out", type=Path, default=Path("runs/wrong-side"), help="folder for the tables")
    given = parser.parse_args()
    data = open_dataset("simulated", root=given.data / "normals", without=UNREPORTED, films=given.films, findings=1)
    samples = [s for s in data if s.attributes["side"] in ("left", "right") and other_side(s.text)]
    for name in given.models:
        rows = evaluate(matex.load(name), samples)
        write(given.out, name, rows, table(rows), len(samples))


if __name__ == "__main__":
    warnings.simplefilter("ignore", UserWarning)
    main()
