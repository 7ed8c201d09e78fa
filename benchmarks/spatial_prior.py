"""Which shape of the spatial prior finds the place that a phrase names? The evidence in docs/matex.md.

    python benchmarks/spatial_prior.py --data ../shared/data --films 400

One finding is simulated into each normal film of the validation split, its phrase names side and zone ("nodule in the
right upper lung"), and the prior is drawn from the phrase alone, without model or film. The zones of the simulation are
thirds of that film's lung, so this measures how well average regions fit single films, not where disease lies.
Boxes of real films are no test: their phrases name no place, and a side taken from a box would be circular.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from matex.images import read
from matex.phrases import parse
from matex.priors.spatial import KINDS, spatial_prior
from matex.simulation import canonical, find_lungs, simulate

SIZE = 112  # rows and columns at which the priors are read


def cases(data: Path, films: int, seed: int) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """Finding, phrase and mask [SIZE, SIZE] of one finding with side and zone per film whose lungs are measured."""
    rows = [json.loads(line) for line in (data / "normals" / "manifest.jsonl").read_text().splitlines()]
    normals = [row for row in rows if row["split"] == "val"]
    rng = np.random.default_rng(seed)
    result = []
    for index in rng.permutation(len(normals))[:films]:
        film = read(data / "normals" / normals[index]["image"]).pixels
        normal = np.asarray(Image.fromarray(film).resize((SIZE, SIZE), Image.Resampling.BOX))
        lungs = find_lungs(film)
        if not lungs.measured:
            continue
        finding = simulate(normal, int(rng.integers(1 << 31)), lungs=lungs).findings[0]
        if finding.side in ("right", "left") and finding.zone:
            result.append((finding.finding, canonical(finding.finding, finding.side, finding.zone), finding.mask))
    return result


def measure(kind: str, phrase: str, mask: NDArray[np.bool_]) -> dict[str, float]:
    """How one prior lies on one finding; shares of the film or of 1."""
    centres = (np.arange(SIZE) + 0.5) / SIZE
    values = spatial_prior(parse(phrase), centres, centres, kind=kind).values
    strong = values >= 0.5 * values.max()
    row, column = (round(float(where.mean())) for where in np.nonzero(mask))
    above, level = values > values[row, column], values == values[row, column]
    return {
        "rank": float(above.mean() + level.mean() / 2),
        "hit": float(strong[row, column]),
        "area": float(strong.mean()),
        "weight": float(values[mask].mean()),
        "gain": float(values[mask].mean() / values.mean()),
    }


def table(rows: dict[str, list[dict[str, float]]]) -> str:
    """Markdown; hit and area (where the prior reaches half its maximum), the area that must be searched in order of the
    weights to find the centres of 80 % of the findings, and the mean weight in the finding, in percent; the gain over a
    uniform map (mean weight in the finding / on the film) as a factor.
    """
    lines = ["| prior | hit | area | area for 80 % | weight | gain |", "| --- |" + " ---: |" * 5]
    for kind, measured in rows.items():
        hit, area, weight, gain = (np.mean([row[key] for row in measured]) for key in ("hit", "area", "weight", "gain"))
        search = float(np.quantile([row["rank"] for row in measured], 0.8))
        lines.append(
            f"| {kind} | {100 * hit:.0f} | {100 * area:.1f} | {100 * search:.1f} | {100 * weight:.0f} | {gain:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--films", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    found = cases(given.data, given.films, given.seed)
    focal = ("nodule", "mass")
    for title, chosen in (
        ("nodules and masses", [case for case in found if case[0] in focal]),
        ("other findings with a place", [case for case in found if case[0] not in focal]),
    ):
        measured = {kind: [measure(kind, phrase, mask) for _, phrase, mask in chosen] for kind in KINDS}
        print(f"## {title} (n = {len(chosen)})\n\n{table(measured)}\n", flush=True)


if __name__ == "__main__":
    main()
