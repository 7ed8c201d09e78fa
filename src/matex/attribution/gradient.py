"""The gradient of the score at the tower's input: pixels, or the embeddings of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from matex.attribution.shared.input_gradients import gate_relus, gradients
from matex.protocols import METHODS
from matex.trace import FROM_INPUT, Trace


def gradient_elements(trace: Trace, targets: Tensor, unit: bool = True, guided: bool = False) -> Tensor:
    """Signed contributions to targets [target, item, joint] before they are added up over channels, by a pass of
    their own: the gradient on the image; on the text the gradient times the token's embedding without its place.

    A plain sum over the dimensions of a token's gradient is zero in a pre-norm transformer, which removes the mean of
    the residual stream wherever it reads it.

    Returns:
        [target, item, channel, height, width] or [target, item, token, dim].
    """
    tower, inputs = trace.tower, trace.inputs
    watch = gate_relus if guided else None
    with torch.inference_mode(False), torch.no_grad():
        entry = tower.entry(inputs)
    found = gradients(tower, entry, inputs, targets, unit, watch)
    return found if tower.differentiable_input else found * word_embeddings(trace)


def score_elements(trace: Trace, target: Tensor | None = None) -> Tensor:
    """The same for the score, from the trace's own pass, [pair, ...].

    Args:
        trace: recorded down to what enters, or it is run again.
        target: asks for another product with the embedding than the score, [pair, joint].
    """
    found = trace.gradient_entry(target)
    return found if trace.tower.differentiable_input else found * word_embeddings(trace)[trace.item]


def word_embeddings(trace: Trace) -> Tensor:
    """Token embeddings without the embeddings of their places, [item, token, dim]."""
    with torch.inference_mode(False), torch.no_grad():
        return trace.tower.entry(trace.inputs) - trace.tower.blank(trace.inputs)


def add_up(trace: Trace, elements: Tensor) -> Tensor:
    """Sum over channels [..., channel, height, width] or embedding dimensions [..., token, dim]."""
    return elements.sum(-3 if trace.tower.differentiable_input else -1)


def per_pair(trace: Trace, values: Tensor, backward: Tensor) -> Tensor:
    """Values [backward, item, ...] as a method's raw result: pixels [pair, height, width] or tokens [pair, token]."""
    return raw(trace, values[backward, trace.item])


def raw(trace: Trace, values: Tensor) -> Tensor:
    """Values per pixel [pair, height, width] as they are, values per token [pair, token] arranged."""
    return values if trace.tower.differentiable_input else trace.to_grid(values)


@METHODS("gradient")
@dataclass(frozen=True)
class Gradient:
    """Signed gradient of the score with respect to each pixel, channels added up.

    On the text tower: gradient times the token's embedding, summed, a first-order guess of what the word adds.

    Source:
        "Deep Inside Convolutional Networks", arXiv:1312.6034, without the absolute value; METHODS 8.
    """

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("gradient",)
    passes: ClassVar[str] = "1 forward, 1 backward"
    source: ClassVar[str] = "Simonyan et al., arXiv:1312.6034, signed"
    equation: ClassVar[str] = "A = sum over channels of dS/dx; on the text dS/de . e"

    def gradient_blocks(self, kind: str) -> int:
        return FROM_INPUT

    def elements(self, trace: Trace, targets: Tensor, unit: bool = True) -> Tensor:
        """See `gradient_elements`."""
        return gradient_elements(trace, targets, unit)

    def __call__(self, trace: Trace) -> Tensor:
        return raw(trace, add_up(trace, score_elements(trace)))
