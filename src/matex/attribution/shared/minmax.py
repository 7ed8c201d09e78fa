"""Scaling of token values to [0, 1] within each pair."""

from __future__ import annotations

import torch
from torch import Tensor


def minmax(values: Tensor, among: Tensor | None = None) -> Tensor:
    """Scale [pair, token] to [0, 1] by the extremes among the chosen tokens of each pair; zeros where those are equal.

    Equal is what differs by no more than rounding. Tokens outside `among` are scaled alike and may leave [0, 1].
    """
    among = torch.ones_like(values, dtype=torch.bool) if among is None else among
    low = values.masked_fill(~among, torch.inf).amin(dim=-1, keepdim=True)
    high = values.masked_fill(~among, -torch.inf).amax(dim=-1, keepdim=True)
    span = high - low
    largest = torch.maximum(low.abs(), high.abs()).clamp(min=1e-12)
    constant = ~(span > max(1e-12, 4 * torch.finfo(values.dtype).eps) * largest)
    return torch.where(constant, torch.zeros_like(values), (values - low) / span.masked_fill(constant, 1.0))
