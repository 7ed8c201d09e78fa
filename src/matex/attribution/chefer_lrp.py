"""Chefer et al., CVPR 2021: relevance of the attention maps times their gradient, carried down through the blocks."""

# torch's stubs leave unflatten, split and tolist untyped, and its functions are passed as values here.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.attribution.chefer import carry_down
from matex.attribution.shared.input_gradients import stack_targets
from matex.attribution.shared.rules import MOVES, Function, Rules, masked_logits, on_path, probabilities
from matex.errors import UnsupportedModel
from matex.forward_pass import at_least_float32
from matex.protocols import METHODS
from matex.trace import Trace

Share = Callable[[Tensor], tuple[Tensor, ...]]


class _Carry(torch.autograd.Function):
    """A value whose backward pass distributes relevance in place of a gradient."""

    @staticmethod
    def forward(ctx: Any, share: Share, value: Tensor, *inputs: Tensor) -> Tensor:
        ctx.share = share
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        return (None, None, *ctx.share(grad_outputs[0]))


def carry(share: Share, value: Tensor, *inputs: Tensor) -> Tensor:
    """`value`, whose relevance `share` distributes to the inputs, one part for each."""
    return _Carry.apply(share, value, *inputs)  # pyright: ignore[reportUnknownMemberType, reportReturnType]


def ratio(relevance: Tensor, value: Tensor) -> Tensor:
    """relevance / value, 0 where the value is 0."""
    return torch.where(value == 0, 0.0, relevance / torch.where(value == 0, 1.0, value))


def positive_products(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A linear layer that shares relevance among the inputs by their positive products with the weights.

    The bias takes no part in it.
    """
    tokens = inputs.detach()
    parts = [(part(tokens), part(weight.detach())) for part in (lambda v: v.clamp(min=0), lambda v: v.clamp(max=0))]

    def share(relevance: Tensor) -> tuple[Tensor, ...]:
        each = ratio(relevance, torch.stack([some @ weights.T for some, weights in parts]).sum(dim=0))
        return (torch.stack([some * (each @ weights) for some, weights in parts]).sum(dim=0),)

    return carry(share, F.linear(tokens, weight, bias).detach(), inputs)


def unchanged(function: Function) -> Function:
    """The function, which hands the relevance of its output to its first argument: norms and activations."""

    def carried(hidden: Tensor, *settings: Any, **named: Any) -> Tensor:
        value = function(hidden.detach(), *settings, **named).detach()
        return carry(lambda relevance: (relevance,), value, hidden)

    return carried


def residual(first: Any, second: Any) -> Tensor:
    """A sum of two streams, each scaled to its share of the relevance."""
    if not (on_path(first) and on_path(second)):
        raise UnsupportedModel("Expected residual sums of two streams for chefer-lrp, got a sum with a constant.")
    parts = [first.detach(), second.detach()]

    def share(relevance: Tensor) -> tuple[Tensor, ...]:
        every = tuple(range(1, relevance.dim()))
        each = [part * ratio(relevance, parts[0] + parts[1]) for part in parts]
        sums = [part.sum(dim=every, keepdim=True) for part in each]
        total = relevance.sum(dim=every, keepdim=True)
        size = sums[0].abs() + sums[1].abs()
        return tuple(part * ratio(ratio(own.abs(), size) * total, own) for part, own in zip(each, sums, strict=True))

    return carry(share, parts[0] + parts[1], first, second)


def scaled(first: Any, second: Any) -> Tensor:
    """A product with a constant, which leaves the relevance to the other factor."""
    if on_path(first) and on_path(second):
        raise UnsupportedModel("Expected a model without gates for chefer-lrp, got a product of two streams.")
    stream, factor = (first, second) if on_path(first) else (second, first)
    return unchanged(torch.mul)(stream, factor)


def products(first: Tensor, second: Tensor, value: Tensor) -> Share:
    """Share of first @ second, of which `value` is the result: half to each factor."""

    def share(relevance: Tensor) -> tuple[Tensor, ...]:
        each = ratio(relevance, value) / 2
        return first * (each @ second.mT), second * (first.mT @ each)

    return share


@dataclass(frozen=True)
class Attention:
    """Attention that keeps its weights, whose relevance is read.

    Args:
        maps: of each block that has run, [item, heads, query, key], on the graph.
    """

    maps: list[Tensor] = field(default_factory=list)

    def __call__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
    ) -> Tensor:
        q, k, v = query.detach(), key.detach(), value.detach()
        logits, mask = masked_logits(q, k, attn_mask, is_causal, scale)
        weights = carry(products(q, k.mT, q @ k.mT), probabilities(logits, mask), query, key.mT)
        self.maps.append(weights)
        output = weights.detach() @ v
        return carry(products(weights.detach(), v, output), output, weights, value)


def rules(attention: Attention) -> dict[Function, Function]:
    """The functions of a block with their rules."""
    return {
        F.scaled_dot_product_attention: attention,
        F.linear: positive_products,
        F.layer_norm: unchanged(F.layer_norm),
        F.gelu: unchanged(F.gelu),
        F.silu: unchanged(F.silu),
        F.relu: unchanged(F.relu),
        F.normalize: unchanged(F.normalize),
        torch.sigmoid: lambda values: torch.sigmoid(values).detach(),  # the gate of quick GELU, x sigmoid(1.702 x)
        Tensor.add: residual,
        Tensor.mul: scaled,
        Tensor.__rmul__: scaled,
    }


@METHODS("chefer-lrp")
@dataclass(frozen=True)
class CheferLrp:
    """Relevance of each attention map times its gradient, positive part, multiplied through the blocks.

    Relevance of 1 starts at the score, whose product with the other side's embedding counts as the last linear layer,
    and is distributed down to the attention maps: by positive products in linear layers, normalised in residual sums,
    half to each factor of a product, unchanged by norms, softmax and activations. R starts as the identity, each block
    adds Abar R with Abar = mean over heads of ReLU(dS'/da * relevance of a). S' is the cosine times the model's logit
    scale.

    Source:
        "Transformer Interpretability Beyond Attention Visualization", CVPR 2021, arXiv:2012.09838, section 3.
        Deviations: the paper's classifier has a class token and logits; here the embedding's product with the target
        replaces the logit. Biases take no relevance, as in the authors' code.
    """

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("readout", "attention", "gradient")
    passes: ClassVar[str] = "2 forwards, 2 backwards over all blocks"
    source: ClassVar[str] = "Chefer et al., CVPR 2021, arXiv:2012.09838"
    equation: ClassVar[str] = (
        "R = I; per block R <- R + Abar R, Abar = mean_h ReLU(dS/da * R_a), R_a the relevance of the attention; "
        "A_i = R[readout, i]"
    )
    errors: ClassVar[tuple[str, ...]] = (
        "The tables of MATEX and of other papers cite it for CLIP, which it was not written for; whether they ran it "
        "or the method of ICCV 2021 (`chefer`) is not printed.",
        "The normalisation of sums divides by a total that may be near zero; a total of zero gives no relevance here.",
    )

    def gradient_blocks(self, kind: str) -> int:
        return 1  # all query rows of all blocks, which the trace finds by itself

    def __call__(self, trace: Trace) -> Tensor:
        maps = self.attention_relevance(trace)
        trace.gradient_rows(0)  # the lowest block first: one backward pass also finds those above
        last, *below = (self._positive(trace, layer, maps[layer]) for layer in reversed(range(trace.depth)))
        return trace.to_grid(carry_down(trace, last[:, 0], below))

    def attention_relevance(self, trace: Trace) -> list[Tensor]:
        """Relevance of the attention map of each block, [pair, heads, query, key]; one row in the last block."""
        targets, backward = stack_targets(trace)
        state = trace.state_of_inputs(0)
        with torch.inference_mode(False), torch.enable_grad():
            attention = Attention()
            with Rules("chefer-lrp", rules(attention), MOVES):
                hidden = state.hidden.clone().requires_grad_()
                embedding = trace.embed_state(0, state.with_hidden(hidden))
            passes = [self._backward(embedding, attention.maps, one) for one in targets.to(embedding)]
        return [at_least_float32(torch.stack(some)[backward, trace.item]) for some in zip(*passes, strict=True)]

    def _backward(self, embedding: Tensor, maps: Sequence[Tensor], target: Tensor) -> tuple[Tensor, ...]:
        """Relevance of the maps for one target of each input, [item, joint]."""
        positive = (embedding.detach() * target).clamp(min=0)
        start = ratio(positive, positive.sum(dim=-1, keepdim=True).expand_as(positive))
        return torch.autograd.grad(embedding, maps, start, retain_graph=True)

    def _positive(self, trace: Trace, layer: int, relevance: Tensor) -> Tensor:
        """Mean over heads of ReLU(dS'/da * relevance) of the tokens' keys, [pair, query, key]."""
        value = trace.value(layer)
        last = layer == trace.depth - 1  # which the pass under the rules computes for the readout token alone
        rows = trace.gradient(layer)[:, :, None] if last else trace.gradient_rows(layer)
        gradient = torch.einsum("phqd,phkd->phqk", rows, value)
        return (trace.logit_scale * gradient * relevance[..., : value.shape[2]]).relu().mean(dim=1)
