"""Muon for many equal matrices at once."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.775, 2.0315)
ITERATIONS = 5


class StackedMuon(torch.optim.Optimizer):
    """`torch.optim.Muon` with Nesterov momentum .95 and `adjust_lr_fn="match_rms_adamw"`, one update per shape.

    torch's updates one matrix after another, some forty kernels each: for a small model on a GPU as many as its forward
    and backward pass.

    Args:
        params: matrices.
        lr: learning rate, a tensor without dimensions.
        weight_decay: decoupled.
        momentum: of the moving average of the gradient.

    Source:
        K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; the learning rate as in
        "Muon is Scalable for LLM Training", arXiv:2502.16982, eq. 4.
    """

    def __init__(self, params: Iterable[Tensor], lr: Tensor, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        for group in self.param_groups:
            shapes: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes.setdefault(parameter.shape, []).append((parameter, parameter.grad))
            for shape, pairs in shapes.items():
                directions = torch.stack([self._direction(*pair, group["momentum"]) for pair in pairs])
                rate = group["lr"] * 0.2 * math.sqrt(max(shape))
                for (parameter, _), change in zip(pairs, _orthogonal(directions).to(directions.dtype), strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(rate * change)

    def _direction(self, parameter: Tensor, gradient: Tensor, momentum: float) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        average = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(average, momentum)


def _orthogonal(matrices: Tensor) -> Tensor:
    """Nearly orthogonal matrices with the singular vectors of the given ones, by Newton-Schulz iterations [n, r, c]."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.bfloat16()
    x = x.mT if tall else x
    length = cast(Tensor, torch.linalg.vector_norm(x.flatten(1), dim=1))
    x = x / length.clamp(min=1e-7)[:, None, None]
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
