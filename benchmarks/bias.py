"""Which words go with which regions, by sex, age, view and markers: docs/bias.md.

    python benchmarks/bias.py --data ../shared/data

NIH films with radiologists' boxes and the phrases of their labels; sex, age and view are those of the collection.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import matex
from matex.bias import associations
from matex.datasets import open_dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", nargs="+", default=["tiny", "tiny-plain"])
    parser.add_argument("--out", type=Path, default=Path("runs/bias"))
    given = parser.parse_args()
    films = open_dataset(
        "manifest", root=given.data / "boxes", text="phrase", box_format="xywh", attributes=["sex", "age"]
    )
    for name in given.models:
        found = associations(matex.load(name), films, ["sex", "age", "view", "markers"], least=20)
        found.save(given.out / name)
        print(f"\n## {name}: {found.pairs} pairs, {dict(found.groups)}, {found.to_dict()['tests']} tests")
        for one in found.overall:
            print(f"{one.word} in {one.region}: {one.share:.3f} of {one.even:.3f}, {one.low:+.3f} to {one.high:+.3f}")
        for one in found.differences[:5]:
            print(
                f"{one.word} in {one.region}, {one.attribute} {one.level}: {one.difference:+.3f} ({one.low:+.3f} to "
                f"{one.high:+.3f}), p {one.p:.3g}, Holm {one.p_holm:.3g}, {one.clusters} against {one.other_clusters}"
            )


if __name__ == "__main__":
    warnings.simplefilter("ignore", UserWarning)
    main()
