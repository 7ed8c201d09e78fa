"""Does the prior help the model or replace it? Maps of phrases that name the wrong side: docs/benchmark.md.

    python benchmarks/wrong_side.py --data ../shared/data --models tiny tiny-plain

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
from matex.pipeline import trace_pairs

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


def peaks(grid: np.ndarray) -> tuple[float, np.ndarray]:
    """Share of a map's maximum (ties count in proportion) on the patient's right, and the cells of the maximum."""
    best = grid == grid.max()
    column = (np.arange(grid.shape[1]) + 0.5) / grid.shape[1]
    return float((best * (column < 0.5)).sum() / best.sum()), best


def measure(grid: np.ndarray, mask: np.ndarray, side: str) -> dict[str, float]:
    """Of one map on the patch grid: peak on the finding's side, peak in the finding, in percent."""
    right, best = peaks(grid)
    rows, columns = grid.shape
    share = mask[: mask.shape[0] // rows * rows, : mask.shape[1] // columns * columns]
    share = share.reshape(rows, share.shape[0] // rows, columns, -1).mean(axis=(1, 3))
    return {"side": 100 * (right if side == "right" else 1 - right), "finding": 100 * float(share[best].mean())}


def evaluate(model: matex.Model, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """One row per sample, phrase and map."""
    rows: list[dict[str, Any]] = []
    for start in tqdm(range(0, len(samples), BATCH), unit="batch"):
        some = samples[start : start + BATCH]
        pairs = [(s.image, s.text) for s in some] + [(s.image, other_side(s.text)) for s in some]
        traced = trace_pairs(model, pairs, METHODS.values())
        maps = {name: [one.image.grid for one in traced.explain(*method)] for name, method in METHODS.items()}
        priors = [one.prior for one in traced.explain("matex", {})]
        for name, grids in {**maps, "prior alone": priors}.items():
            for index, grid in enumerate(grids):
                sample = some[index % len(some)]
                found = measure(grid, sample.mask, str(sample.attributes["side"]))
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
                found = summarise([row[key] for row in some], [row["cluster"] for row in some])
                cells.append(f"{found.mean:.1f} ({found.low:.1f}–{found.high:.1f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--films", type=int, default=300)
    parser.add_argument("--models", nargs="+", default=["tiny", "tiny-plain"])
    parser.add_argument("--out", type=Path, default=Path("runs/wrong-side"), help="folder for the tables")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    data = open_dataset("simulated", root=given.data / "normals", without=UNREPORTED, films=given.films, findings=1)
    samples = [s for s in data if s.attributes["side"] in ("left", "right") and other_side(s.text)]
    for name in given.models:
        rows = evaluate(matex.load(name), samples)
        with (given.out / f"{Path(name).name}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        (given.out / f"{Path(name).name}.md").write_text(table(rows) + "\n", encoding="utf-8")
        print(f"\n## {name}: {len(samples)} films\n\n{table(rows)}", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore", UserWarning)
    main()
