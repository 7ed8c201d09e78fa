"""Calibration of the bundled models on simulated films, and what predicts their wrong answers: docs/trust.md.

    python benchmarks/trust.py --data ../shared/data

One simulated finding in each film; the right answer is its phrase, of all phrases that occur. Validation and test films
lie on different normal films.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import matex
from matex.datasets import Sample, open_dataset
from matex.trust import Calibration, Detection, error_detection

ROOT = Path(__file__).parents[1]
UNREPORTED = ROOT / "examples" / "unreported-normals.txt"
MEASURES = ("error_rate", "mean_confidence", "ece", "ece_equal_mass", "calibration_error_debiased", "brier", "aurc")


def halves(data: Path, count: int, tier: str) -> tuple[list[Sample], list[Sample]]:
    """Simulated films with one finding each, which the phrase names, in two halves of the normal films."""
    root = data / "normals"
    found = open_dataset(
        "simulated", root=root, without=UNREPORTED, films=count, tier=tier, findings=1, placed=False, seed=5
    )
    clusters = sorted({sample.cluster for sample in found})
    first = set(clusters[::2])
    return [one for one in found if one.cluster in first], [one for one in found if one.cluster not in first]


def rows(fitted: Calibration) -> str:
    """Quality before and after on validation films and after on test films, as Markdown."""
    lines = ["| measure | before | after | test |", "| --- | ---: | ---: | ---: |"]
    for name in MEASURES:
        cells = (f"{fitted.measures[column][name]:.3f}" for column in ("before", "after", "test"))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def line(found: Detection) -> str:
    """One signal in words."""
    return f"{found.signal}: AUC {found.auc:.2f} ({found.low:.2f} to {found.high:.2f}), {found.wrong} wrong"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--films", type=int, default=600, help="in both halves")
    parser.add_argument("--tier", default="moderate")
    parser.add_argument("--models", nargs="+", default=["tiny", "tiny-plain", "hf:benchmarks/models/tiny-siglip"])
    parser.add_argument("--maps", type=int, default=200, help="test films of which maps are compared; 0 for none")
    given = parser.parse_args()
    validation, test = halves(given.data, given.films, given.tier)
    for name in given.models:
        model = matex.load(name)
        fitted = matex.calibrate(model, validation, test=test)
        print(f"\n## {name}: {fitted.kind}, temperature {fitted.temperature:.3f}, bias {fitted.bias:.3f}\n")
        print(rows(fitted))
        print(f"\nthreshold {fitted.threshold}: {fitted.measures['after']['at_threshold']}")
        print(f"test: {fitted.measures['test']['at_threshold']}, {fitted.measures['test']['error_rate_interval']}")
        if given.maps:
            for found in error_detection(model, fitted, test[: given.maps], seeds=1, noise=5):
                print(line(found), flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore", UserWarning)
    main()
