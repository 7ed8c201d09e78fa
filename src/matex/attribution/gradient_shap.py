"""GradientSHAP: gradients at random places between baselines and the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from matex.attribution.gradient import add_up, per_pair
from matex.attribution.method import METHODS, check, check_seed
from matex.attribution.path import Baseline, along, starts
from matex.attribution.scoring import questions
from matex.trace import Trace


@METHODS("gradient-shap")
@dataclass(frozen=True)
class GradientShap:
    """Gradient at random places between baseline and input, times the way; expected sum: the change of score.

    Args:
        samples: places drawn.
        baseline: as of `integrated-gradients`; "noise" is drawn anew for every place.
        seed: of places and noise.
        batch_size: points run at once.
        progress: show a bar.

    Source:
        "A Unified Approach to Interpreting Model Predictions", arXiv:1705.07874, as expected gradients; METHODS 8.
        Captum draws 5 samples and lets noise be added to the input; here 50 and no noise on the input.
    """

    samples: int = 50
    baseline: Baseline = "mean"
    seed: int = 0
    batch_size: int = 8
    progress: bool = False

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("gradient",)
    passes: ClassVar[str] = "1 forward, then 1 forward and 1 backward per sample (50)"
    source: ClassVar[str] = "Lundberg and Lee, arXiv:1705.07874, as expected gradients"
    equation: ClassVar[str] = (
        "A = mean over samples of (x - x') * dS/dx at x' + u (x - x'), u uniform in [0, 1], summed over channels"
    )
    errors: ClassVar[tuple[str, ...]] = ("Captum's default of 5 samples is noise. Here 50.",)
    draws: ClassVar[str] = "places on the way, and the baseline 'noise'"

    def __post_init__(self) -> None:
        check(self.samples >= 1, "samples", "of 1 or more", self.samples)
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)
        check_seed(self.seed)

    def gradient_blocks(self, kind: str) -> int:
        return 0

    def elements(self, trace: Trace, asked: Tensor, unit: bool = True) -> Tensor:
        """Answers to questions [question, item, joint] before channels are added up, [question, item, ...]."""
        generator = torch.Generator().manual_seed(self.seed)
        position = torch.rand(self.samples, generator=generator, dtype=torch.float64)
        weight = torch.full_like(position, 1 / self.samples)
        begin = starts(trace, self.baseline, self.seed + 1, self.samples)
        return along(trace, asked, begin, position, weight, unit, self.batch_size, self.progress)

    def __call__(self, trace: Trace) -> Tensor:
        asked, turn = questions(trace)
        return per_pair(trace, add_up(trace, self.elements(trace, asked)), turn)
