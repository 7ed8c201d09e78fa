"""Saliency: the magnitude of the gradient at each pixel or token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor

from matex.attribution.gradient import add_up, raw, score_elements
from matex.protocols import METHODS
from matex.trace import FROM_INPUT, Trace


@METHODS("saliency")
@dataclass(frozen=True)
class Saliency:
    """Size of the gradient of the score at each pixel or token embedding.

    Args:
        reduce: how channels or embedding dimensions become one number: "max_abs" (the paper's), "sum_abs", "l2" or
            "signed" (the method `gradient`); None for max_abs on the image and l2 on the text.

    Source:
        "Deep Inside Convolutional Networks", arXiv:1312.6034, section 3.1; METHODS 8.
    """

    reduce: Literal["max_abs", "sum_abs", "l2", "signed"] | None = None

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("gradient",)
    passes: ClassVar[str] = "1 forward, 1 backward"
    source: ClassVar[str] = "Simonyan et al., arXiv:1312.6034, section 3.1"
    equation: ClassVar[str] = "A = max over channels of |dS/dx|; on the text the length of dS/de"
    errors: ClassVar[tuple[str, ...]] = (
        "Papers that compare with it do not say how channels become one number. `reduce` sets it; the default "
        "is the source's.",
    )

    def gradient_blocks(self, kind: str) -> int:
        return FROM_INPUT

    def __call__(self, trace: Trace) -> Tensor:
        reduce = self.reduce or ("max_abs" if trace.tower.differentiable_input else "l2")
        if reduce == "signed":
            return raw(trace, add_up(trace, score_elements(trace)))
        found = trace.gradient_entry()
        found = found.movedim(1, -1) if trace.tower.differentiable_input else found
        match reduce:
            case "max_abs":
                values = found.abs().amax(-1)
            case "sum_abs":
                values = found.abs().sum(-1)
            case _:
                values = cast(Tensor, torch.linalg.vector_norm(found, dim=-1))
        return raw(trace, values)
