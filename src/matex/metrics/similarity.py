"""Similarity of two maps: rank correlation, structural similarity, overlap of their highest parts.

All are undefined (NaN) where one of the two maps is constant or not finite: such a map has no order. Values that are
alike to a millionth of a map's range count as equal, since interpolation leaves them so at the borders.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

TOP = 0.1  # share of a map that counts as its highest part
_RADIUS, _SIGMA, _K1, _K2 = 5, 1.5, 0.01, 0.03


def spearman(first: Tensor, second: Tensor) -> Tensor:
    """Correlation of the ranks of two maps [map, height, width], equal values sharing their mean rank, [map]."""
    return (rank_vectors(first) * rank_vectors(second)).sum(dim=1)


def spearman_abs(first: Tensor, second: Tensor) -> Tensor:
    """`spearman` of the maps without their signs."""
    return spearman(first.abs(), second.abs())


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """Mean structural similarity of two maps [map, height, width], each scaled to [0, 1] by its extremes, [map].

    Windows are Gaussian, 11 x 11 with sigma 1.5, and lie inside the map; NaN for maps smaller than a window.

    Source:
        "Image Quality Assessment: From Error Visibility to Structural Similarity", 2004, eq. 13, K1 .01, K2 .03.
    """
    side = 2 * _RADIUS + 1
    if min(first.shape[-2:]) < side:
        return torch.full((len(first),), torch.nan, dtype=torch.float64, device=first.device)
    offset = torch.arange(-_RADIUS, _RADIUS + 1, dtype=torch.float64, device=first.device)
    line = torch.exp(-0.5 * (offset / _SIGMA) ** 2)
    line = line / line.sum()

    def local(values: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(values[:, None], line[None, None, :, None]), line[None, None, None])[:, 0]

    a, b = (unit(values.double()) for values in (first, second))
    mean_a, mean_b = local(a), local(b)
    var_a, var_b = local(a * a) - mean_a**2, local(b * b) - mean_b**2
    covariance = local(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _K1**2) / (mean_a**2 + mean_b**2 + _K1**2)
    structure = (2 * covariance + _K2**2) / (var_a + var_b + _K2**2)
    undefined = constant(first) | constant(second)
    return (luminance * structure).mean(dim=(1, 2)).masked_fill(undefined, torch.nan)


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """Share of the highest tenth of one map that belongs to the highest tenth of the other, [map]; chance is .1.

    Equal values at the edge of the tenth count in proportion, as if ties were broken at random.
    """
    return (top_vectors(first) * top_vectors(second)).sum(dim=1)


MEASURES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "spearman": spearman,
    "spearman_abs": spearman_abs,
    "ssim": ssim,
    "overlap": overlap,
}


def rank_vectors(maps: Tensor) -> Tensor:
    """The ranks of maps [map, height, width] as vectors of length 1 about 0, whose products are rank correlations."""
    centred = ranks(_snapped(maps))
    centred = centred - centred.mean(dim=1, keepdim=True)
    length = cast(Tensor, torch.linalg.vector_norm(centred, dim=1, keepdim=True))
    return _where_defined(maps, centred / length)


def top_vectors(maps: Tensor) -> Tensor:
    """The highest tenths of maps [map, height, width] as vectors, whose products are overlaps."""
    weights = highest(_snapped(maps))
    return _where_defined(maps, weights / weights.sum(dim=1, keepdim=True).sqrt())


def ranks(values: Tensor) -> Tensor:
    """Rank of each value in its row, from 0, equal values sharing their mean rank; float64, as [row, value]."""
    values = values.contiguous()
    ordered = values.sort(dim=1).values
    first, after = (torch.searchsorted(ordered, values, right=right) for right in (False, True))
    return (first + after - 1).double() / 2


def highest(values: Tensor, share: float = TOP) -> Tensor:
    """Membership of each value in the highest share of its row: 1, 0, or a fraction at the edge; [row, value]."""
    count = math.ceil(share * values.shape[1])
    edge = values.topk(count, dim=1).values[:, -1:]
    above, level = (values > edge).double(), (values == edge).double()
    return above + level * (count - above.sum(dim=1, keepdim=True)) / level.sum(dim=1, keepdim=True).clamp(min=1)


def unit(values: Tensor) -> Tensor:
    """Maps [map, height, width] scaled to [0, 1] by their extremes; NaN where those are equal."""
    low, high = values.amin(dim=(1, 2), keepdim=True), values.amax(dim=(1, 2), keepdim=True)
    return (values - low) / (high - low)


def constant(values: Tensor) -> Tensor:
    """Whether each of the maps [map, height, width] is constant but for rounding, or not finite, [map]."""
    low, high = values.amin(dim=(1, 2)), values.amax(dim=(1, 2))
    return ~(high - low > 1e-6 * torch.maximum(low.abs(), high.abs()))


def _snapped(values: Tensor) -> Tensor:
    """Maps [map, height, width] rounded to millionths of their range, [map, value]."""
    return (unit(values.double()) * 1e6).round().flatten(1)


def _where_defined(maps: Tensor, vectors: Tensor) -> Tensor:
    return vectors.masked_fill(constant(maps)[:, None], torch.nan)
