"""AttnLRP: layer-wise relevance propagation with rules for softmax, products, norms and activations."""

# torch's stubs leave unflatten, split and tolist untyped, and its functions are passed as values here.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.attribution.shared.input_gradients import stack_targets
from matex.attribution.shared.rules import MOVES, Function, Rules, gate, masked_logits, on_path, probabilities
from matex.errors import UnsupportedModel
from matex.forward_pass import at_least_float32
from matex.protocols import METHODS
from matex.trace import Trace

_AT_ONCE = 8  # backward passes


def halved(values: Tensor) -> Tensor:
    """The values, with half of their gradient: the uniform rule of a product of two factors (eq. 7)."""
    return values / 2 + values.detach() / 2


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Attention whose two products share relevance equally; the softmax has its first-order rule, its gradient.

    A learned query of a pooling head is a constant, and the keys get all.
    """
    if on_path(query) and on_path(key):
        query, key = halved(query), halved(key)
    logits, mask = masked_logits(query, key, attn_mask, is_causal, scale)
    return halved(probabilities(logits, mask)) @ halved(value)


def layer_norm(
    hidden: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Layer norm whose standard deviation is a constant (proposition 3.4)."""
    deviation = (hidden.detach().var(dim=-1, correction=0, keepdim=True) + eps).sqrt()
    scaled = (hidden - hidden.mean(dim=-1, keepdim=True)) / deviation
    scaled = scaled if weight is None else scaled * weight
    return scaled if bias is None else scaled + bias


def gelu(hidden: Tensor, approximate: str = "none") -> Tensor:
    """GELU as a product with a constant (eq. 9)."""
    return hidden * gate(hidden, F.gelu, approximate=approximate)


def silu(hidden: Tensor, inplace: bool = False) -> Tensor:
    return hidden * gate(hidden, F.silu)


def normalize(embedding: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: None = None) -> Tensor:
    """Unit norm, whose length is a constant."""
    return embedding / embedding.detach().norm(p, dim, keepdim=True).clamp(min=eps)


def product(first: Any, second: Any) -> Tensor:
    """A product with a constant. Of two factors on the path each has half, see `halved`."""
    return halved(first) * halved(second) if on_path(first) and on_path(second) else first * second


def quotient(first: Any, second: Any) -> Tensor:
    if on_path(second):
        raise UnsupportedModel("Expected a model of operations that attn-lrp has a relevance rule for, got a division.")
    return first / second


TABLE: dict[Function, Function] = {
    F.scaled_dot_product_attention: attention,
    F.layer_norm: layer_norm,
    F.gelu: gelu,
    F.silu: silu,
    torch.sigmoid: lambda values: torch.sigmoid(values).detach(),  # the gate of quick GELU, x sigmoid(1.702 x)
    F.normalize: normalize,
    Tensor.mul: product,
    Tensor.__rmul__: product,
    Tensor.div: quotient,
}
LINEAR: frozenset[Function] = frozenset(
    [F.linear, Tensor.add, Tensor.__radd__, Tensor.sub, Tensor.mean, Tensor.sum, torch.mean, F.relu, torch.relu]
)
"""Functions of which the gradient times the input is the epsilon rule; of ReLU it is the identity rule."""


@METHODS("attn-lrp")
@dataclass(frozen=True)
class AttnLrp:
    """Layer-wise relevance propagation through the transformer, to the tokens that enter its first block.

    The score is distributed backwards in proportion to what each part contributed: epsilon rule in linear layers and
    residual sums, half to each factor of a product, the gradient of the softmax, norms and activations as
    multiplication with a constant. Biases keep their share, as does the softmax, so that the sum of a map is not the
    score.

    Source:
        "AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for Transformers", arXiv:2402.05602, eq. 7, eq. 9
        and proposition 3.4. Deviations: epsilon is 0; its gamma rule for vision transformers is left out; relevance
        ends at the tokens that enter the first block and is not carried on to pixels.
    """

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("attention", "gradient")
    passes: ClassVar[str] = "2 forwards, 1 backward over all blocks"
    source: ClassVar[str] = "AttnLRP, arXiv:2402.05602"
    equation: ClassVar[str] = (
        "A_i = sum over dimensions of x_i dS~/dx_i at the first block's input; S~ has the value of S, with norms, "
        "activations as constant factors and half of the gradient in each factor of a product"
    )
    errors: ClassVar[tuple[str, ...]] = (
        "For vision transformers the paper takes a gamma rule whose gamma it tunes on each model. Here linear layers "
        "have the epsilon rule with epsilon 0, as for language models.",
        "Conservation is claimed of every rule; biases and the softmax keep relevance, so that maps sum to less or "
        "more than the score.",
    )

    def gradient_blocks(self, kind: str) -> int:
        return 0  # a forward pass of its own, under the rules

    def __call__(self, trace: Trace) -> Tensor:
        targets, backward = stack_targets(trace)
        return trace.to_grid(self._relevance(trace, targets)[backward, trace.item])

    def _relevance(self, trace: Trace, targets: Tensor) -> Tensor:
        """Relevance of each token for targets [target, item, joint], [target, item, token]."""
        state = trace.state_of_inputs(0)
        with torch.inference_mode(False), torch.enable_grad():
            hidden = state.hidden.clone().requires_grad_()
            with Rules("attn-lrp", TABLE, MOVES | LINEAR):
                embedding = trace.embed_state(0, state.with_hidden(hidden))
            parts: list[Tensor] = [
                torch.autograd.grad(embedding, hidden, some, retain_graph=True, is_grads_batched=True)[0]
                for some in targets.to(embedding).clone().split(_AT_ONCE)
            ]
        return at_least_float32((torch.cat(parts) * hidden.detach()).sum(dim=-1))
