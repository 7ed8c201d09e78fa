"""Which parameters of MATEX find the finding that the phrase names? The evidence behind the defaults, docs/matex.md.

    python benchmarks/matex_default.py --data ../shared/data --films 400

Simulated films carry two findings at known places and the phrase names one of them, so that a map of the phrase can
be distinguished from a map of whatever is odd in the film. The phrase either names the place ("nodule in the right
upper lung") or not ("nodule"); only the first lets the spatial prior act, and only together with its controls: the
prior alone, the prior of the other side, a model with random weights, a uniform map. Real films with
radiologists' boxes follow.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

import matex
from matex.adapters.randomise import randomised
from matex.attribution import make
from matex.attribution.matex import Matex
from matex.datasets.simulated import read_names
from matex.geometry import Box
from matex.images import read
from matex.phrases import parse
from matex.priors.image_context import ImageContext
from matex.recording import record
from matex.simulation import canonical, find_lungs, simulate
from matex.trace import Trace

Formula = Callable[[Trace], Tensor]
Results = dict[str, dict[str, float]]
NORMALS = Path(__file__).parents[1] / "examples" / "choice-normals.txt"  # no reported number rests on them
SIZE = 224  # maps are compared at this size, pixels


@dataclasses.dataclass(frozen=True)
class Case:
    """One film, one phrase, where the named finding lies and where the other one does (empty when there is none)."""

    image: np.ndarray
    phrase: str
    named: np.ndarray  # bool [height, width]
    other: np.ndarray


def simulated(data: Path, films: int, tier: str, placed: bool, seed: int) -> Iterator[Case]:
    """Two findings per film, one phrase for each; pairs of one kind and findings without a side are left out."""
    rows = [json.loads(line) for line in (data / "normals" / "manifest.jsonl").read_text().splitlines()]
    names = read_names(NORMALS)
    normals = [row for row in rows if row["image"] in names]
    rng = np.random.default_rng(seed)
    count = 0
    while count < films:
        normal = read(data / "normals" / normals[int(rng.integers(len(normals)))]["image"]).pixels
        lungs = find_lungs(normal)
        if not lungs.measured:  # its zones are not known
            continue
        film = simulate(normal, int(rng.integers(1 << 31)), findings=2, tier=tier, lungs=lungs)
        first, second = film.findings
        if first.finding == second.finding or {first.side, second.side} & {None, "both"}:
            continue
        count += 1
        for named, other in ((first, second), (second, first)):
            phrase = canonical(named.finding, named.side, named.zone) if placed else canonical(named.finding)
            yield Case(film.image, phrase, named.mask, other.mask)


def boxed(data: Path) -> Iterator[Case]:
    """Real films with radiologists' boxes; the phrases name no place, so the prior is neutral."""
    for line in (data / "boxes" / "manifest.jsonl").read_text().splitlines():
        row = json.loads(line)
        pixels = read(data / "boxes" / row["image"]).pixels
        mask = np.zeros(pixels.shape[:2], dtype=bool)
        for x, y, width, height in row["boxes"]:
            fill(mask, (x, y, x + width, y + height))
        yield Case(pixels, row["phrase"], mask, np.zeros_like(mask))


def fill(mask: np.ndarray, box: Box) -> None:
    x0, y0, x1, y1 = (round(edge) for edge in box)
    mask[max(0, y0) : y1, max(0, x0) : x1] = True


def variants() -> dict[str, Formula]:
    """Settings one step away from the paper's, then combinations, then controls."""
    base = {"prior": "atlas", "laterality": "patient"}

    def of(**parameters: object) -> Matex:
        return make("matex", {**base, **parameters})

    plain = {"alpha": 1.0, "beta": 0.0, "gamma": 0.0, "delta": 0.0}
    flow = {"alpha": 0.0, "beta": 1.0, "gamma": 0.0, "delta": 0.0}
    paper = {"alpha": 0.5, "beta": 0.2, "gamma": 0.35, "delta": 0.2, "temperature": 0.5, "prior_strength": 2.5}
    start = {**paper, "gradient_layers": 3, "gradient": "attention", "flow": "weighted", "consistency": "paper"}
    listed: dict[str, Formula] = {"paper weights, atlas prior": of(**start)}
    for name, change in {
        "gradient of 1 block": {"gradient_layers": 1},
        "gradient of 2 blocks": {"gradient_layers": 2},
        "gradient of 4 blocks": {"gradient_layers": 4},
        "gradient of all blocks": {"gradient_layers": 12},
        "key similarity": {"gradient": "similarity"},
        "value times dS/dvalue": {"gradient": "value"},
        "flow: rollout": {"flow": "rollout"},
        "flow: all blocks alike": {"temperature": 0.0},
        "flow: last blocks": {"temperature": 2.0},
        "consistency: relative": {"consistency": "relative"},
        "prior: gaussian": {"prior": "gaussian"},
        "prior: box": {"prior": "box"},
        "prior: parabola": {"prior": "parabola"},
        "lambda_s 1 (no prior)": {"prior_strength": 1.0},
        "lambda_s 3.5": {"prior_strength": 3.5},
        "beta 0 (no flow)": {"beta": 0.0},
        "beta 0.1": {"beta": 0.1},
        "beta 0.4": {"beta": 0.4},
        "gamma 0 (no consistency)": {"gamma": 0.0},
        "delta 0 (no prior term)": {"delta": 0.0},
        "delta 1": {"delta": 1.0},
    }.items():
        listed[name] = of(**{**start, **change})
    one = {**start, "gradient_layers": 1}
    for name, change in {
        "1 block, tau 2": {"temperature": 2.0},
        "1 block, tau 2, beta 0.1": {"temperature": 2.0, "beta": 0.1},
        "1 block, beta 0": {"beta": 0.0},
        "1 block, beta 0, relative": {"beta": 0.0, "consistency": "relative"},
        "1 block, beta 0, gamma 0": {"beta": 0.0, "gamma": 0.0},
        "1 block, beta 0, key similarity": {"beta": 0.0, "gradient": "similarity"},
        "1 block, beta 0, lambda_s 1 (no prior)": {"beta": 0.0, "prior_strength": 1.0},
        "1 block, beta 0, delta 1": {"beta": 0.0, "delta": 1.0},
        "2 blocks, beta 0": {"beta": 0.0, "gradient_layers": 2},
    }.items():
        listed[name] = of(**{**one, **change})
    for layers in (1, 2, 3, 4, 12):
        for gradient in ("attention", "similarity"):
            listed[f"gradient alone, {layers} blocks, {gradient}"] = of(
                **plain, gradient_layers=layers, gradient=gradient
            )
    for temperature in (0.0, 0.5, 2.0):
        listed[f"flow alone, tau {temperature}"] = of(**flow, temperature=temperature)
    listed["matex as shipped"] = make("matex", {})
    for prior in ("parabola", "gaussian", "box", "atlas"):
        listed[f"matex as shipped, prior: {prior}"] = make("matex", {"prior": prior})
    listed["matex as shipped, lambda_s 1 (no prior)"] = make("matex", {"prior_strength": 1.0})
    listed["matex-paper"] = make("matex-paper", {})
    listed["grad-eclip"] = make("grad-eclip", {})
    listed["rollout"] = make("rollout", {})
    listed["raw-attention"] = make("raw-attention", {})
    listed["control: prior alone"] = lambda trace: _prior(trace, "atlas")
    listed["control: gaussian prior alone"] = lambda trace: _prior(trace, "gaussian")
    listed["control: mirrored prior alone"] = lambda trace: _prior(trace, "atlas").flip(-1)
    listed["control: uniform map"] = lambda trace: torch.ones_like(make("raw-attention", {})(trace))
    return listed


def _prior(trace: Trace, kind: str) -> Tensor:
    return torch.stack([torch.from_numpy(prior.values) for prior in trace.priors(kind, "patient")]).float()


def measure(values: np.ndarray, case: Case) -> dict[str, float]:
    """Where the map's maximum lies and where its mass does; NaN where a map or a place gives no answer."""
    named, other = (_shrink(mask) for mask in (case.named, case.other))
    positive = np.maximum(values, 0.0)
    total = positive.sum()
    best = values == values.max()
    rivals = bool(other.any()) and total > 0
    return {
        "pointing": float(named[best].mean()),
        "pointing other": float(other[best].mean()) if rivals else np.nan,
        "energy": float(positive[named].sum() / total) if total > 0 else np.nan,
        "overlap": overlap(values, named),
        "named over other": float(positive[named].mean() > positive[other].mean()) if rivals else np.nan,
        "area": float(named.mean()),
    }


def overlap(values: np.ndarray, named: np.ndarray) -> float:
    """Share of the finding among the brightest pixels, as many as the finding has; ties count in proportion."""
    count = int(named.sum())
    if not count:
        return np.nan
    limit = np.partition(values.ravel(), -count)[-count]
    above, level = values > limit, values == limit
    return float((named[above].sum() + (count - above.sum()) * named[level].mean()) / count)


def _shrink(mask: np.ndarray) -> np.ndarray:
    sampled = torch.from_numpy(mask)[None, None].float()
    return F.interpolate(sampled, size=(SIZE, SIZE), mode="nearest")[0, 0].numpy() > 0


def evaluate(model: matex.Model, cases: list[Case], listed: dict[str, Formula], batch: int = 32) -> Results:
    """Mean of every measure for every formula, with counts of what was undefined."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in listed}
    for start in tqdm(range(0, len(cases), batch), unit="batch"):
        some = cases[start : start + batch]
        prepared = [model.prepare(read(case.image)) for case in some]
        encoded = [model.encode(case.phrase) for case in some]
        contexts = [
            ImageContext(parse(case.phrase), placement) for case, (_, placement) in zip(some, prepared, strict=True)
        ]
        pixels = torch.cat([pixels for pixels, _ in prepared])
        trace = record(
            model, pixels, model.batch(encoded), contexts=contexts, image_gradient_blocks=model.image.depth
        ).image
        for name, formula in listed.items():
            maps = F.interpolate(formula(trace)[:, None].float(), size=(SIZE, SIZE), mode="bilinear")[:, 0].numpy()
            found[name] += [measure(values, case) for values, case in zip(maps, some, strict=True)]
    return {name: summary(rows) for name, rows in found.items()}


def summary(rows: list[dict[str, float]]) -> dict[str, float]:
    columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    means = {key: float(np.nanmean(v)) if not np.isnan(v).all() else np.nan for key, v in columns.items()}
    return {"n": len(rows), **means, "undefined": int(np.isnan(columns["energy"]).sum())}


def table(results: dict[str, dict[str, float]]) -> str:
    """Markdown, percent."""
    columns = [key for key in next(iter(results.values())) if key not in ("n", "area", "undefined")]
    columns = [key for key in columns if not all(np.isnan(row[key]) for row in results.values())]
    first = next(iter(results.values()))
    lines = [f"n = {first['n']}, the named finding covers {100 * first['area']:.1f} % of the film", ""]
    lines += ["| map | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for name, row in results.items():
        lines.append(f"| {name} | " + " | ".join(f"{100 * row[key]:.1f}" for key in columns) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--films", type=int, default=400)
    parser.add_argument("--tier", default="obvious")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    model = matex.load(given.model)
    listed = variants()
    torch.set_grad_enabled(False)
    films, tier = given.films, given.tier
    settings = {
        "two findings, the phrase names one and its place": simulated(given.data, films, tier, True, given.seed),
        "two findings, the phrase names one without its place": simulated(given.data, films, tier, False, given.seed),
        "real films with boxes": boxed(given.data),
    }
    few = {name: listed[name] for name in ("matex as shipped", "matex-paper", "grad-eclip", "rollout")}
    few |= {"matex without its prior": make("matex", {"delta": 0.0})}
    for title, iterator in settings.items():
        cases = list(iterator)
        print(f"\n## {title} ({tier})\n\n{table(evaluate(model, cases, listed))}")
        print(f"\nRandom weights:\n\n{table(evaluate(randomised(model), cases, few))}", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore", UserWarning)  # the paper's laterality warns at every call
    main()
