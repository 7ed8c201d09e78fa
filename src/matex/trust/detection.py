"""Whether the uncertainty of a map is higher where the model's answer is wrong."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from matex.adapters.model import Model
from matex.datasets.sample import Sample
from matex.map_spread import uncertainty
from matex.metrics.similarity import ranks
from matex.metrics.statistics import FEWEST_CLUSTERS
from matex.registry import Parameters
from matex.trust.calibration import Calibration, logits_of
from matex.trust.measures import Values
from matex.trust.validation import Validation, film_of, score_samples

RESAMPLES = 2000


@dataclass(frozen=True)
class Detection:
    """Detection of wrong answers by a number: AUC with its interval.

    Args:
        signal: name of the number; higher should mean wrong.
        auc: chance that it is higher for a wrong answer than for a right one, ties counted half; NaN without both.
        low: lower end of the 95 % interval; NaN with fewer than `FEWEST_CLUSTERS` clusters.
        high: upper end.
        wrong: number of wrong answers.
        right: number of right answers.
        undefined: answers for which the number is NaN, left out.
    """

    signal: str
    auc: float
    low: float
    high: float
    wrong: int
    right: int
    undefined: int


def error_detection(
    model: Model,
    calibration: Calibration,
    samples: Iterable[Sample],
    method: str = "matex",
    *,
    seeds: int = 5,
    noise: int = 5,
    progress: bool = False,
    **parameters: object,
) -> list[Detection]:
    """Whether low confidence and an uncertain map predict wrong answers.

    The answer on an image is its phrase with the highest score; it is wrong if that phrase does not hold. The signals
    are 1 minus the calibrated probability of the answer and, for each source of `matex.uncertainty`, the deviation of
    the answer's map and 1 minus its likeness.

    Args:
        model: that was calibrated.
        calibration: of this model.
        samples: pairs with phrases of the calibration.
        method: whose maps are compared.
        seeds, noise: see `matex.uncertainty`.
        progress: show a progress bar.
        **parameters: of the method.

    Raises:
        InputError: another model than the calibrated one, or pairs with other phrases.
    """
    calibration.check(model, calibration.phrases[0], calibration.resize)
    found = score_samples(model, samples, calibration.phrases, resize=calibration.resize)
    answer = found.scores.argmax(axis=1)
    wrong = ~found.holds[np.arange(len(answer)), answer]
    likely = calibration.probabilities(logits_of(model, found.scores))
    signals = {"1 - confidence": 1 - likely[np.arange(len(answer)), answer]}
    settings: Parameters = {"resize": calibration.resize, "seeds": seeds, "noise": noise, **parameters}
    signals |= _spreads(model, found, answer.tolist(), method, settings, progress)
    return [detection(name, values, wrong, found.clusters) for name, values in signals.items()]


def _spreads(
    model: Model,
    found: Validation,
    answer: Sequence[int],
    method: str,
    settings: Parameters,
    progress: bool,
) -> dict[str, Values]:
    """Deviation and unlikeness of the maps of the answers, by source, each [image]."""
    signals: dict[str, Values] = {}
    images = zip(found.images, found.views, strict=True)
    for number, (image, view) in enumerate(tqdm(images, total=len(answer), disable=not progress, unit="map")):
        film = film_of(Sample("", image, "", view=view))
        spreads = uncertainty(model, film, found.phrases[answer[number]], method, **settings).spreads
        for source, spread in spreads.items():
            for name, value in (
                (f"deviation, {source}", spread.mean),
                (f"1 - likeness, {source}", 1 - spread.likeness),
            ):
                signals.setdefault(name, np.full(len(answer), np.nan))[number] = value
    return signals


def detection(
    signal: str, values: ArrayLike, wrong: ArrayLike, clusters: Sequence[Hashable], seed: int = 0
) -> Detection:
    """Area under the ROC curve with its percentile bootstrap interval over clusters.

    Args:
        signal: name of the number.
        values: one per answer, NaN where undefined.
        wrong: whether each answer is wrong.
        clusters: unit of resampling of each answer, such as the patient.
        seed: of the resampling.

    Examples:
        >>> detection("x", [0.1, 0.4, 0.35, 0.8], [False, False, True, True], clusters=range(4)).auc
        0.75
    """
    given, failed = np.asarray(values, dtype=np.float64), np.asarray(wrong, dtype=bool)
    defined = ~np.isnan(given)
    numbers = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters))}
    of_answer = np.array([numbers[cluster] for cluster in clusters])[defined]
    given, failed = given[defined], failed[defined]
    low, high = _interval(given, failed, of_answer, seed)
    counts = int(failed.sum()), int((~failed).sum()), int((~defined).sum())
    return Detection(signal, area_under_roc(given, failed), low, high, *counts)


def area_under_roc(values: Values, positive: NDArray[np.bool_]) -> float:
    """Chance that a positive has a higher value than a negative, ties counted half; NaN without both."""
    ones = int(positive.sum())
    zeros = len(positive) - ones
    if not ones or not zeros:
        return math.nan
    place = ranks(torch.from_numpy(values)[None])[0].numpy()
    return float((place[positive].sum() - ones * (ones - 1) / 2) / (ones * zeros))


def _interval(
    values: Values, positive: NDArray[np.bool_], clusters: NDArray[np.intp], seed: int
) -> tuple[float, float]:
    """Ends of the 95 % interval; resamples with one kind of answer alone are left out."""
    rows: list[NDArray[np.intp]] = [np.flatnonzero(clusters == one) for one in range(int(clusters.max(initial=-1)) + 1)]
    rows = [some for some in rows if len(some)]
    if len(rows) < FEWEST_CLUSTERS:
        return math.nan, math.nan
    random = np.random.default_rng(seed)
    areas: list[float] = []
    for _ in range(RESAMPLES):
        chosen: list[int] = random.integers(0, len(rows), len(rows)).tolist()
        some = np.concatenate([rows[one] for one in chosen])
        areas.append(area_under_roc(values[some], positive[some]))
    if np.isnan(areas).all():
        return math.nan, math.nan
    low, high = np.nanquantile(areas, [0.025, 0.975])
    return float(low), float(high)
