"""Choose the default of `matex` on some models and films, judge it on another model: docs/matex.md, "The default".

    python benchmarks/choose_default.py --data ../shared/data

Values that the folder of --out holds already are read, not computed: delete them after a change of the formulas.

Candidates differ in the gradient term, its blocks, the flow, the consistency and the prior. A candidate is judged by
its weakest comparison: the smallest z over settings and measures of its paired difference to the best other method. For
each model the candidate with the highest such z on the *other* models is chosen (leave one model out) and reported on
the one left out. The films are those of examples/choice-normals.txt, which no reported number uses.
"""

from __future__ import annotations

import argparse
import itertools
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

import matex
from matex.datasets import Sample, open_dataset
from matex.traced import trace_pairs

ROOT = Path(__file__).parents[1]
FILMS = ROOT / "examples" / "choice-normals.txt"
SIZE = 112  # maps are compared at this size, pixels
MEASURES = ("pointing", "energy", "named over other")
RIVALS = (
    "grad-eclip",
    "mmel",
    "gradcam",
    "chefer",
    "legrad",
    "maskclip",
    "clip-surgery",
    "rollout",
    "raw-attention",
    "gradient",
    "saliency",
    "m2ib",
)
BATCH = 24


@dataclass(frozen=True)
class Scores:
    """Every formula on every phrase of one model and setting.

    Args:
        values: [formula, measure, phrase], NaN where undefined, also where the model cannot serve a method.
        film: number of the normal film of each phrase.
    """

    values: NDArray[np.float64]
    film: NDArray[np.int64]


def candidates() -> dict[str, dict[str, object]]:
    """Parameters of `matex` by a short name; the shipped default first."""
    found: dict[str, dict[str, object]] = {"shipped": {}}
    terms = itertools.product(
        ("attention", "similarity", "value"),
        (1, 2, 3, 4, 6),
        (0.0, 0.1, 0.2),
        ("paper", "relative"),
        ("atlas", "gaussian"),
    )
    for gradient, layers, beta, consistency, prior in terms:
        name = f"{gradient}, {layers} blocks, beta {beta:g}, {consistency} C, {prior}"
        found[name] = {
            "gradient": gradient,
            "gradient_layers": layers,
            "beta": beta,
            "consistency": consistency,
            "prior": prior,
        }
    for temperature in (0.0, 2.0):
        found[f"attention, 3 blocks, beta 0.1, tau {temperature:g}"] = {"beta": 0.1, "temperature": temperature}
    for delta in (0.5, 1.0):
        found[f"attention, 3 blocks, delta {delta:g}"] = {"delta": delta}
    return found


def measure(maps: Tensor, named: Tensor, other: Tensor) -> NDArray[np.float64]:
    """Pointing, energy and named over other of maps [phrase, height, width] against bool masks, [measure, phrase]."""
    positive = maps.clamp(min=0)
    best = maps == maps.amax(dim=(1, 2), keepdim=True)
    pointing = (best & named).sum(dim=(1, 2)) / best.sum(dim=(1, 2))
    total = positive.sum(dim=(1, 2))
    energy = torch.where(total > 0, (positive * named).sum(dim=(1, 2)) / total, torch.nan)
    inside = [(positive * mask).sum(dim=(1, 2)) / mask.sum(dim=(1, 2)) for mask in (named, other)]
    over = torch.where(total > 0, (inside[0] > inside[1]).float(), torch.nan)
    return torch.stack([pointing.float(), energy.float(), over]).double().numpy()


def evaluate(
    model: matex.Model, samples: Sequence[Sample], formulas: Mapping[str, tuple[str, dict[str, object]]]
) -> Scores:
    """Every formula that the model can serve on every sample, over one trace per batch."""
    parts: list[NDArray[np.float64]] = []
    refused = _refused(model, samples[0], {method for method, _ in formulas.values()})
    served = [formula for formula in formulas.values() if formula[0] not in refused]
    for start in tqdm(range(0, len(samples), BATCH), unit="batch"):
        some = samples[start : start + BATCH]
        masks = [
            torch.stack([_shrink(mask) for mask in kind]) for kind in ([s.mask for s in some], [s.other for s in some])
        ]
        traced = trace_pairs(model, [(s.image, s.text) for s in some], served)
        rows = []
        for method, parameters in formulas.values():
            if method in refused:
                rows.append(np.full((len(MEASURES), len(some)), np.nan))
                continue
            grids = [torch.from_numpy(one.image.grid) for one in traced.explain(method, parameters)]
            maps = F.interpolate(torch.stack(grids)[:, None].float(), size=(SIZE, SIZE), mode="bilinear")[:, 0]
            rows.append(measure(maps, *masks))
        parts.append(np.stack(rows))
    clusters = sorted({sample.cluster for sample in samples})
    return Scores(np.concatenate(parts, axis=2), np.array([clusters.index(sample.cluster) for sample in samples]))


def _refused(model: matex.Model, sample: Sample, methods: Iterable[str]) -> set[str]:
    refused: set[str] = set()
    for method in methods:
        try:
            trace_pairs(model, [(sample.image, sample.text)], [(method, {})]).explain(method, {})
        except matex.UnsupportedModel:
            refused.add(method)
    return refused


def _shrink(mask: NDArray[np.bool_]) -> Tensor:
    return F.interpolate(torch.from_numpy(mask)[None, None].float(), size=(SIZE, SIZE))[0, 0] > 0


def z_score(difference: NDArray[np.float64], film: NDArray[np.int64]) -> float:
    """Mean of a paired difference over its standard error, phrases of one film counted together."""
    defined = ~np.isnan(difference)
    films = np.unique(film[defined])
    if len(films) < 2:
        return math.nan
    centred = difference - difference[defined].mean()
    sums = np.array([centred[defined & (film == one)].sum() for one in films])
    error = math.sqrt((sums**2).sum()) / defined.sum()
    return float(difference[defined].mean() / error) if error > 0 else 0.0


def margins(scores: Mapping[str, Scores], names: Sequence[str], which: Sequence[str]) -> NDArray[np.float64]:
    """Smallest z of each candidate against the best rival over measures and settings of one model, [candidate]."""
    worst = np.full(len(which), np.inf)
    for one in scores.values():
        rivals = [number for number in map(names.index, RIVALS) if not np.isnan(one.values[number]).all()]
        means = np.nanmean(one.values, axis=2)
        for number in range(len(MEASURES)):
            best = max(rivals, key=lambda rival: means[rival, number])
            for index, name in enumerate(which):
                difference = one.values[names.index(name), number] - one.values[best, number]
                worst[index] = min(worst[index], z_score(difference, one.film))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--films", type=int, default=150, help="per setting, two phrases each")
    parser.add_argument("--models", nargs="+", default=["tiny", "tiny-plain", "hf:benchmarks/models/tiny-siglip"])
    parser.add_argument("--out", type=Path, default=Path("runs/choose-default"), help="folder for the values")
    given = parser.parse_args()
    chosen = candidates()
    formulas: dict[str, tuple[str, dict[str, object]]] = {name: ("matex", p) for name, p in chosen.items()}
    formulas["matex-paper"] = ("matex-paper", {})
    formulas |= {name: (name, {}) for name in RIVALS}
    names = list(formulas)
    given.out.mkdir(parents=True, exist_ok=True)
    scores: dict[str, dict[str, Scores]] = {}
    for model in given.models:
        scores[model] = {}
        for setting, placed in (("place named", True), ("place not named", False)):
            file = given.out / f"{Path(model).name}-{setting.replace(' ', '-')}.npz"
            if not file.exists():
                films = {
                    "root": given.data / "normals",
                    "only": FILMS,
                    "films": given.films,
                    "findings": 2,
                    "seed": 7,
                }
                samples = [s for s in open_dataset("simulated", **films, placed=placed) if s.other is not None]
                one = evaluate(matex.load(model), samples, formulas)
                np.savez_compressed(file, values=one.values, film=one.film, formulas=names)
            with np.load(file) as stored:
                if list(stored["formulas"]) != names:
                    raise SystemExit(f"Expected values of today's formulas in {file}, got others. Delete it.")
                scores[model][setting] = Scores(stored["values"], stored["film"])
    report(scores, names, list(chosen))


def report(scores: Mapping[str, Mapping[str, Scores]], names: Sequence[str], which: Sequence[str]) -> None:
    """Print what leave-one-model-out chooses and how it does on the model left out."""
    worst = {model: margins(found, names, which) for model, found in scores.items()}
    for left in scores:
        others = [model for model in scores if model != left] or [left]
        order = np.argsort(-np.min([worst[model] for model in others], axis=0))
        best = which[order[0]]
        print(f"\n## Chosen without {left} (on {', '.join(others)}): {best}")
        print(f"smallest z on {left}: chosen {worst[left][order[0]]:.2f}, shipped {worst[left][0]:.2f}")
        print(f"the five best elsewhere: {[(which[i], round(float(worst[left][i]), 2)) for i in order[:5]]}")
    every = np.min([worst[model] for model in scores], axis=0)
    order = np.argsort(-every)
    print(
        "\n## Over all models:",
        *(f"{every[i]:6.2f}  {which[i]}" for i in order[:15]),
        f"{every[0]:6.2f}  shipped",
        sep="\n",
    )
    shown = ["shipped", which[order[0]], "matex-paper", *RIVALS]
    for model, found in scores.items():
        for setting, one in found.items():
            print(f"\n### {model}, {setting} (n = {one.values.shape[2]})\n")
            print(f"| map | {' | '.join(MEASURES)} |\n| --- | ---: | ---: | ---: |")
            for name in shown:
                means = 100 * np.nanmean(one.values[names.index(name)], axis=1)
                print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in means) + " |")


if __name__ == "__main__":
    warnings.simplefilter("ignore", UserWarning)
    main()
