"""KernelSHAP: Shapley values of patches, superpixels or words, by weighted least squares over subsets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor

from matex.attribution.shared.ablation import all_subsets, patches, per_pair, score_subsets
from matex.attribution.shared.superpixels import superpixels
from matex.checks import check, check_seed
from matex.protocols import METHODS
from matex.trace import Trace

_EXACT = 10  # up to so many features every subset is run


def kernel(count: int, sizes: Tensor) -> Tensor:
    """Weight of a subset of each size, (F - 1) / (C(F, z) z (F - z)), [subset]; sizes between 1 and F - 1."""
    by_size = [0.0] + [(count - 1) / (math.comb(count, z) * z * (count - z)) for z in range(1, count)]
    return torch.tensor(by_size, dtype=torch.float64)[sizes]


def draw(count: int, samples: int, seed: int) -> Tensor:
    """Subsets whose sizes follow the kernel, each followed by its complement, bool [sample, count].

    Drawn like this they are weighed equally in the least squares.
    """
    generator = torch.Generator().manual_seed(seed)
    size = torch.arange(1, count, dtype=torch.float64)
    half = -(-samples // 2)
    sizes = torch.multinomial(1 / (size * (count - size)), half, replacement=True, generator=generator) + 1
    order = torch.rand(half, count, generator=generator, dtype=torch.float64).argsort(dim=1)
    kept = order.argsort(dim=1) < sizes[:, None]
    return torch.stack([kept, ~kept], dim=1).flatten(0, 1)[:samples]


def shapley(kept: Tensor, weight: Tensor, gain: Tensor, total: Tensor) -> Tensor:
    """Values of features that add up to `total` and, within subsets, come closest to their gains.

    Args:
        kept: bool [subset, feature].
        weight: of each subset, [subset].
        gain: score of each subset minus that of the empty one, [subset, target].
        total: gain of the full set, [target].

    Returns:
        float64 [target, feature]; of least norm where the subsets leave a choice.
    """
    count = kept.shape[1]
    mask = kept.to(torch.float64)
    even = total.double() / count
    if not len(kept):
        return even.expand(count, -1).T
    left = gain.double() - mask.sum(1, keepdim=True) * even
    # What is left adds up to zero: rows are projected onto that plane, where the least-norm answer lies.
    plane = mask - mask.mean(1, keepdim=True)
    root = weight.double().sqrt()[:, None]
    solution = cast(Tensor, torch.linalg.lstsq(root * plane, root * left, driver="gelsd").solution)
    return (solution + even).T


@METHODS("kernel-shap")
@dataclass(frozen=True)
class KernelShap:
    """Shapley values of patches, superpixels or words; they add up to the score minus that of everything removed.

    Args:
        features: of the image: the model's "patches", or "superpixels", pieces that follow the film's own edges (needs
            scikit-image). Every pixel of a superpixel carries the value of the whole, so that the map has pixels.
        segments: about how many superpixels; some are joined to their neighbours.
        samples: subsets run besides the empty and the full one; all there are when that is not more, and always up to
            10 features, which is exact.
        seed: of the subsets.
        batch_size: subsets run at once.
        progress: show a bar.

    Source:
        "A Unified Approach to Interpreting Model Predictions", arXiv:1705.07874, theorem 2; METHODS 10. The empty and
        the full subset hold exactly, not by a large weight as in captum; subsets are drawn with their complements, as
        in "Improving KernelSHAP", arXiv:2012.01536. Removed pixels take the mean colour, removed words leave the
        phrase. Superpixels are SLIC's, found on the pixels that the model is given.
    """

    features: Literal["patches", "superpixels"] = "patches"
    segments: int = 50
    samples: int = 2048
    seed: int = 0
    batch_size: int = 64
    progress: bool = False

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("black box",)
    passes: ClassVar[str] = "1 forward, then 1 per subset (2048); all subsets up to 10 features"
    source: ClassVar[str] = "Lundberg and Lee, arXiv:1705.07874, theorem 2"
    equation: ClassVar[str] = (
        "A = argmin over phi of sum_z k(z) (S(z) - S(empty) - sum_i z_i phi_i)^2 with sum phi = S(x) - S(empty), "
        "k(z) = (F - 1) / (C(F, |z|) |z| (F - |z|))"
    )
    errors: ClassVar[tuple[str, ...]] = (
        "Papers that compare with it state neither features nor samples nor what removal means. Patches (or "
        "superpixels) and words, 2048, mean colour or left out.",
        "Captum holds the two ends with a large weight. Here they hold exactly.",
    )
    draws: ClassVar[str] = "the subsets; nothing up to 10 features"

    def __post_init__(self) -> None:
        check(self.segments >= 1, "segments", "of 1 or more", self.segments)
        check(self.samples >= 1, "samples", "of 1 or more", self.samples)
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)
        check_seed(self.seed)

    def gradient_blocks(self, kind: str) -> int:
        return 0

    def __call__(self, trace: Trace) -> Tensor:
        by_pixel = trace.grid is not None and self.features == "superpixels"
        one = self._superpixels if by_pixel else self._tokens
        values = per_pair(trace, [one(trace, item) for item in range(len(trace.inputs))])
        return values if by_pixel else trace.to_grid(values)

    def _superpixels(self, trace: Trace, item: int) -> Tensor:
        """[pairs of the item, height, width]"""
        inputs = trace.inputs[item : item + 1]
        segments = superpixels(inputs[0], self.segments)
        return self._values(trace, item, int(segments.max()) + 1, segments)[:, segments]

    def _tokens(self, trace: Trace, item: int) -> Tensor:
        """[pairs of the item, token]; zero for special tokens, which are never removed."""
        inputs = trace.inputs[item : item + 1]
        content = trace.tower.axis(inputs).content[0]
        segments = None
        if trace.grid is not None:
            size = (inputs.shape[-2], inputs.shape[-1])
            segments = patches(trace.grid, trace.patch, size, trace.overlap).to(inputs.device)
        known = self._values(trace, item, int(content.sum()), segments)
        values = known.new_zeros(len(known), len(content))
        values[:, content] = known
        return values

    def _values(self, trace: Trace, item: int, count: int, segments: Tensor | None = None) -> Tensor:
        """Shapley values of the features of one input, [pairs of the item, feature]."""
        if not count:
            return trace.target.new_zeros(int((trace.item == item).sum()), 0)
        if count <= _EXACT or 2**count - 2 <= self.samples:
            inner = all_subsets(count)[1:-1]
            weight = kernel(count, inner.sum(1))
        else:
            inner = draw(count, self.samples, self.seed)
            weight = torch.ones(len(inner))
        ends = torch.tensor([[False], [True]]).expand(2, count)
        scores = score_subsets(
            lambda some: trace.scores(some, item),
            trace.tower,
            trace.inputs[item : item + 1],
            torch.cat([ends, inner]),
            batch_size=self.batch_size,
            progress=self.progress,
            segments=segments,
        )
        gain = (scores - scores[:1]).cpu()
        return shapley(inner, weight, gain[2:], gain[1]).to(trace.target)
