"""GradientSHAP: gradients at stratified random positions between baselines and the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from matex.attribution.gradient import add_up, raw
from matex.attribution.shared.input_gradients import stack_targets
from matex.attribution.shared.path_integral import Baseline, Begin, along, completeness, starts
from matex.checks import check, check_seed
from matex.protocols import METHODS
from matex.trace import Trace


def stratified(samples: int, seed: int) -> Tensor:
    """Positions on a path from 0 to 1, one uniform draw in each of `samples` equal intervals, float64 [sample].

    Their mean of any function is unbiased, as that of independent uniform draws, with a smaller variance.
    """
    generator = torch.Generator().manual_seed(seed)
    offset = torch.rand(samples, generator=generator, dtype=torch.float64)
    return (torch.arange(samples, dtype=torch.float64) + offset) / samples


@METHODS("gradient-shap")
@dataclass(frozen=True)
class GradientShap:
    """Gradient at random positions between baseline and input, times the difference; expected sum: the change of score.

    Args:
        samples: positions, one drawn in each of as many equal intervals of the path.
        baseline: as of `integrated-gradients`; "noise" is drawn anew for every position.
        seed: of positions and noise.
        batch_size: points run at once.
        progress: show a bar.

    Source:
        "A Unified Approach to Interpreting Model Predictions", arXiv:1705.07874, as expected gradients; METHODS 8.
        Captum draws 5 samples and lets noise be added to the input; here 50 and no noise on the input. Positions are
        stratified, not independent: the expectation is the same, the spread over seeds a tenth (see `errors`).
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
        "A = mean over samples k = 1..K of (x - x') * dS/dx at x' + u_k (x - x'), u_k uniform in [(k - 1) / K, k / K], "
        "summed over channels"
    )
    errors: ClassVar[tuple[str, ...]] = (
        "Captum's default of 5 samples is noise. Here 50.",
        "Independent positions leave the sum far from the change of score. They are stratified here. Measured with "
        "`tiny` on 8 bundled films with 4 seeds and 50 samples, stratified instead of independent: the sum of the "
        "image map misses the change of score by 3.0 % instead of 26.5 % in the median (at most 14 instead of 165 %), "
        "its standard deviation over seeds is 0.009 instead of 0.076, and maps of two seeds correlate at least 0.9989 "
        "instead of 0.92. On the words the sum misses by 1.4 instead of 23.9 %. With the baseline 'noise' the noise "
        "dominates: the sum gains nothing, correlations of seeds rise from 0.81 to 0.88 (1 film).",
        "The sum equals the change of score in expectation only. The completeness error of every map is in "
        "provenance['report'], and in the notes of the explanation above 5 % (10 of those 32 image maps).",
    )
    draws: ClassVar[str] = "positions on the path, and the baseline 'noise'"

    def __post_init__(self) -> None:
        check(self.samples >= 1, "samples", "of 1 or more", self.samples)
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)
        check_seed(self.seed)

    def gradient_blocks(self, kind: str) -> int:
        return 0

    def elements(self, trace: Trace, targets: Tensor, unit: bool = True) -> Tensor:
        """Attributions for targets [target, item, joint] before channels are added up, [target, item, ...]."""
        position = stratified(self.samples, self.seed)
        weight = torch.full_like(position, 1 / self.samples)
        return along(trace, targets, self.begin(trace), position, weight, unit, self.batch_size, self.progress)

    def begin(self, trace: Trace) -> Begin:
        """Starting points of the paths, one per sample where they are noise."""
        return starts(trace, self.baseline, self.seed + 1, self.samples)

    def __call__(self, trace: Trace) -> Tensor:
        return raw(trace, self._values(trace))

    def report(self, trace: Trace) -> list[dict[str, float | None]]:
        """The completeness error of each map, see `completeness`."""
        return completeness(trace, self._values(trace), trace.target, self.begin(trace), batch_size=self.batch_size)

    def _values(self, trace: Trace) -> Tensor:
        """Attributions [pair, height, width] or [pair, token], computed once per trace."""
        targets, backward = stack_targets(trace)
        return trace.memo(("values", self), lambda: add_up(trace, self.elements(trace, targets))[backward, trace.item])
