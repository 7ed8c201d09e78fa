"""Infidelity and maximum sensitivity, as Captum computes them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from matex.checks import check, check_seed
from matex.errors import MissingExtra
from matex.metrics.embedding import model_of
from matex.metrics.metric import METRICS, Case, Columns, Direction, Need
from matex.metrics.reexplain import explain_again
from matex.metrics.sample_rng import generator_of
from matex.scores import phrase_scorer


@METRICS("infidelity")
@dataclass(frozen=True)
class Infidelity:
    """Error of the map's sum inside a square as a prediction of the drop in score when the square is removed.

    `infidelity` is the mean squared error over random squares, in squared hundredths of cosine. Removed pixels become
    the mean colour. Maps have no unit of their own, so each is first scaled by the one factor that suits it best, which
    may be below 0: a map and its negative are equally good here. NaN for constant maps.

    Args:
        samples: squares per case.
        sides: shortest and longest side of a square, shares of the image's shorter side.
        seed: of the squares, which depend on it and on the sample's id alone.
        batch_size: images run at once.

    Source:
        "On the (In)fidelity and Sensitivity of Explanations", arXiv:1901.09392, definition 2.1 with square removal;
        `captum.metrics.infidelity` with normalize=True.
    """

    samples: int = 100
    sides: tuple[float, float] = (0.1, 0.4)
    seed: int = 0
    batch_size: int = 64

    needs: ClassVar[tuple[Need, ...]] = ("image",)
    dataset_level: ClassVar[bool] = False
    better: ClassVar[Mapping[str, Direction]] = {"infidelity": "lower"}
    source: ClassVar[str] = "arXiv:1901.09392"

    def __post_init__(self) -> None:
        check(self.samples >= 2, "samples", "of 2 or more", self.samples)
        ordered = len(self.sides) == 2 and 0 < self.sides[0] <= self.sides[1] <= 1
        check(ordered, "sides", "to be two shares, the smaller first, above 0 and up to 1", self.sides)
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)
        check_seed(self.seed)

    def __call__(self, cases: Sequence[Case]) -> Columns:
        values = np.full(len(cases), np.nan)
        infidelity = _captum("infidelity")
        for number, case in enumerate(cases):
            if not case.constant:
                values[number] = 1e4 * self._of(case, infidelity)
        return {"infidelity": values}

    def _of(self, case: Case, infidelity: Callable[..., Tensor]) -> float:
        model = model_of([case])
        score = phrase_scorer(model, case.token_ids)
        generator = generator_of(case, self.seed)

        def perturb(pixels: Tensor) -> tuple[Tensor, Tensor]:
            removed = torch.stack([square(image.shape[-2:], self.sides, generator) for image in pixels])
            removed = removed[:, None].to(pixels).expand_as(pixels)
            return removed, pixels * (1 - removed)

        value = infidelity(
            score,
            perturb,
            case.pixels[None],
            # Each channel carries its share, so that the sum over a square is the map's own.
            (case.raw.to(case.pixels) / len(case.pixels)).expand_as(case.pixels)[None],
            n_perturb_samples=self.samples,
            max_examples_per_batch=min(self.batch_size, self.samples),
            normalize=True,
        )
        return float(value[0])


@METRICS("sensitivity-max")
@dataclass(frozen=True)
class SensitivityMax:
    """Largest relative change of the map under small noise in the pixels.

    Each pixel moves by up to `radius`, in the units of the normalised image. The change is divided by the norm of the
    raw map, so that a constant added to the map makes it look steadier. NaN for constant maps.

    Args:
        radius: of the noise, uniform in [-radius, radius].
        samples: noisy images per case.
        seed: of the noise, which depends on it and on the sample's id alone.
        batch_size: images explained at once.

    Source:
        "On the (In)fidelity and Sensitivity of Explanations", arXiv:1901.09392, definition 3.1;
        `captum.metrics.sensitivity_max`.
    """

    radius: float = 0.02
    samples: int = 10
    seed: int = 0
    batch_size: int = 16

    needs: ClassVar[tuple[Need, ...]] = ("image",)
    dataset_level: ClassVar[bool] = False
    explains_again: ClassVar[bool] = True
    better: ClassVar[Mapping[str, Direction]] = {"sensitivity_max": "lower"}
    source: ClassVar[str] = "arXiv:1901.09392"

    def __post_init__(self) -> None:
        check(0 < self.radius < float("inf"), "radius", "above 0", self.radius)
        check(self.samples >= 1, "samples", "of 1 or more", self.samples)
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)
        check_seed(self.seed)

    def __call__(self, cases: Sequence[Case]) -> Columns:
        values = np.full(len(cases), np.nan)
        sensitivity = _captum("sensitivity_max")
        for number, case in enumerate(cases):
            if not case.constant:
                values[number] = self._of(case, sensitivity)
        return {"sensitivity_max": values}

    def _of(self, case: Case, sensitivity: Callable[..., Tensor]) -> float:
        generator = generator_of(case, self.seed)

        def perturb(pixels: Tensor, radius: float) -> Tensor:
            noise = [torch.rand(image.shape, generator=generator, dtype=torch.float32) for image in pixels]
            return pixels + (2 * torch.stack(noise) - 1).to(pixels) * radius

        def explain(pixels: Tensor | tuple[Tensor]) -> tuple[Tensor]:
            images = pixels if isinstance(pixels, Tensor) else pixels[0]  # Captum wraps the first, not the others
            return (explain_again(case.model, [case] * len(images), images, self.batch_size).values,)

        value = sensitivity(
            explain,
            case.pixels[None],
            perturb_func=perturb,
            perturb_radius=self.radius,
            n_perturb_samples=self.samples,
            max_examples_per_batch=min(self.batch_size, self.samples),
        )
        return float(value[0])


def square(size: Sequence[int], sides: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Mask of a random square inside the image, [height, width]."""
    height, width = size
    size_share, down, right = map(float, torch.rand(3, generator=generator, dtype=torch.float64))
    side = max(1, round((sides[0] + size_share * (sides[1] - sides[0])) * min(height, width)))
    top, left = int(down * (height - side + 1)), int(right * (width - side + 1))
    mask = torch.zeros(height, width)
    mask[top : top + side, left : left + side] = 1
    return mask


def _captum(name: str) -> Callable[..., Tensor]:
    try:
        return getattr(importlib.import_module("captum.metrics"), name)
    except ModuleNotFoundError:
        raise MissingExtra("Infidelity and sensitivity need Captum: pip install matex[benchmark]") from None
