"""Embedding-space XAI: attribute each coordinate of the embedding, weighed with the other side's embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor

from matex.attribution.gradient import Gradient, per_pair
from matex.attribution.gradient_shap import GradientShap
from matex.attribution.integrated_gradients import IntegratedGradients
from matex.attribution.method import METHODS, check
from matex.attribution.occlusion import Occlusion
from matex.attribution.scoring import questions
from matex.trace import Trace

_AT_ONCE = 64  # coordinates per run of a gradient operator; bounds the memory of their maps


class Operator(Protocol):
    """An attribution of any linear question about the embedding."""

    def elements(self, trace: Trace, asked: Tensor, unit: bool = True) -> Tensor:
        """Answers to questions [question, item, joint], [question, item, ...]; channels or dimensions still apart."""
        ...


@METHODS("embedding-space")
@dataclass(frozen=True)
class EmbeddingSpace:
    """Attributions of every coordinate of the embedding, weighed by the other side's embedding and added up.

    With signed attributions this is the operator applied to the score itself, since every operator here is linear in
    what it explains: one backward instead of one per coordinate, and the same map as the plain method. It differs where
    absolute values are taken per coordinate, as captum's Saliency does by default.

    Args:
        operator: "gradient", "integrated-gradients", "gradient-shap" or "occlusion", with their own defaults.
        per_dimension: "signed", or "absolute" for the absolute attribution of each coordinate and channel.
        embed: explain the "normalized" embedding, whose product with the text's is the score, or the "raw" projection.
        seed: of gradient-shap.
        batch_size: inputs run at once by operators that run many.
        progress: show a bar.

    Source:
        "Embedding-space XAI" on MedCLIP; METHODS 3. Its constant temperature is left out. The maps of all coordinates
        are worked out once per image, however many phrases are asked about it.
    """

    operator: Literal["gradient", "integrated-gradients", "gradient-shap", "occlusion"] = "gradient"
    per_dimension: Literal["signed", "absolute"] = "signed"
    embed: Literal["normalized", "raw"] = "normalized"
    seed: int = 0
    batch_size: int = 32
    progress: bool = False

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    source: ClassVar[str] = "embedding-space XAI on MedCLIP"

    def __post_init__(self) -> None:
        for name, known in (
            ("operator", ("gradient", "integrated-gradients", "gradient-shap", "occlusion")),
            ("per_dimension", ("signed", "absolute")),
            ("embed", ("normalized", "raw")),
        ):
            value = getattr(self, name)
            check(value in known, name, f"to be one of {', '.join(known)}", value)
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)

    def gradient_blocks(self, kind: str) -> int:
        return 0

    def __call__(self, trace: Trace) -> Tensor:
        asked, turn = questions(trace)
        if self.per_dimension == "signed":
            return per_pair(trace, self._places(trace, self._elements(trace, asked)), turn)
        joint, items = asked.shape[-1], asked.shape[1]
        at_once = joint if self.operator == "occlusion" else _AT_ONCE
        total: Tensor | None = None
        for some in torch.arange(joint, device=asked.device).split(at_once):
            coordinates = torch.eye(joint, device=asked.device, dtype=asked.dtype)[some]
            elements = self._elements(trace, coordinates[:, None].expand(-1, items, -1))
            maps = self._places(trace, elements.abs())
            part = torch.einsum("qid,di...->qi...", asked[..., some].to(maps), maps)
            total = part if total is None else total + part
        assert total is not None
        return per_pair(trace, total, turn)

    def _elements(self, trace: Trace, asked: Tensor) -> Tensor:
        return self._operator().elements(trace, asked, self.embed == "normalized")

    def _operator(self) -> Operator:
        match self.operator:
            case "gradient":
                return Gradient()
            case "integrated-gradients":
                return IntegratedGradients(batch_size=self.batch_size, progress=self.progress)
            case "gradient-shap":
                return GradientShap(seed=self.seed, batch_size=self.batch_size, progress=self.progress)
            case "occlusion":
                return Occlusion(batch_size=self.batch_size, progress=self.progress)

    def _places(self, trace: Trace, elements: Tensor) -> Tensor:
        """Channels or embedding dimensions added up; occlusion has none."""
        if self.operator == "occlusion":
            return elements
        return elements.sum(-3 if trace.tower.kind == "image" else -1)
