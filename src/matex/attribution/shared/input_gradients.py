"""Gradients of embeddings at the entry of an encoder: pixels, or the embeddings of tokens.

A target is a vector of the
joint space: its product with the embedding is the scalar that is explained. The other side's unit-norm embedding asks
for the score, a unit vector for one coordinate of the embedding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.graph import Node

from matex.adapters.encoder import Staged
from matex.errors import UnsupportedModel
from matex.forward_pass import at_least_float32, embed
from matex.trace import Trace

_SIDE_BY_SIDE = 8  # backwards at a time


def gradients(
    tower: Staged,
    entries: Tensor,
    inputs: Tensor,
    targets: Tensor,
    unit: bool = True,
    watch: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Gradient of target . embedding at the entries; one forward, and one backward per target.

    Args:
        tower: to run.
        entries: see `Staged.entry`; pixels [row, channel, height, width] or token embeddings [row, token, dim].
        inputs: that say which tokens each entry has, [row, ...].
        targets: [target, row, joint].
        unit: normalise the embedding.
        watch: is shown the embedding on its graph before any backward.

    Returns:
        [target, row, ...], at least float32.
    """
    with torch.inference_mode(False), torch.enable_grad():
        point = entries.detach().clone().requires_grad_()
        embedding = embed(tower, tower.start(point, inputs.clone()), unit=unit)
        if watch:
            watch(embedding)
        targets = targets.to(embedding).clone()
        if len(targets) == 1:
            return at_least_float32(torch.autograd.grad(embedding, point, targets[0])[0][None])
        parts = [
            torch.autograd.grad(embedding, point, some, retain_graph=True, is_grads_batched=True)[0]
            for some in torch.split(targets, _SIDE_BY_SIDE)
        ]
        return at_least_float32(torch.cat(parts))


def stack_targets(trace: Trace, target: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The pairs of a trace, arranged so that inputs shared by several pairs are run once.

    Args:
        trace: gives the pairs.
        target: the vector whose product with each pair's embedding is explained, [pair, joint]; the other side's
            embedding otherwise.

    Returns:
        Targets [backward, item, joint], the t-th pair of each input in backward pass t, zeros for inputs with fewer
        pairs; and the backward pass of each pair, [pair]. Values [backward, item, ...] become values per pair with
        `values[backward, trace.item]`.
    """
    backward = (trace.item[:, None] == trace.item).tril(-1).sum(-1)
    target = trace.target if target is None else target
    targets = target.new_zeros(int(backward.max()) + 1, len(trace.inputs), target.shape[-1])
    targets[backward, trace.item] = target
    return targets, backward


def _positive_part(gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    return tuple(None if gradient is None else gradient.clamp(min=0) for gradient in gradients)


def gate_relus(embedding: Tensor) -> None:
    """Let only positive gradients into every ReLU of a graph; it passes them on where its input was positive.

    Acts on the nodes of this one graph, so that the model is not touched and ReLUs are found however they are called.

    Raises:
        UnsupportedModel: the graph has no ReLU.
    """
    seen: set[Node] = set()
    waiting = [embedding.grad_fn]
    found = 0
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name().startswith("ReluBackward"):
            node.register_prehook(_positive_part)
            found += 1
        waiting.extend(upstream for upstream, _ in node.next_functions)
    if not found:
        raise UnsupportedModel(
            "Expected a model with ReLU activations for guided-backprop, got one without (CLIP transformers use GELU): "
            "it would equal the plain gradient. Use 'gradient' or 'saliency'."
        )
