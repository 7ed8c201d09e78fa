"""MATEX: gradient, attention over the blocks, their consistency and the phrase's anatomy, fused (arXiv:2601.11666)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from matex.attribution.grad_eclip import reader_similarity, reader_value_gradient
from matex.attribution.rollout import reader_rollout
from matex.attribution.shared.minmax import minmax
from matex.attribution.shared.pyramid import check_scales, token_pyramid
from matex.checks import check
from matex.priors.spatial import SpatialPrior
from matex.protocols import METHODS, Ablation
from matex.trace import Trace


def layer_weights(depth: int, temperature: float) -> Tensor:
    """Weight of each block in the flow: softmax of temperature times its number (eq. 1), float64 [block]."""
    return (temperature * torch.arange(depth, dtype=torch.float64)).softmax(dim=0)


def weighted_flow(rows: Sequence[Tensor], temperature: float) -> Tensor:
    """Weighted sum of the readout token's attention rows (eq. 1); the paper calls it rollout, which it is not.

    Args:
        rows: head-mean attention of the readout token, one per block, each [pair, token].
        temperature: tau; 0 weights all blocks alike, large values leave the last one.
    """
    weights = layer_weights(len(rows), temperature).to(rows[0])
    return torch.einsum("l,lpt->pt", weights, torch.stack(list(rows)))


def consistency(rows: Sequence[Tensor], relative: bool = False) -> Tensor:
    """1 / (1 + sigma), sigma the population standard deviation over the blocks (eq. 2), [pair, token] in (0, 1].

    Attention rows are small numbers, so the printed form stays within a few percent of 1. The relative form divides
    sigma by the mean over the blocks first. Where that mean is 0, the token is never attended to and counts as 1.
    """
    stacked = torch.stack(list(rows))
    sigma = stacked.std(dim=0, correction=0)
    if relative:
        sigma = torch.nan_to_num(sigma / stacked.mean(dim=0), nan=0.0)
    return 1 / (1 + sigma)


def value_times_gradient(attention: Tensor, gradient: Tensor, value: Tensor) -> Tensor:
    """v * dS/dv summed over channels and heads, dS/dv_i = sum_q a[q, i] G_q over all query rows (fig. 2 to the letter).

    Args:
        attention: [pair, heads, query, key].
        gradient: G, dS/d(attention output) of every row, [pair, heads, query, head_dim].
        value: [pair, heads, key, head_dim].

    Returns:
        [pair, key], signed.
    """
    return (torch.einsum("phqk,phqd->phkd", attention, gradient) * value).sum(dim=(1, 3))


@METHODS("matex")
@dataclass(frozen=True)
class Matex:
    """Four terms fused: gradient, attention flow, consistent gradient, gradient where the phrase says.

    The map is alpha * A_grad + beta * A_flow + gamma * (C * A_grad) + delta * (M * A_grad), eq. 6. A_grad and A_flow
    are scaled to [0, 1] first, since the weights would mean nothing otherwise. On the text tower M is 1 and the
    extremes are taken over the words, without the special tokens.

    Args:
        alpha: weight of the gradient term.
        beta: weight of the attention flow, which does not know which finding the phrase names: 0 in `matex`.
        gamma: weight of the consistent gradient (the paper's lambda_c).
        delta: weight of the gradient under the text's spatial prior.
        temperature: tau of eq. 1.
        prior_strength: lambda_s of eq. 5, 1 or more.
        gradient_layers: how many of the last blocks the gradient term sums; all where the tower has fewer.
        gradient: what weights value times gradient: the attention of each head, or the key similarity of Grad-ECLIP;
            "value" is the literal value times dS/dvalue, in which every token's attention to a patch counts and not
            the readout token's alone; it costs another forward and backward.
        flow: "weighted" is eq. 1, "rollout" the real attention rollout.
        consistency: "paper" is eq. 2, "relative" divides the deviation by the mean.
        prior: shape of the regions; "parabola" is eq. 3-4, "paper-gaussian" and "paper-box" are other shapes on the
            paper's boxes, the others lie on the atlas.
        mentions: "read" leaves out places that are negated or of the past and halves uncertain ones; "printed" counts
            every place that is named, as eq. 5 does.
        text_emphasis: of the text map; "lexicon" multiplies the gradient of words that name a place by prior_strength
            in the last term, "none" leaves M at 1.
        scales: of the token grid, in (0, 1]: A_grad and A_flow are each averaged over a pyramid of these scales before
            they are scaled to [0, 1]; on the text over the words in order. 1 alone leaves them as they are.
        laterality: "patient" puts the patient's right on the image's left, as films are displayed; "paper" the other
            way round, as printed.

    Source:
        arXiv:2601.11666, eq. 1-6; METHODS 1.2. docs/matex.md lists each deviation and what it was measured to bring.
    """

    alpha: float = 0.5
    beta: float = 0.0
    gamma: float = 0.35
    delta: float = 0.2
    temperature: float = 0.5
    prior_strength: float = 2.5
    gradient_layers: int = 3
    gradient: Literal["attention", "similarity", "value"] = "attention"
    flow: Literal["weighted", "rollout"] = "weighted"
    consistency: Literal["paper", "relative"] = "paper"
    prior: Literal["parabola", "gaussian", "box", "atlas", "paper-gaussian", "paper-box"] = "atlas"
    laterality: Literal["patient", "paper"] = "patient"
    mentions: Literal["read", "printed"] = "read"
    text_emphasis: Literal["none", "lexicon"] = "none"
    scales: tuple[float, ...] = (1.0,)

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("attention", "gradient")
    passes: ClassVar[str] = "1 forward, 1 backward over the last 3 blocks"
    source: ClassVar[str] = "MATEX, arXiv:2601.11666, eq. 1-6"
    equation: ClassVar[str] = (
        "A = alpha A_grad + beta A_flow + gamma (C * A_grad) + delta (M * A_grad); A_grad_i = sum over the last "
        "blocks of ReLU(sum_h a_h[readout, i] (G_h . v_h,i)); A_flow = sum_l softmax_l(tau l) a_l[readout]; "
        "C = 1 / (1 + sd over blocks of a_l[readout]); M = 1 + (lambda_s - 1) prior"
    )
    errors: ClassVar[tuple[str, ...]] = (
        "Sides are printed mirrored, the patient's right on the picture's right. Here sides are the patient's.",
        "A_grad, tau and the text map have no formula or value. Here they are our reading, see docs/matex.md.",
        "Terms of different scale are added up, and a constant one is 0/0. Here gradient and flow are scaled "
        "to [0, 1] first, and a constant term becomes zero and is noted.",
        "Eq. 1 is called rollout and multiplies no matrices. Here it is the flow; flow='rollout' is the real one.",
        "C is nearly constant, 2/3 to 1 at most. It is kept; consistency='relative' has more range.",
        "The prior is a parabola that is zero at its region's edge, where effusions lie. The default prior is "
        "an atlas.",
        "Figure 2 has a box for multi-scale enhancement in the image and the text branch, without a formula. Off by "
        "default; scales=(1, .75, .5), those of MMEL, averages A_grad and A_flow over such a pyramid.",
        "Localisation is measured against boxes of the place that the prior is given. `delta=0` and the prior "
        "alone are its controls.",
    )

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "gamma", "delta", "temperature"):
            check(getattr(self, name) >= 0, name, "of 0 or more", getattr(self, name))
        check(self.prior_strength >= 1, "prior_strength", "of 1 or more", self.prior_strength)
        check(self.gradient_layers >= 1, "gradient_layers", "of 1 or more", self.gradient_layers)
        check_scales(self.scales)

    def ablation(self) -> Ablation | None:
        if self.prior_strength == 1 or not self.delta:
            return None
        description = "with a neutral prior: what its map owes to the model alone."
        return Ablation("no prior", {"prior_strength": 1.0}, description)

    def gradient_blocks(self, kind: str) -> int:
        return self.gradient_layers

    def weights(self) -> dict[str, float]:
        return {"gradient": self.alpha, "flow": self.beta, "consistency": self.gamma, "prior": self.delta}

    def components(self, trace: Trace) -> dict[str, Tensor]:
        """A_grad, A_flow, C * A_grad and M * A_grad, each [pair, rows, columns] or [pair, token]."""
        rows = [trace.attention_row(layer).mean(dim=1) for layer in range(trace.depth)]
        gradient = minmax(token_pyramid(trace, self._gradient(trace), self.scales), trace.content)
        flow = minmax(token_pyramid(trace, self._flow(trace, rows), self.scales), trace.content)
        stable = consistency(rows, relative=self.consistency == "relative")
        terms = {"gradient": gradient, "flow": flow, "consistency": stable * gradient}
        arranged = {name: trace.to_grid(term) for name, term in terms.items()}
        return {**arranged, "prior": self.spatial_weights(trace) * arranged["gradient"]}

    def __call__(self, trace: Trace) -> Tensor:
        return self.fuse(self.components(trace))

    def fuse(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of the terms, eq. 6, not scaled."""
        return torch.stack([weight * terms[name] for name, weight in self.weights().items()]).sum(dim=0)

    def spatial_priors(self, trace: Trace) -> list[SpatialPrior]:
        return trace.priors(self.prior, self.laterality, self.mentions == "printed") if trace.grid else []

    def spatial_weights(self, trace: Trace) -> Tensor:
        """M of eq. 5 on the patch grid [pair, rows, columns]; 1 without a phrase in words.

        On the text tower 1, or with `text_emphasis` the strength on words that name a place, [pair, token].
        """
        if trace.grid is None and self.text_emphasis == "lexicon":
            return 1 + (self.prior_strength - 1) * self._emphasis(trace)
        priors = self.spatial_priors(trace)
        if not priors:
            return torch.ones((), dtype=trace.target.dtype, device=trace.target.device)
        places = torch.stack([torch.from_numpy(prior.values) for prior in priors])
        return 1 + (self.prior_strength - 1) * places.to(trace.target)

    def _emphasis(self, trace: Trace) -> Tensor:
        """1 for tokens of words that name a place, 0 for others, [pair, token]."""
        named = torch.zeros_like(trace.content, dtype=trace.target.dtype)
        for pair, context in enumerate(trace.contexts):
            tokens = torch.from_numpy(context.emphasis(self.mentions == "printed"))[: named.shape[1]]
            named[pair, : len(tokens)] = tokens.to(named)
        return named

    def _gradient(self, trace: Trace) -> Tensor:
        """Value times gradient, weighted and cut at zero in each of the last blocks, summed, [pair, token]."""
        total = torch.zeros_like(trace.content, dtype=trace.target.dtype)
        for layer in range(max(0, trace.depth - self.gradient_layers), trace.depth):
            total = total + self._block_gradient(trace, layer).relu()
        return total

    def _block_gradient(self, trace: Trace, layer: int) -> Tensor:
        """Value times gradient in one block, signed, [pair, token]."""
        if self.gradient == "similarity":
            return reader_similarity(trace, layer, trace.content) * reader_value_gradient(trace, layer).sum(dim=1)
        if self.gradient == "value" or not trace.one_reader(layer):  # the same where all tokens are readers
            return value_times_gradient(trace.attention(layer), trace.gradient_rows(layer), trace.value(layer))
        return (trace.attention_row(layer) * reader_value_gradient(trace, layer)).sum(dim=1)

    def _flow(self, trace: Trace, rows: Sequence[Tensor]) -> Tensor:
        if self.flow == "weighted":
            return weighted_flow(rows, self.temperature)
        return reader_rollout(trace)


@METHODS("matex-paper")
@dataclass(frozen=True)
class MatexPaper(Matex):
    """MATEX with the paper's own prior and its printed laterality, which puts the patient's left on the image's left.

    Source:
        arXiv:2601.11666, eq. 1-6 as printed. What the paper leaves open (A_grad, tau, scaling) is as in METHODS 1.2.
    """

    beta: float = 0.2
    prior: Literal["parabola", "gaussian", "box", "atlas", "paper-gaussian", "paper-box"] = "parabola"
    laterality: Literal["patient", "paper"] = "paper"
    mentions: Literal["read", "printed"] = "printed"

    source: ClassVar[str] = "MATEX, arXiv:2601.11666, eq. 1-6 as printed"
    errors: ClassVar[tuple[str, ...]] = (
        "Kept as printed: mirrored sides, with a warning; the parabola as prior, read at patch centres.",
        "What the paper leaves open (A_grad, tau, scales, the text map) is our reading, as in `matex`.",
    )
