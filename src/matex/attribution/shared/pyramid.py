"""Values of tokens at coarser scales of their grid, and back: the pyramid of MMEL and of MATEX's figure 2."""

# torch's stubs leave unflatten, split and tolist untyped, and its functions are passed as values here.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.checks import check
from matex.trace import Trace


def check_scales(scales: Sequence[float]) -> None:
    """Refuse scales of a pyramid outside (0, 1], or none.

    Raises:
        InputError: such scales.
    """
    usable = len(scales) > 0 and all(0 < scale <= 1 for scale in scales)
    check(usable, "scales", "to be one or more numbers above 0 and up to 1", scales)


def coarser(values: Tensor, scale: float) -> Tensor:
    """Adaptive mean of values [batch, channel, rows, columns] or [batch, channel, token] on a grid of `scale` its size.

    A side of n tokens has ceil(scale n) cells.
    """
    size = [math.ceil(scale * side) for side in values.shape[2:]]
    return F.adaptive_avg_pool2d(values, (size[0], size[1])) if len(size) == 2 else F.adaptive_avg_pool1d(values, size)


def restored(cells: Tensor, shape: Sequence[int]) -> Tensor:
    """Linear interpolation of cells [batch, channel, ...] to the grid (rows, columns), or to (tokens,)."""
    mode = "bilinear" if len(shape) == 2 else "linear"
    return F.interpolate(cells, tuple(shape), mode=mode, align_corners=False)


def pyramid(values: Tensor, scales: Sequence[float]) -> Tensor:
    """Mean over the scales of values averaged on the coarser grid and interpolated back.

    Args:
        values: [batch, rows, columns] or [batch, token].
        scales: of the grid, in (0, 1]; 1 leaves the values as they are.
    """
    levels = [restored(coarser(values[:, None], scale), values.shape[1:])[:, 0] for scale in scales]
    return torch.stack(levels).mean(dim=0)


def token_pyramid(trace: Trace, values: Tensor, scales: Sequence[float]) -> Tensor:
    """`pyramid` of values per token [pair, token]: over the patches, or over the words in order.

    Special tokens keep their values.
    """
    if tuple(scales) == (1.0,):
        return values
    averaged = values.clone()
    for pair, content in enumerate(trace.content):
        if content.any():
            shape = trace.grid or (int(content.sum()),)
            averaged[pair, content] = pyramid(values[pair, content].reshape(1, *shape), scales).flatten()
    return averaged
