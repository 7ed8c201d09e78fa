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
from matex.metrics.similarity import overlap, spearman, ssim

SIZE = (224, 224)  # maps of different resolutions are compared at this one
_MEASURES = {"spearman": spearman, "overlap": overlap, "ssim": ssim}


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
    whole = {name: [_at_size(grid) for grid in grids] for name, grids in maps.items()}
    samples = max((len(of_method) for of_method in whole.values()), default=0)
    found = {measure: np.full((len(maps), len(maps), samples), np.nan) for measure in _MEASURES}
    for sample in range(samples):
        stack = torch.stack([of_method[sample] for of_method in whole.values()])
        for row, one in enumerate(stack):
            others = stack[row:]
            for measure, function in _MEASURES.items():
                values = function(one.expand_as(others), others).numpy()
                found[measure][row, row:, sample] = found[measure][row:, row, sample] = values
    return found


@METRICS("agreement")
@dataclass(frozen=True)
class Agreement:
    """Rank correlation, overlap of the highest tenth and structural similarity of two methods' maps.

    It judges methods against each other, not one by itself: call `between` with the cases of all of them.
    """

    needs: ClassVar[tuple[Need, ...]] = ("image",)
    whole: ClassVar[bool] = False
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
    return F.interpolate(values, size=SIZE, mode="bilinear", align_corners=False)[0, 0]
