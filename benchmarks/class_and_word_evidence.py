"""Do maps tell findings apart and stay in the lungs, and do word scores follow the words? Tables of docs/metrics.md.

    python benchmarks/class_and_word_evidence.py --data ../shared/data --films 12

Simulated obvious findings in validation normals that nothing else is reported on. For each method the means of
`class-discrimination` (five findings), `outside-lungs` and `outside-body`, and of `word-roles`, `word-stability` and
`text-randomisation`; phrases name finding, side and zone. The absolute form of embedding-space is left out of the word
metrics, which would take minutes a film.
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
from matex.datasets import open_dataset
from matex.metrics import Case, make_metric

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "embedding-space, signed": ("embedding-space", {}),
    "embedding-space, absolute": ("embedding-space", {"per_dimension": "absolute"}),
    "gradient": ("gradient", {}),
    "matex": ("matex", {}),
    "grad-eclip": ("grad-eclip", {}),
    "maskclip": ("maskclip", {}),
    "occlusion": ("occlusion", {}),
    "rollout": ("rollout", {}),
}
IMAGE = ("class-discrimination", "outside-lungs", "outside-body")
WORDS = ("word-roles", "word-stability", "text-randomisation", "vocabulary")
COLUMNS = {
    "class-discrimination": ("class_correlation", "class_correlation_abs"),
    "outside-lungs": ("outside_lungs", "outside_lungs_even"),
    "outside-body": ("outside_body", "outside_body_even"),
    "word-roles": ("named_auc", "finding_share", "place_share", "filler_share"),
    "word-stability": ("word_stability", "frame_share"),
    "text-randomisation": ("words",),
    "vocabulary": ("specialised_auc", "specialised_share", "specialised_words"),
}


def table(rows: dict[str, dict[str, np.ndarray]], metrics: tuple[str, ...]) -> str:
    names = [column for metric in metrics for column in COLUMNS[metric]]
    lines = [f"| method | {' | '.join(names)} |", "| --- |" + " ---: |" * len(names)]
    for method, values in rows.items():
        cells = [f"{np.nanmean(values[name]):.2f}" if np.isfinite(values[name]).any() else "-" for name in names]
        lines.append(f"| `{method}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with normals")
    parser.add_argument("--films", type=int, default=12)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--only", nargs="+", choices=(*IMAGE, *WORDS), help="metrics; all where not given")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    model = matex.load(given.model)
    samples = list(open_dataset("simulated", root=given.data / "normals", films=given.films, only=UNREPORTED))
    image, words = (tuple(name for name in some if given.only is None or name in given.only) for some in (IMAGE, WORDS))
    rows: dict[str, dict[str, np.ndarray]] = {}
    for label in tqdm(given.methods, unit="method"):
        method, parameters = METHODS[label]
        cases = [
            Case(model, one, matex.explain(model, one.image, one.text, method, view=one.view, **parameters), {})
            for one in samples
        ]
        rows[label] = {}
        for metric in image if parameters else (*image, *words):
            rows[label] |= make_metric(metric, {})(cases)
    of_words = {method: values for method, values in rows.items() if not METHODS[method][1]}
    print(f"{given.model}, {len(samples)} films\n\n{table(rows, image)}\n\n{table(of_words, words)}")


if __name__ == "__main__":
    main()
