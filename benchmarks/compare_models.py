"""What two models, and one model before and after a debiasing, differ in: docs/model-comparison.md.

    python benchmarks/compare_models.py --data ../shared/data

The debiasing projects the direction between phrases of the left and of the right out of the image embedding.
"""

from __future__ import annotations

import argparse
import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

import matex
from matex.datasets import Sample, open_dataset
from matex.metrics.embedding import embed_texts
from matex.phrases.swap_sides import other_side

ROOT = Path(__file__).parents[1]
UNREPORTED = ROOT / "examples" / "unreported-normals.txt"


def without_sides(name: str, phrases: Sequence[str]) -> matex.Model:
    """The model with the mean direction between phrases and their mirrored wordings projected out of its images."""
    model = matex.load(name)
    swapped = [(text, other) for text in phrases if "left" in text and (other := other_side(text))]
    left, right = (
        embed_texts(model, [model.encode(pair[side]).ids for pair in swapped], 64).mean(dim=0) for side in (0, 1)
    )
    direction = (left - right) / (left - right).norm()
    with torch.no_grad():
        weight = model.module.visual_projection.weight
        weight -= torch.outer(direction, direction @ weight)
    return dataclasses.replace(model, name=f"{name}, sides projected out")


def report(first: matex.Model, second: matex.Model, samples: Sequence[Sample], method: str) -> None:
    """Print all pairs and the phrases that change most."""
    found = matex.compare_models(first, second, samples, method, shown=0)
    print(f"\n## {first.name} against {second.name}, {method}, {len(found.pairs)} pairs")
    for one in found.phrases[:6]:
        print(
            f"{one.text}: {one.pairs} pairs, score {one.score_change:+.4f} ({one.low:+.4f} to {one.high:+.4f}), p "
            f"{one.p:.2g}, rank {one.rank_change:+.2f}, +{one.gained} -{one.lost}, maps {one.map_correlation:.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--films", type=int, default=200)
    given = parser.parse_args()
    root = given.data / "normals"
    samples = list(open_dataset("simulated", root=root, without=UNREPORTED, films=given.films, findings=1, seed=8))
    tiny = matex.load("tiny")
    for method in ("grad-eclip", "matex"):
        report(tiny, matex.load("tiny-plain"), samples, method)
        report(tiny, without_sides("tiny", [one.text for one in samples]), samples, method)


if __name__ == "__main__":
    warnings.simplefilter("ignore", UserWarning)
    main()
