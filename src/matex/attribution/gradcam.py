"""GradCAM on the tokens of one block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from matex.protocols import METHODS
from matex.trace import Trace


def gradcam(tokens: Tensor, gradient: Tensor, among: Tensor) -> Tensor:
    """ReLU(sum over channels of w X), w the mean gradient over the chosen tokens, [pair, token].

    Args:
        tokens: X, [pair, token, dim].
        gradient: of the score at X.
        among: tokens the gradient is averaged over, bool [pair, token].
    """
    chosen = among.to(gradient)
    weight = torch.einsum("pt,ptd->pd", chosen, gradient) / chosen.sum(dim=1, keepdim=True)
    return torch.einsum("pd,ptd->pt", weight, tokens).relu()


@METHODS("gradcam")
@dataclass(frozen=True)
class GradCam:
    """Tokens of one block weighted by the mean gradient of the score, per channel.

    Args:
        layer: block, negative from the end.
        at: "norm" is the first layer norm's output, as pytorch-grad-cam does for transformers; "input" is the block's
            input, as Grad-ECLIP's baseline does. There is no "output" of the last block: only its readout token
            reaches the score, so every patch has gradient zero there. A lower block's output is the next one's input.
        over: what the gradient is averaged over: the "patches", or "all" tokens with CLS (Grad-ECLIP's baseline). On
            the text tower: tokens 1 to the end token, or from 0.

    Source:
        "Grad-CAM", arXiv:1610.02391, eq. 1-2; METHODS 7. The ReLU is part of the formula. Published text forms cannot
        be traced (one of them averages over the wrong axis); the text form here is the same formula over tokens.
    """

    layer: int = -1
    at: Literal["norm", "input"] = "norm"
    over: Literal["patches", "all"] = "patches"

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("gradient", "features")
    passes: ClassVar[str] = "1 forward, and 1 forward and 1 backward of the last block"
    source: ClassVar[str] = "Grad-CAM, arXiv:1610.02391, eq. 1-2"
    equation: ClassVar[str] = "A_i = ReLU(sum_c w_c X_ic), w_c the mean over patches of dS/dX_c"
    errors: ClassVar[tuple[str, ...]] = (
        "On the last block's output all patches have gradient zero. Here the layer is the last block's first "
        "norm, as in pytorch-grad-cam; at='input' is Grad-ECLIP's baseline.",
        "Published text forms average over the wrong axis and cannot be traced. Here it is the same formula "
        "over tokens.",
    )

    def gradient_blocks(self, kind: str) -> int:
        return 0  # gradients at a block's tokens are no gradients at attention outputs

    def __call__(self, trace: Trace) -> Tensor:
        if not trace.attentive:
            tokens, gradient = trace.stage_output(self.layer)
            layer = self.layer % trace.depth + 1
            return trace.to_grid(gradcam(tokens, gradient, trace.axis_at(layer).content), layer)
        if self.at == "norm":
            tokens, gradient = trace.normed(self.layer), trace.gradient_normed(self.layer)
        else:
            tokens, gradient = trace.hidden(self.layer).to(trace.target), trace.gradient_hidden(self.layer)
        return trace.to_grid(gradcam(tokens, gradient, self._among(trace)))

    def _among(self, trace: Trace) -> Tensor:
        """Tokens the gradient is averaged over, bool [pair, token]."""
        if self.over == "patches" and trace.grid:
            return trace.content
        first = torch.arange(trace.valid.shape[1], device=trace.valid.device) == 0
        return trace.valid & ~first if self.over == "patches" else trace.valid
