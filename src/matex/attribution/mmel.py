"""MMEL: Grad-ECLIP times a gate by each token's similarity to the others, at several scales."""

# torch's stubs leave unflatten, split and tolist untyped, and its functions are passed as values here.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.adapters.encoder import Resizable
from matex.attribution.grad_eclip import GradEclip
from matex.attribution.shared.minmax import minmax
from matex.attribution.shared.pyramid import check_scales, coarser, restored
from matex.attribution.shared.retention import retained_scores
from matex.checks import check, check_seed
from matex.errors import UnsupportedModel
from matex.protocols import METHODS, Ablation
from matex.trace import Trace


def untrained_transform(dim: int, seed: int) -> Callable[[Tensor], Tensor]:
    """T(x) = LN(W2 ReLU(W1 x)) (eq. 3-4) with torch's default initial weights, drawn in float32; never trained."""
    generator = torch.Generator().manual_seed(seed)
    drawn: list[tuple[Tensor, Tensor]] = []
    for inward, outward in ((dim, 2 * dim), (2 * dim, dim)):
        bound = 1 / math.sqrt(inward)
        weight = torch.empty(outward, inward).uniform_(-bound, bound, generator=generator)
        drawn.append((weight, torch.empty(outward).uniform_(-bound, bound, generator=generator)))

    def transform(tokens: Tensor) -> Tensor:
        (w1, b1), (w2, b2) = ((weight.to(tokens), bias.to(tokens)) for weight, bias in drawn)
        return F.layer_norm(F.linear(F.linear(tokens, w1, b1).relu(), w2, b2), (dim,))

    return transform


def resemblance(tokens: Tensor, scale: float, weight: Tensor | None) -> Tensor:
    """Similarity of each token to the others of its block at a coarser scale.

    Args:
        tokens: [block, rows, columns, dim] or [block, token, dim].
        scale: size of the pooled grid, in (0, 1] of the tokens' own.
        weight: importance of each token, [rows, columns] or [token]; the similarity to important cells counts more.
            None counts alike.

    Returns:
        Mean cosine of each pooled cell and the other cells, carried back to the tokens, [block, ...].
    """
    shape = tokens.shape[1:-1]
    pooled = coarser(tokens.movedim(-1, 1), scale)
    cells = F.normalize(pooled.flatten(2), dim=1)  # [block, dim, cell]
    among = torch.ones_like(cells[0, 0]) if weight is None else coarser(weight[None, None], scale).flatten()
    # The sum over the other cells is the sum over all less the cell itself, so no cell x cell matrix is built.
    others = ((cells @ among)[:, None] @ cells)[:, 0] - among * cells.square().sum(dim=1)
    total = among.sum() - among
    level = torch.where(total > 0, others / total.where(total > 0, 1.0), 0.0)
    return restored(torch.unflatten(level, 1, pooled.shape[2:])[:, None], shape)[:, 0]


@METHODS("mmel")
@dataclass(frozen=True)
class Mmel:
    """Grad-ECLIP, raised where tokens resemble the others at several scales: E_base (1 + alpha sigmoid(level)).

    Args:
        mode: "spatial" pools the queries to each scale, compares them there and standardises the level over patches.
            "paper" is the printed formula: its transform is drawn at random from `seed` and never trained, its scales
            cancel and its gate is nearly constant. "off" is Grad-ECLIP.
        alpha: strength of the gate; 0 is Grad-ECLIP.
        scales: of the token grid, in (0, 1].
        temperature: divides the level.
        layers: how many of the last blocks Grad-ECLIP sums, all where the tower has fewer; None as there.
        semantic_layers: how many of the last blocks the level sums, all where the tower has fewer; None for all.
        theta: weight of each of these blocks before softplus; one number serves all.
        semantic: what is compared in the level: "query", "key" and "value" of each token, whose levels are averaged.
        similarity: of Grad-ECLIP's weights: to the query of the "readout" token, to those of all "content" tokens, or
            the mean of "both", the class-token and patch-token similarities of section 3.5.
        pyramid: "tokens" takes the scales on the token grid. "input" runs the image itself at each scale, in whole
            patches and with interpolated position embeddings (the resolution levels of section 3.4), with the level of
            scale 1 in each run; the maps are divided by their mean, interpolated to the grid and averaged. Words have
            no resolution and are read with "tokens".
        choice: of the scales: "all" together, or "adaptive", the one whose map retains most: the image is scored with
            the best quarter of the patches of each scale's map alone. The paper names this as future work. Words are
            read with all scales.
        relation: "others" compares a cell with all others, "to-salient" with those that E_base finds important
            ("spatial" only).
        contrast: with a number, the map is scaled to [0, 1] and raised to 1 / contrast (the paper's beta, whose use it
            does not print); None leaves the raw values.
        seed: of the random transform ("paper" only).

    Source:
        "MMEL", arXiv:2509.15243, eq. 1-9; METHODS 2. The paper has no code, its SemanticLevel is not defined, and it
        has text numbers but no text formula: our reading. On the text tower words take the place of patches in one
        dimension, and special tokens have the neutral level 0. On four bundled films with the bundled model, "paper"
        correlates with Grad-ECLIP at 0.9999 or more (its gate spans 2.36 to 2.50), "spatial" at 0.983 to 0.996 (1.12
        to 2.59).
    """

    mode: Literal["spatial", "paper", "off"] = "spatial"
    alpha: float = 2.0
    scales: tuple[float, ...] = (1.0, 0.75, 0.5)
    temperature: float = 1.0
    layers: int | None = None
    semantic_layers: int | None = None
    theta: float | tuple[float, ...] = 1.0
    semantic: tuple[Literal["query", "key", "value"], ...] = ("query",)
    similarity: Literal["readout", "content", "both"] = "readout"
    pyramid: Literal["tokens", "input"] = "tokens"
    choice: Literal["all", "adaptive"] = "all"
    relation: Literal["others", "to-salient"] = "others"
    contrast: float | None = None
    seed: int = 0

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("attention", "gradient")
    passes: ClassVar[str] = "1 forward, 1 backward over the last block (8 on the text)"
    source: ClassVar[str] = "MMEL, arXiv:2509.15243, eq. 1-9"
    equation: ClassVar[str] = (
        "E_i = E_base,i (1 + alpha sigmoid(level_i / temperature)); level_i = sum over blocks and scales of "
        "softplus(theta) times the mean cosine of q_i and the other queries at that scale"
    )
    errors: ClassVar[tuple[str, ...]] = (
        "The transform called learned is never trained: random weights enter the map. `mode='paper'` keeps "
        "it, seeded, and the record says so; the default has no transform.",
        "Its scales cancel in the cosine and its gate is nearly constant, so the printed map is Grad-ECLIP's: on "
        "real queries the levels of two seeds correlate at .93 to .98 (`tiny`) and .99 (a random ViT-B/32), and their "
        "maps with each other and with Grad-ECLIP's at .999 or more. The default pools to real scales and "
        "standardises the level.",
        "SemanticLevel, temperature, beta and the text form are not defined. Our reading; semantic= compares keys and "
        "values too.",
        "Section 3.5 combines class-token and patch-token similarities without a formula. similarity='both' is their "
        "mean; the default is Grad-ECLIP's.",
        "Three resolution levels are named where tokens are scaled by a number. pyramid='input' runs the image at "
        "three resolutions.",
        "Numbers in its text contradict its tables. Neither is a target here.",
    )
    draws: ClassVar[str] = "the untrained transform of mode='paper'; nothing in the other modes"

    def __post_init__(self) -> None:
        check(self.alpha >= 0, "alpha", "of 0 or more", self.alpha)
        check_scales(self.scales)
        check(self.temperature > 0, "temperature", "above 0", self.temperature)
        check(self.layers is None or self.layers >= 1, "layers", "of 1 or more", self.layers)
        check(
            self.semantic_layers is None or self.semantic_layers >= 1,
            "semantic_layers",
            "of 1 or more",
            self.semantic_layers,
        )
        check(len(set(self.semantic)) == len(self.semantic) > 0, "semantic", "to name each part once", self.semantic)
        check(self.contrast is None or self.contrast > 0, "contrast", "above 0", self.contrast)
        check_seed(self.seed)

    @property
    def stochastic(self) -> bool:
        return self.mode == "paper"

    def ablation(self) -> Ablation | None:
        if self.mode == "off":
            return None
        return Ablation("off", {"mode": "off"}, "without its gate, which is Grad-ECLIP.")

    def gradient_blocks(self, kind: str) -> int:
        return GradEclip(self.layers).gradient_blocks(kind)

    def __call__(self, trace: Trace) -> Tensor:
        if trace.grid is None:
            raised = self._raised(trace, self.scales)
        elif self.choice == "adaptive":
            maps, chosen = self._at_scales(trace), self._chosen(trace)
            raised = torch.stack([maps[scale][pair] for pair, scale in enumerate(chosen)])
        elif self.pyramid == "input":
            raised = torch.stack(list(self._at_scales(trace).values())).mean(dim=0)
        else:
            raised = self._raised(trace, self.scales)
        if self.contrast is None:
            return raised
        among = None if trace.grid else trace.content
        flat = raised.flatten(1)
        return (minmax(flat, among).clamp(min=0) ** (1 / self.contrast)).reshape(raised.shape)

    def _at_scales(self, trace: Trace) -> dict[float, Tensor]:
        """The map of each scale by itself, [pair, rows, columns]; computed once per trace."""
        at_one = self._at_input_scale if self.pyramid == "input" else lambda trace, scale: self._raised(trace, (scale,))
        return trace.memo(("scales", self), lambda: {scale: at_one(trace, scale) for scale in self.scales})

    def _at_input_scale(self, trace: Trace, scale: float) -> Tensor:
        """The map of the image at another resolution, divided by its mean and carried to the grid."""
        if not isinstance(trace.tower, Resizable):
            raise UnsupportedModel(
                "Expected an image encoder with position embeddings that can be interpolated for pyramid='input' "
                "(CLIP, SigLIP), got another. Use pyramid='tokens'."
            )
        assert trace.grid is not None
        size = [math.ceil(scale * side) * length for side, length in zip(trace.grid, trace.tower.patch, strict=True)]
        pixels = F.interpolate(trace.inputs, size, mode="bilinear", antialias=True, align_corners=False)
        found = self._raised(trace.with_inputs(pixels, self.gradient_blocks("image")), (1.0,))
        mean = found.mean(dim=(1, 2), keepdim=True)
        return restored((found / mean.where(mean != 0, 1.0))[:, None], trace.grid)[:, 0]

    def _chosen(self, trace: Trace) -> list[float]:
        """The scale whose map retains the highest score, of each pair; the first of equal ones."""
        scores = retained_scores(trace, list(self._at_scales(trace).values()))
        return [list(self._at_scales(trace))[best] for best in scores.argmax(dim=0).tolist()]

    def _raised(self, trace: Trace, scales: tuple[float, ...]) -> Tensor:
        """Eq. 9 with the level of these scales, before the contrast."""
        base = GradEclip(self.layers, similarity=self.similarity)(trace)
        if self.mode == "off" or self.alpha == 0:
            return base
        level = torch.zeros_like(trace.content, dtype=base.dtype)
        for pair, content in enumerate(trace.content):
            if content.any():
                shape = trace.grid or (int(content.sum()),)
                seen = base[pair] if trace.grid else base[pair][content]
                parts = [self._tokens(trace, part, pair, content, shape) for part in self.semantic]
                level[pair, content] = self._level(parts, seen, scales).flatten()
        return base * (1 + self.alpha * trace.to_grid(level).sigmoid())

    def report(self, trace: Trace) -> list[dict[str, float | None]]:
        """Whether random weights that nobody trained entered the map, and the scale that was chosen, per pair."""
        untrained = self.mode == "paper" and self.alpha > 0
        rows: list[dict[str, float | None]] = [{"untrained_transform": untrained} for _ in trace.item]
        if self.choice == "adaptive" and trace.grid:
            return [{**row, "scale": scale} for row, scale in zip(rows, self._chosen(trace), strict=True)]
        return rows

    def _tokens(self, trace: Trace, part: str, pair: int, content: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Queries, keys or values of the content tokens over all heads, of the level's blocks, [block, *shape, dim]."""
        blocks = trace.depth - trace.pooling_head  # a pooling head's one query is no token's
        first = max(0, blocks - (self.semantic_layers or blocks))
        of = {"query": trace.queries, "key": trace.key, "value": trace.value}[part]
        heads = torch.stack([of(layer)[pair] for layer in range(first, blocks)])
        return torch.unflatten(heads.transpose(1, 2).flatten(2)[:, content], 1, shape)

    def _level(self, parts: Sequence[Tensor], base: Tensor, scales: tuple[float, ...]) -> Tensor:
        """The argument of the sigmoid of eq. 9, shaped as the tokens.

        Args:
            parts: what is compared, each [block, ..., dim].
            base: E_base of these tokens.
            scales: whose levels are added up.
        """
        blocks, dim = len(parts[0]), parts[0].shape[-1]
        theta = self.theta if isinstance(self.theta, tuple) else (self.theta,) * blocks
        check(len(theta) == blocks, "theta", f"to be one number or {blocks}, one per block", self.theta)
        weights = F.softplus(torch.tensor(theta, dtype=torch.float64)).to(base)
        transform = untrained_transform(dim, self.seed) if self.mode == "paper" else None
        salient = base if self.relation == "to-salient" else None
        level = torch.zeros_like(base)
        for scale, tokens in itertools.product(scales, parts):
            if transform is None:
                near = resemblance(tokens, scale, salient)
            else:  # eq. 5-7: the mean over j of A_ij, without the matrix A
                flat = F.normalize(transform(scale * tokens).flatten(1, -2), dim=-1)  # [block, token, dim]
                near = (flat @ flat.mean(dim=1)[..., None] / flat.shape[-1] ** 0.5).reshape(len(flat), *base.shape)
            level = level + torch.einsum("b,b...->...", weights, near) / len(parts)
        if self.mode == "spatial":  # standardised, or the sigmoid would hardly move
            spread = level.std(correction=0)
            level = (level - level.mean()) / spread if spread > 1e-12 else torch.zeros_like(level)
        return level / self.temperature


@METHODS("mmel-paper")
@dataclass(frozen=True)
class MmelPaper(Mmel):
    """MMEL as printed: the untrained transform, temperature .1, and the map raised to 1 / 2 for its beta of 2.

    Source:
        arXiv:2509.15243, eq. 1-9 with alpha 2, temperature 0.1 and beta 2; METHODS 23. The paper has no formula for
        temperature and beta: here the temperature divides the level and beta is `contrast`.
    """

    mode: Literal["spatial", "paper", "off"] = "paper"
    temperature: float = 0.1
    contrast: float | None = 2.0

    source: ClassVar[str] = "MMEL, arXiv:2509.15243, eq. 1-9 as printed"
    errors: ClassVar[tuple[str, ...]] = (
        "Kept as printed: a transform called learned that is random and never trained, scales that cancel.",
        "The temperature saturates the gate at nearly 3, so that the map before beta is Grad-ECLIP's; beta changes "
        "its values monotonically.",
    )
