"""Agreement between the maps of several methods on the same film and phrase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from matex.errors import InputError
from matex.metrics.metric import METRICS, Case, Columns, Direction, Need
from matex.metrics.similarity import rank_vectors, ssim, top_vectors

SIZE = (112, 112)  # maps of different resolutions are compared at this one


def agreement(maps: Mapping[str, Sequence[NDArray[np.floating]]]) -> dict[str, NDArray[np.float64]]:
    """Similarity of the maps of different methods.

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
    similarity = {
        measure: np.full((len(maps), len(maps), samples), np.nan) for measure in ("spearman", "overlap", "ssim")
    }
    for sample in range(samples):
        stack = torch.stack([_at_size(of_method[sample]) for of_method in maps.values()])
        for measure, vectors in (("spearman", rank_vectors(stack)), ("overlap", top_vectors(stack))):
            similarity[measure][:, :, sample] = vectors @ vectors.T
        for row, one in enumerate(stack):
            values = ssim(one.expand_as(stack[row:]), stack[row:]).numpy()
            similarity["ssim"][row, row:, sample] = similarity["ssim"][row:, row, sample] = values
    return similarity


@METRICS("agreement")
@dataclass(frozen=True)
class Agreement:
    """Rank correlation, overlap of the highest tenth and structural similarity of two methods' maps.

    It compares methods with each other: call `between` with the cases of all of them.
    """

    on_sounds: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("image",)
    dataset_level: ClassVar[bool] = False
    better: ClassVar[Mapping[str, Direction]] = {}
    source: ClassVar[str] = "matex"

    def __call__(self, cases: Sequence[Case]) -> Columns:
        raise InputError("Expected the maps of several methods for agreement, got those of one. Call `between`.")

    def between(self, cases: Mapping[str, Sequence[Case]]) -> dict[str, Columns]:
        """Columns "spearman with <other>" and so on of each method, one value per case, for every other method.

        Args:
            cases: of each method, the same samples in the same order.
        """
        measures = agreement({name: [case.explanation.image.grid for case in some] for name, some in cases.items()})
        names = list(cases)
        return {
            one: {
                f"{measure} with {other}": values[row, column]
                for measure, values in measures.items()
                for column, other in enumerate(names)
                if other != one
            }
            for row, one in enumerate(names)
        }


def _at_size(grid: NDArray[np.floating]) -> Tensor:
    values = torch.from_numpy(np.asarray(grid, dtype=np.float32))[None, None]
    return F.interpolate(values, size=SIZE, mode="bilinear", align_corners=False, antialias=True)[0, 0]
