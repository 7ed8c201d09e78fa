"""Stability of maps under changes of the film without diagnostic meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from matex.adapters.model import Model
from matex.checks import check, check_seed
from matex.errors import InputError
from matex.metrics.embedding import model_of
from matex.metrics.metric import METRICS, Case, Columns, Direction, Need
from matex.metrics.reexplain import explain_again, original
from matex.metrics.sample_rng import generator_of
from matex.metrics.similarity import spearman

KINDS = ("shift", "brightness", "noise")


@METRICS("stability")
@dataclass(frozen=True)
class Stability:
    """Rank correlation of the map with those of slightly changed images, mapped back; 1 is steady.

    `stability_shift` is the mean over four shifts, `stability_brightness` over a darker and a brighter image,
    `stability_noise` over two samples of noise, and `stability` the mean of the three. NaN where a map is constant.

    Args:
        shift: by this share of the image's shorter side to each of four directions; the border is repeated.
        brightness: distance from black is multiplied by 1 - brightness and 1 + brightness.
        noise: standard deviation of the Gaussian noise, share of the range from black to white.
        seed: of the noise, which depends on it and on the sample's id alone.
        batch_size: images explained at once.

    Source:
        In the manner of "On the Robustness of Interpretability Methods", arXiv:1806.08049; the changes are our choice,
        applied to the pixels that the model sees. The spatial prior stays where it was.
    """

    shift: float = 0.02
    brightness: float = 0.1
    noise: float = 0.02
    seed: int = 0
    batch_size: int = 16

    needs: ClassVar[tuple[Need, ...]] = ("image",)
    dataset_level: ClassVar[bool] = False
    explains_again: ClassVar[bool] = True
    better: ClassVar[Mapping[str, Direction]] = {
        "stability": "higher",
        **{f"stability_{kind}": "higher" for kind in KINDS},
    }
    source: ClassVar[str] = "arXiv:1806.08049"

    def __post_init__(self) -> None:
        check(0 < self.shift < 0.5, "shift", "above 0 and below 0.5", self.shift)
        check(0 < self.brightness < 1, "brightness", "above 0 and below 1", self.brightness)
        check(0 < self.noise < 1, "noise", "above 0 and below 1", self.noise)
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)
        check_seed(self.seed)

    def __call__(self, cases: Sequence[Case]) -> Columns:
        columns = {name: np.full(len(cases), np.nan) for name in self.better}
        if not cases:
            return columns
        model, originals = model_of(cases), original(cases).values
        for number, case in enumerate(cases):
            changes = list(self._changes(model, case))
            pixels = torch.stack([image for _, image, _ in changes])
            maps = explain_again(model, [case] * len(changes), pixels, self.batch_size).values
            each: dict[str, list[float]] = {kind: [] for kind in KINDS}
            for (kind, _, moved), values in zip(changes, maps, strict=True):
                before, after = common(originals[number].to(values), values, moved)
                each[kind].append(float(spearman(before[None], after[None])))
            for kind in KINDS:
                columns[f"stability_{kind}"][number] = np.mean(each[kind])
            columns["stability"][number] = np.mean([np.mean(each[kind]) for kind in KINDS])
        return columns

    def _changes(self, model: Model, case: Case) -> Iterator[tuple[str, Tensor, tuple[int, int]]]:
        """(kind, changed pixels, shift of the content down and to the right)."""
        pixels = case.pixels
        step = max(1, round(self.shift * min(pixels.shape[-2:])))
        for moved in ((step, 0), (-step, 0), (0, step), (0, -step)):
            yield "shift", shifted(pixels, *moved), moved
        levels = None if model.preprocessing is None else model.preprocessing.levels
        if levels is None:
            raise InputError("Expected images for stability, got inputs without black and white. Leave the metric out.")
        low, high = (level[:, None, None].to(pixels) for level in levels)
        for factor in (1 - self.brightness, 1 + self.brightness):
            yield "brightness", torch.clamp(low + factor * (pixels - low), low, high), (0, 0)
        generator = generator_of(case, self.seed)
        for _ in range(2):
            noise = torch.randn(pixels.shape[-2:], generator=generator).to(pixels)  # grey, as films are
            yield "noise", torch.clamp(pixels + self.noise * (high - low) * noise, low, high), (0, 0)


def shifted(pixels: Tensor, down: int, right: int) -> Tensor:
    """Shift the content of [channel, height, width]; uncovered pixels repeat the border."""
    edges = (max(right, 0), max(-right, 0), max(down, 0), max(-down, 0))
    height, width = pixels.shape[-2:]
    padded = F.pad(pixels[None], edges, mode="replicate")[0]
    return padded[:, max(-down, 0) :, max(-right, 0) :][:, :height, :width]


def common(before: Tensor, after: Tensor, moved: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Crop two maps [height, width] to their common content, which moved down and right by `moved` pixels."""
    height, width = before.shape
    down, right = moved
    rows, columns = slice(max(0, -down), height - max(0, down)), slice(max(0, -right), width - max(0, right))
    moved_rows = slice(max(0, down), height - max(0, -down))
    moved_columns = slice(max(0, right), width - max(0, -right))
    return before[rows, columns], after[moved_rows, moved_columns]
