"""What the audit's checks say where the truth is known: the finding on the named side, on the other side, or absent.

    python benchmarks/audit_checks.py --data ../shared/data --films 24

Simulated obvious findings in validation normals, those of the final test left out. Prints, for each method and
condition, how often each check passes, warns, fails or is skipped: the numbers of docs/audit.md.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

import matex
from matex.datasets.simulated import read_names
from matex.images import Film, read
from matex.simulation import FINDINGS, canonical, find_lungs, simulate

TEST_NORMALS = Path(__file__).parents[1] / "examples" / "test-normals.txt"
CONDITIONS = ("finding on the named side", "phrase names the other side", "normal film")
OPPOSITE = {"left": "right", "right": "left"}


def cases(data: Path, films: int, seed: int) -> Iterator[tuple[str, Film, str]]:
    """(condition, film, phrase), the three conditions of each normal film in turn."""
    kept = read_names(TEST_NORMALS)
    rows = map(json.loads, (data / "normals" / "manifest.jsonl").read_text(encoding="utf-8").splitlines())
    names = [row["image"] for row in rows if row["split"] == "val" and row["image"] not in kept]
    rng = np.random.default_rng(seed)
    sided = [name for name, finding in FINDINGS.items() if set(finding.sides) == {"left", "right"}]
    count = 0
    while count < films:
        normal = read(data / "normals" / names[int(rng.integers(len(names)))])
        lungs = find_lungs(normal.pixels)
        if not lungs.measured:  # its zones are not known
            continue
        finding, side = sided[int(rng.integers(len(sided)))], ("left", "right")[count % 2]
        try:
            film = simulate(
                normal.pixels, int(rng.integers(1 << 31)), tier="obvious", finding=finding, side=side, lungs=lungs
            )
        except ValueError:  # no room on this film
            continue
        count += 1
        zone = film.findings[0].zone
        for condition, pixels, named in zip(
            CONDITIONS, (film.image, film.image, normal.pixels), (side, OPPOSITE[side], side), strict=True
        ):
            yield condition, read(pixels).known_as("PA", False), canonical(finding, named, zone)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with normals")
    parser.add_argument("--films", type=int, default=24)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--methods", default="matex,maskclip")
    given = parser.parse_args()
    model = matex.load("tiny")
    states: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    stays: dict[tuple[str, str], list[float]] = defaultdict(list)
    for condition, film, phrase in tqdm(list(cases(given.data, given.films, given.seed))):
        for method in given.methods.split(","):
            audit = matex.audit(model, film, phrase, method=method)
            states[method, condition, "verdict"][audit.verdict] += 1
            for name, check in audit.checks.items():
                states[method, condition, name][check.state] += 1
            if (unrelated := audit.controls.get("unrelated")) and np.isfinite(unrelated.stays):
                stays[method, condition].append(unrelated.stays)
    print("| method | films | check | pass | warn | fail | skipped |\n| --- | --- | --- | ---: | ---: | ---: | ---: |")
    for (method, condition, name), counted in states.items():
        numbers = " | ".join(str(counted[state]) for state in ("pass", "warn", "fail", "skipped"))
        print(f"| {method} | {condition} | {name} | {numbers} |")
    for (method, condition), shares in stays.items():
        share = np.mean(shares)
        print(f"{method}, {condition}: {share:.0%} of the highlighted tenth stays for an unrelated sentence")


if __name__ == "__main__":
    main()
