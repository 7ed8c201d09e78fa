"""Random subsets of a data set."""

from __future__ import annotations

import numpy as np

from matex.checks import check_seed, count
from matex.datasets.sample import Dataset, Sample


def random_subset(dataset: Dataset, size: int, seed: int = 0) -> list[Sample]:
    """Random samples without replacement, in the order of the data set; all where it has fewer.

    Args:
        dataset: to choose from; only the chosen samples are created.
        size: number of samples.
        seed: the same seed chooses the same samples of the same data set.

    Raises:
        InputError: a size below 1, or a seed that is none.
    """
    return [dataset[number] for number in subset_numbers(len(dataset), count(size, "size", 1, 1 << 32), seed)]


def subset_numbers(total: int, size: int, seed: int) -> list[int]:
    """Numbers of the chosen samples, ascending."""
    check_seed(seed)
    chosen: list[int] = np.random.default_rng(seed).permutation(total)[:size].tolist()
    return sorted(chosen)
