"""Do several methods show the same on the same film and phrase?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from matex.metrics.metric import METRICS, Case, Need
from matex.metrics.similarity import rank_vectors, ssim, top_vectors

SIZE = (112, 112)  # maps of different resolutions are compared at this one


def agreement(maps: Mapping[str, Sequence[NDArray[np.floating]]]) -> dict[str, NDArray[np.float64]]:
    """How alike the maps of different methods are.

    Args:
        maps: raw maps of each method, one per sample in the same order; patch grids or pixel maps, of any sizes.

    Returns:
        "spearman", "overlap" and "ssim", each [method, method, sample] in the order of `maps`; symmetric, 1 on
        the diagonal (overlap a little less where values are equal), NaN where one of the two maps is constant.

    Raises:
        ValueError: methods with different numbers of samples.
    """
    if len({len(of_method) for of_method in maps.values()}) > 1:
        counts = ", ".join(f"{name} {len(of_method)}" for name, of_method in maps.items())
        raise ValueError(f"Expected as many maps from every method, got {counts}. Leave out samples that one lacks.")
    samples = max((len(of_method) for of_method in maps.values()), default=0)
    found = {measure: np.full((len(maps), len(maps), samples), np.nan) for measure in ("spearman", "overlap", "ssim")}
    for sample in range(samples):
        stack = torch.stack([_at_size(of_method[sample]) for of_method in maps.values()])
        for measure, vectors in (("spearman", rank_vectors(stack)), ("overlap", top_vectors(stack))):
            found[measure][:, :, sample] = vectors @ vectors.T
        for row, one in enumerate(stack):
            values = ssim(one.expand_as(stack[row:]), stack[row:]).numpy()
            found["ssim"][row, row:, sample] = found["ssim"][row:, row, sample] = values
    return found


@METRICS("agreement")
@dataclass(frozen=True)
class Agreement:
    """Rank correlation, overlap of the highest tenth and structural similarity of two methods' maps.

    It judges methods against each other, not one by itself: call `between` with the cases of all of them.
    """

    needs: ClassVar[tuple[Need, ...]] = ("image",)
    dataset_level: ClassVar[bool] = False
    better: ClassVar[Mapping[str, Literal["higher", "lower", "neither"]]] = {}
    source: ClassVar[str] = "matex"

    def between(self, cases: Mapping[str, Sequence[Case]]) -> dict[str, dict[str, NDArray[np.float64]]]:
        """For each method its columns "spearman with <other>" and so on, one value per case, for every other method.

        Args:
            cases: of each method, the same samples in the same order.
        """
        found = agreement({name: [case.explanation.image.grid for case in some] for name, some in cases.items()})
        names = list(cases)
        return {
            one: {
                f"{measure} with {other}": values[row, column]
                for measure, values in found.items()
                for column, other in enumerate(names)
                if other != one
            }
            for row, one in enumerate(names)
        }


def _at_size(grid: NDArray[np.floating]) -> Tensor:
    values = torch.from_numpy(np.asarray(grid, dtype=np.float32))[None, None]
    return F.interpolate(values, size=SIZE, mode="bilinear", align_corners=False, antialias=True)[0, 0]
