"""What the papers' printed forms change: likeness to the default map, and how often the peak lies on the finding.

    python benchmarks/printed_forms.py --data ../shared/data --films 24

Simulated obvious findings in validation normals that nothing else is reported on; one phrase for each film that names
finding, side and zone. For each form: the rank correlation of its map and its method's default map, and the share of
films on which its peak lies in the finding's mask. Words: the rank correlation of their scores.
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
from matex.audits.regions import likeness
from matex.datasets import Sample, open_dataset

FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "mmel-paper": ("mmel", {}),
    "ca-m2ib, query='latent'": ("ca-m2ib", {"query": "latent"}),
    "ca-m2ib, latent='attended'": ("ca-m2ib", {"latent": "attended"}),
    "ca-m2ib, sigma=0.5": ("ca-m2ib", {"sigma": 0.5}),
    "ca-m2ib, sigma=2": ("ca-m2ib", {"sigma": 2.0}),
    "matex, gradient='value'": ("matex", {"gradient": "value"}),
    "matex, prior='parabola'": ("matex", {"prior": "parabola"}),
    "matex, prior='paper-gaussian'": ("matex", {"prior": "paper-gaussian"}),
    "matex, prior='paper-box'": ("matex", {"prior": "paper-box"}),
    "matex, text_emphasis='lexicon'": ("matex", {"text_emphasis": "lexicon"}),
    "embedding-space, white baseline": (
        "embedding-space",
        {"operator": "integrated-gradients", "operator_parameters": ("baseline=white",)},
    ),
    "embedding-space, rise": ("embedding-space", {"operator": "rise", "operator_parameters": ("masks=500",)}),
    "embedding-space, gradcam": ("embedding-space", {"operator": "gradcam"}),
    "embedding-space, attn-lrp": ("embedding-space", {"operator": "attn-lrp"}),
    "matex, scales=(1, 0.75, 0.5)": ("matex", {"scales": (1.0, 0.75, 0.5)}),
    "mmel, similarity='both'": ("mmel", {"similarity": "both"}),
    "mmel, similarity='content'": ("mmel", {"similarity": "content"}),
    "mmel, semantic=(query, key, value)": ("mmel", {"semantic": ("query", "key", "value")}),
    "mmel, pyramid='input'": ("mmel", {"pyramid": "input"}),
    "mmel, choice='adaptive'": ("mmel", {"choice": "adaptive"}),
    "mmel, pyramid='input', choice='adaptive'": ("mmel", {"pyramid": "input", "choice": "adaptive"}),
    "chefer-lrp": ("chefer", {}),
    "attn-lrp": ("grad-eclip", {}),
}
METHODS = ("mmel-paper", "chefer-lrp", "attn-lrp")  # forms that are methods of their own


def words_alike(first: matex.Explanation, second: matex.Explanation) -> float:
    """Rank correlation of two explanations' word scores; NaN where one is constant."""
    scores = [np.argsort(np.argsort([score for _, score in one.words])) for one in (first, second)]
    return float(np.corrcoef(*scores)[0, 1]) if len(scores[0]) > 2 else float("nan")


def hit(explanation: matex.Explanation, mask: np.ndarray) -> float:
    """Share of the highest pixels that lie in a mask [height, width]."""
    raw = explanation.image.raw
    return float(mask[raw == np.nanmax(raw)].mean())


def explained(
    model: matex.Model, sample: Sample, form: str, defaults: dict[str, matex.Explanation]
) -> tuple[float, ...]:
    """Likeness of maps, likeness of words, and whether the peak is a hit."""
    method, parameters = FORMS[form]
    name = form if form in METHODS else method
    if method not in defaults:
        defaults[method] = matex.explain(model, sample.image, sample.text, method, view=sample.view)
    found = matex.explain(model, sample.image, sample.text, name, view=sample.view, **parameters)
    words = words_alike(defaults[method], found) if found.words and defaults[method].words else float("nan")
    return likeness(defaults[method].image, found.image), words, hit(found, sample.mask)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with normals")
    parser.add_argument("--films", type=int, default=24)
    parser.add_argument("--models", nargs="+", default=["tiny"])
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=list(FORMS), metavar="FORM")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    samples = list(open_dataset("simulated", root=given.data / "normals", films=given.films, only=UNREPORTED))
    for name in given.models:
        model = matex.load(name)
        rows: dict[str, list[tuple[float, ...]]] = {form: [] for form in given.forms}
        plain: dict[str, list[float]] = {}
        for sample in tqdm(samples, unit="film"):
            defaults: dict[str, matex.Explanation] = {}
            for form in given.forms:
                rows[form].append(explained(model, sample, form, defaults))
            for method, explanation in defaults.items():
                plain.setdefault(method, []).append(hit(explanation, sample.mask))
        print(f"{name}, {len(samples)} films")
        print("| form | map like the default | words like the default | peak on the finding | default's peak |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for form, values in rows.items():
            maps, words, hits = np.nanmean(np.array(values), axis=0)
            default = np.mean(plain[FORMS[form][0]])
            print(f"| `{form}` | {maps:.2f} | {words:.2f} | {100 * hits:.0f} | {100 * default:.0f} |")


if __name__ == "__main__":
    main()
