"""The protocol of a metric: a frozen dataclass whose fields are its parameters, called on the maps of one method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matex.adapters.model import Encoded, Model
from matex.checks import check
from matex.datasets.sample import Sample
from matex.registry import Parameterised, Registry, build
from matex.results import Explanation

Columns = dict[str, NDArray[np.float64]]
"""Values of a metric by the name of their column."""
Direction = Literal["higher", "lower", "neither"]
"""Which values of a column are better."""
Need = Literal["image", "text", "boxes", "other", "label", "captions", "gradient"]
"""Property that a metric requires of a sample or a method; cases without it get NaN, which is counted."""


@dataclass(frozen=True, eq=False)
class Case:
    """One sample with its explanation by one method.

    Args:
        model: that was explained.
        sample: image, phrase and truth.
        explanation: as `matex.explain` returned it.
        labels: phrases of each class, for data sets of classes.
    """

    model: Model
    sample: Sample
    explanation: Explanation
    labels: Mapping[str, tuple[str, ...]]

    @cached_property
    def pixels(self) -> Tensor:
        """Pixels at the model's input, [channel, height, width], normalised."""
        pixels, _ = self.model.prepare(self.explanation.film, self.explanation.query.resize)
        return pixels[0]

    @property
    def cluster(self) -> str:
        """Unit of independent observation: the sample's patient or source film where known, else the film itself."""
        return self.sample.unit(self.explanation.film)

    @cached_property
    def token_ids(self) -> tuple[int, ...]:
        """Token ids of the phrase, special tokens included."""
        return self.explanation.token_ids

    @cached_property
    def raw(self) -> Tensor:
        """Raw signed map at the model's resolution, float32 [height, width]."""
        image = self.explanation.image
        return image.placement.map_to_model(torch.from_numpy(np.asarray(image.grid)))

    @cached_property
    def constant(self) -> bool:
        """Whether the grid is constant or holds values that are not finite.

        Judged on the grid, as interpolation adds rounding noise to a constant.
        """
        grid = self.explanation.image.grid
        return not (np.isfinite(grid).all() and np.ptp(grid) > 0)

    @cached_property
    def heat(self) -> Tensor:
        """`raw` scaled to [0, 1] by its extremes, float32 [height, width]; zeros for a constant map."""
        low, high = self.raw.min(), self.raw.max()
        return torch.zeros_like(self.raw) if self.constant or high <= low else (self.raw - low) / (high - low)

    @cached_property
    def content(self) -> tuple[bool, ...]:
        """Mask of the token ids that are words, not special tokens."""
        axis = self.model.text.axis(self.model.batch([Encoded(self.token_ids, ())]))
        return tuple(map(bool, axis.content[0, : len(self.token_ids)]))

    @cached_property
    def token_scores(self) -> tuple[float, ...] | None:
        """Scores of the content tokens in reading order; None where the text map is undefined."""
        scores = tuple(token.score for token in self.explanation.tokens)
        defined = scores and len(scores) == sum(self.content) and all(math.isfinite(s) for s in scores)
        return scores if defined else None


def faded(case: Case, mask: Tensor) -> Tensor:
    """A case's input where the mask is 1, the mean colour or silence where it is 0, [channel, height, width].

    Args:
        case: of an image or a sound.
        mask: [height, width], or with a channel.
    """
    return case.model.image.fade(case.pixels[None], mask.to(case.pixels).reshape(1, 1, *case.pixels.shape[1:]))[0]


class Metric(Parameterised, Protocol):
    """A measure of explanations.

    `needs` lists what a case must have; `dataset_level` is True for measures that compare all cases of a method with
    each other (retrieval, retraining) instead of evaluating each separately; `better` gives the better direction of
    each column; `source` is the paper. A metric that needs further maps of the method has `explains_again = True`: it
    does not apply to maps without a method. One with `finished_maps = True` reads the map and the
    sample's truth alone, so that it applies to maps of any score.
    """

    needs: ClassVar[tuple[Need, ...]]
    dataset_level: ClassVar[bool]
    better: ClassVar[Mapping[str, Direction]]
    source: ClassVar[str]

    def __call__(self, cases: Sequence[Case]) -> Columns:
        """Columns of one value per case (per seed for data-set-level measures), NaN where undefined."""
        ...


@runtime_checkable
class Comparing(Metric, Protocol):
    """A metric that compares the maps of several methods on the same samples."""

    def between(self, cases: Mapping[str, Sequence[Case]]) -> dict[str, Columns]:
        """Columns of each method by its name, one value per case.

        Args:
            cases: of each method, the same samples in the same order.
        """
        ...


def serves_sounds(metric: Metric) -> bool:
    """Whether a metric measures maps of sounds: it changes nothing but the model's input (`on_sounds`)."""
    return bool(getattr(metric, "on_sounds", False))


def check_percent(value: float, name: str) -> None:
    """Refuse values outside [0, 100], and those between 0 and 1, which are almost surely meant as shares.

    Raises:
        InputError: a value below 0 or above 100, or between 0 and 1.
    """
    check(0 <= value <= 100, name, "in [0, 100]", value)
    check(value == 0 or value >= 1, name, "in percent, 0 or at least 1 (a half is 50)", value)


METRICS: Registry[type[Metric]] = Registry("metric")


def make_metric(name: str, parameters: Mapping[str, object]) -> Metric:
    """Create a registered metric; each parameter is converted to the type of its field.

    Raises:
        UnknownName: no such metric or parameter; the message lists the known ones.
        InputError: a parameter of another type or outside its range.

    Examples:
        >>> from matex.metrics import make_metric
        >>> make_metric("pointing", {}).better["pointing"]
        'higher'
    """
    return build(METRICS, name, parameters, "its fields show them")
