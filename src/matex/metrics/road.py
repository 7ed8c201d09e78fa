"""ROAD: removal of pixels without retraining, by a linear fill that reveals neither their shape nor their content."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matex.checks import check, check_seed
from matex.errors import MissingExtra
from matex.metrics.deletion import area_under, falling
from matex.metrics.embedding import model_of, paired_scores
from matex.metrics.metric import METRICS, Case, Columns, Direction, Need
from matex.metrics.sample_rng import generator_of

PERCENTS = tuple(range(10, 100, 10))


@METRICS("road")
@dataclass(frozen=True)
class Road:
    """Score when a share of the pixels is replaced by a noisy linear fill, from 10 to 90 percent.

    `road_morf_at_<percent>` replaces the most relevant pixels first, `road_lerf_at_<percent>` the least relevant;
    `road_morf_auc` and `road_lerf_auc` are the normalised areas from 0 to 90 percent, `road` is least minus most:
    above 0 the map orders pixels better than its reverse. Cosine. NaN for constant maps.

    Args:
        noise: standard deviation of the noise on filled pixels, in the units of the normalised image.
        seed: of the noise, which depends on it and on the sample's id alone.
        batch_size: images run at once.

    Source:
        "A Consistent and Efficient Evaluation Strategy for Attribution Methods", arXiv:2202.00449: each missing pixel
        is the weighted mean of its 8 neighbours (1/6 straight, 1/12 diagonal), all solved at once; noise .01 as in the
        authors' code. They count accuracy, here it is the score.
    """

    noise: float = 0.01
    seed: int = 0
    batch_size: int = 64

    needs: ClassVar[tuple[Need, ...]] = ("image",)
    dataset_level: ClassVar[bool] = False
    better: ClassVar[Mapping[str, Direction]] = {
        "road": "higher",
        "road_morf_auc": "lower",
        "road_lerf_auc": "higher",
        **{f"road_morf_at_{percent}": "lower" for percent in PERCENTS},
        **{f"road_lerf_at_{percent}": "higher" for percent in PERCENTS},
    }
    source: ClassVar[str] = "arXiv:2202.00449"

    def __post_init__(self) -> None:
        check(0 <= self.noise < float("inf"), "noise", "of 0 or more", self.noise)
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)
        check_seed(self.seed)

    def __call__(self, cases: Sequence[Case]) -> Columns:
        columns = {name: np.full(len(cases), np.nan) for name in self.better}
        for number, case in enumerate(cases):
            if case.constant:
                continue
            model = model_of([case])
            images = torch.cat([case.pixels[None], self._filled(case)])
            phrases = [case.token_ids] * len(images)
            scores = paired_scores(model, len(images), lambda i, images=images: images[i], phrases, self.batch_size)
            curves = {"morf": scores[1 : 1 + len(PERCENTS)], "lerf": scores[1 + len(PERCENTS) :]}
            areas = {name: area_under(np.concatenate([scores[:1], curve])) for name, curve in curves.items()}
            columns["road"][number] = areas["lerf"] - areas["morf"]
            for name, curve in curves.items():
                columns[f"road_{name}_auc"][number] = areas[name]
                for percent, value in zip(PERCENTS, curve, strict=True):
                    columns[f"road_{name}_at_{percent}"][number] = value
        return columns

    def _filled(self, case: Case) -> Tensor:
        """The image at every percentage, most relevant pixels first, then least, [image, channel, height, width]."""
        rank = falling(case.raw.to(case.pixels.device))
        pixels = rank.numel()
        counts = [round(percent * pixels / 100) for percent in PERCENTS]
        missing = torch.stack([*(rank < count for count in counts), *(rank >= pixels - count for count in counts)])
        images = torch.stack([fill(case.pixels, hole) for hole in missing])
        noise = torch.randn(case.pixels.shape, generator=generator_of(case, self.seed)).to(images)
        return images + self.noise * noise * missing[:, None]


def fill(image: Tensor, missing: Tensor) -> Tensor:
    """Fill every missing pixel with the weighted mean of its neighbours, missing ones included; solved in float64.

    Args:
        image: [channel, height, width].
        missing: bool [height, width]; at least one pixel is not missing.

    Returns:
        An image of the same type; pixels that are not missing stay the same.
    """
    sparse, linalg = _scipy("scipy.sparse"), _scipy("scipy.sparse.linalg")
    hole = missing.cpu().numpy()
    values = image.detach().cpu().numpy().astype(np.float64)  # a copy
    number = np.full(hole.shape, -1)
    number[hole] = np.arange(hole.sum())
    total, known = np.zeros(hole.sum()), np.zeros((hole.sum(), len(values)))
    entries: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]] = []
    for weight, here, there in _neighbours(hole.shape):
        total += weight * np.bincount(number[here][hole[here]], minlength=len(total))
        both, edge = hole[here] & hole[there], hole[here] & ~hole[there]
        entries.append((number[here][both], number[there][both], np.full(int(both.sum()), -weight)))
        known[number[here][edge]] += weight * values[:, *there][:, edge].T
    entries.append((np.arange(len(total)), np.arange(len(total)), total))
    rows, columns, weights = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    matrix = sparse.csc_matrix((weights, (rows, columns)), shape=(len(total), len(total)))
    # Symmetric and positive definite: no pivoting, and an ordering for such matrices.
    factors = linalg.splu(matrix, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    values[:, hole] = factors.solve(known).T
    return torch.from_numpy(values).to(image)


def _neighbours(size: tuple[int, ...]) -> Iterator[tuple[float, tuple[slice, slice], tuple[slice, slice]]]:
    """(weight, pixels that have this neighbour, their neighbours) for the eight directions."""
    height, width = size
    for down, right in itertools.product((-1, 0, 1), repeat=2):
        if down or right:
            here = (slice(max(0, -down), height - max(0, down)), slice(max(0, -right), width - max(0, right)))
            there = (slice(max(0, down), height - max(0, -down)), slice(max(0, right), width - max(0, -right)))
            yield (1 / 12 if down and right else 1 / 6), here, there


def _scipy(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise MissingExtra("ROAD needs SciPy: pip install matex[benchmark]") from None
