"""Guided backpropagation, refused for networks without ReLU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from matex.attribution.gradient import add_up, gradient_elements, per_pair
from matex.attribution.shared.input_gradients import stack_targets
from matex.protocols import METHODS
from matex.trace import Trace


@METHODS("guided-backprop")
@dataclass(frozen=True)
class GuidedBackprop:
    """The gradient with negative parts stopped at every ReLU; only for models that have ReLUs.

    Source:
        "Striving for Simplicity", arXiv:1412.6806, section 3.4; METHODS 8. Where a model has no ReLU the result would
        be the plain gradient: captum and pytorch-grad-cam return that without a word, here it is refused.
    """

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("gradient", "relu")
    passes: ClassVar[str] = "2 forwards, 1 backward"
    source: ClassVar[str] = "Springenberg et al., arXiv:1412.6806, section 3.4"
    equation: ClassVar[str] = "as `gradient`, the backward cut at zero in every ReLU"
    errors: ClassVar[tuple[str, ...]] = (
        "Libraries return the plain gradient without a word where there is no ReLU, as in every CLIP "
        "transformer. Here such a model is refused.",
    )

    def gradient_blocks(self, kind: str) -> int:
        return 0

    def __call__(self, trace: Trace) -> Tensor:
        targets, backward = stack_targets(trace)
        return per_pair(trace, add_up(trace, gradient_elements(trace, targets, guided=True)), backward)
