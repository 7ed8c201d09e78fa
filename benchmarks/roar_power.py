"""How many repetitions does ROAR+ need? A power calculation from the repetitions of a run: docs/benchmark.md.

    python benchmarks/roar_power.py runs/evidence-removal

Repetition i of every map parts and orders the films alike, so a map is compared with the reference by paired
differences. With their standard deviation s, a difference of d percent is found in 80 % of experiments (two-sided test,
5 %) with about ((1.96 + 0.84) s / d)^2 repetitions; the table gives that number for d = 5 and the d that the run itself
could find. The repetitions share their films, so the p-values are too small rather than too large.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy import stats

from matex.metrics.statistics import holm

POWER, LEVEL = 0.8, 0.05
WANTED = 5.0  # percent of the loss


def needed(deviation: float, difference: float) -> int:
    """Pairs that a two-sided paired t-test needs to find a mean difference, by iteration over its own quantiles."""
    for count in range(2, 100_000):
        t = stats.t.ppf(1 - LEVEL / 2, count - 1) + stats.t.ppf(POWER, count - 1)
        if count >= (t * deviation / difference) ** 2:
            return count
    return 100_000


def detectable(deviation: float, count: int) -> float:
    """Smallest mean difference that `count` pairs find with the wanted power."""
    return (stats.t.ppf(1 - LEVEL / 2, count - 1) + stats.t.ppf(POWER, count - 1)) * deviation / math.sqrt(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--column", default="roar_image")
    parser.add_argument("--reference", default="control: random", help="the map that others are compared with")
    given = parser.parse_args()
    rows = [row for row in pq.read_table(given.run / "results.parquet").to_pylist() if row["column"] == given.column]
    for model in dict.fromkeys(row["model"] for row in rows):
        values: dict[str, list[float]] = {}
        for row in rows:
            if row["model"] == model:
                values.setdefault(row["method"], []).append(row["value"])
        reference = np.array(values.pop(given.reference))
        different = {name: np.array(found) - reference for name, found in values.items() if not np.isnan(found).any()}
        p_values = holm([float(stats.ttest_1samp(one, 0).pvalue) for one in different.values()])
        print(f"\n{model}: {len(reference)} repetitions, minus {given.reference}\n")
        print("| map | difference, % | p (t, Holm) | sd of a repetition | found here from | repetitions for 5 % |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for (name, difference), p in zip(different.items(), p_values, strict=True):
            deviation = float(difference.std(ddof=1))
            print(
                f"| {name} | {difference.mean():.1f} | {p:.4f} | {deviation:.1f} | "
                f"{detectable(deviation, len(reference)):.1f} | {needed(deviation, WANTED)} |"
            )


if __name__ == "__main__":
    main()
