"""`calibrate`: a temperature and a threshold from validation pairs, with the quality before and after."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from matex.adapters.model import Model, check_model
from matex.datasets.sample import Sample
from matex.errors import InputError, shown
from matex.geometry import Resize
from matex.metrics.statistics import summarise
from matex.trust.calibration import Calibration, Kind, logits_of
from matex.trust.fit import fit_temperature, fit_temperature_and_bias
from matex.trust.measures import (
    BINS,
    OperatingPoint,
    Values,
    area_under_risk,
    brier,
    calibration_error,
    debiased_calibration_error,
    risk_coverage,
    threshold_for,
)
from matex.trust.validation import Validation, score_samples

COVERAGES = tuple(number / 10 for number in range(1, 11))
"""At which the record states the selective risk."""


def calibrate(
    model: Model,
    samples: Iterable[Sample],
    *,
    kind: Literal["auto", "softmax", "sigmoid"] = "auto",
    risk: float = 0.05,
    test: Iterable[Sample] | None = None,
    resize: Resize = "model",
    progress: bool = False,
) -> Calibration:
    """Fit a temperature on validation pairs, and the confidence below which the model should abstain.

    Every image is scored with every phrase of the samples. With a softmax the phrase of the image's own sample is the
    right answer and one parameter is fitted, the temperature; with a sigmoid each phrase holds or does not, and
    temperature and bias are fitted. Temperature scaling changes no ranking of an image's phrases: accuracy stays.

    Args:
        model: from `matex.load`.
        samples: validation pairs, such as `matex.datasets.open_dataset("manifest", root="pairs.csv")`.
        kind: "auto" takes the loss that the model was trained with: sigmoid for SigLIP, softmax for others.
        risk: wanted share of wrong answers among those given.
        test: other pairs with the same phrases, on which the quality is measured as well. That on the validation
            pairs is optimistic, above all at the threshold. The record counts images whose patient is among the
            validation pairs ("of_validation"); where the patient is not known, images that are.
        resize: preprocessing, see `matex.explain`.
        progress: show a progress bar.

    Raises:
        InputError: a black box; pairs that no temperature fits, see `fit_temperature`; a risk outside of (0, 1).

    Source:
        "On Calibration of Modern Neural Networks", arXiv:1706.04599; "Selective Classification for Deep Neural
        Networks", arXiv:1705.08500, without its bound: the record states that of the risk at the threshold.
    """
    check_model(model)
    if model.weights_sha256 is None:
        raise InputError(
            f"Expected a model with weights, whose digest ties the calibration to it, got the black box "
            f"{shown(model.name)}."
        )
    if kind not in ("auto", "softmax", "sigmoid"):
        raise InputError(f"Expected kind among auto, softmax, sigmoid, got {shown(kind)}.")
    chosen: Kind = kind if kind != "auto" else "sigmoid" if model.similarity.kind == "sigmoid" else "softmax"
    found = score_samples(model, samples, resize=resize, progress=progress)
    logits = logits_of(model, found.scores)
    if chosen == "softmax":
        temperature, bias = fit_temperature(logits, found.right), 0.0
    else:
        temperature, bias = fit_temperature_and_bias(logits.ravel(), found.holds.ravel())
    about = (found.phrases, model.name, model.weights_sha256, resize, risk)
    before = Calibration(chosen, 1.0, 0.0, *about, None, len(found.images))
    after = Calibration(chosen, temperature, bias, *about, None, len(found.images))
    answers = answers_of(after, logits, found)
    point = threshold_for(answers.confidence, answers.correct, risk)
    measures = {
        "before": quality(answers_of(before, logits, found)),
        "after": {**quality(answers), "at_threshold": point._asdict()},
    }
    if test is not None:
        others = score_samples(model, test, found.phrases, resize=resize, progress=progress)
        of_test = answers_of(after, logits_of(model, others.scores), others)
        measures["test"] = {
            **quality(of_test),
            "at_threshold": at_threshold(of_test, point),
            "of_validation": sum(cluster in found.clusters for cluster in others.clusters),
        }
    return Calibration(
        chosen, temperature, bias, *about, threshold=point.threshold, images=len(found.images), measures=measures
    )


@dataclass(frozen=True, eq=False)
class Answers:
    """The model's answers: one for each image with a softmax, one for each image and phrase with a sigmoid.

    Args:
        probabilities: [image, phrase] with a softmax, [answer] with a sigmoid.
        truth: which phrases hold, of the same shape.
        confidence: of each answer, [answer].
        correct: whether each answer is right, bool [answer].
        clusters: of each answer.
    """

    probabilities: Values
    truth: NDArray[np.bool_]
    confidence: Values
    correct: NDArray[np.bool_]
    clusters: tuple[str, ...]


def answers_of(calibration: Calibration, logits: Values, found: Validation) -> Answers:
    """Answers of a calibrated model on images with known phrases."""
    likely = calibration.probabilities(logits)
    if calibration.kind == "softmax":
        correct = likely.argmax(axis=1) == found.right
        return Answers(likely, found.holds, likely.max(axis=1), correct, found.clusters)
    flat, truth = likely.ravel(), found.holds.ravel()
    clusters = tuple(cluster for cluster in found.clusters for _ in found.phrases)
    return Answers(flat, truth, np.maximum(flat, 1 - flat), (flat >= 0.5) == truth, clusters)


def quality(answers: Answers) -> dict[str, Any]:
    """Error rate and measures of the confidence, as calibration.json holds them.

    Calibration errors have `BINS` bins. `curve` is the selective risk at a coverage of 10, 20, ..., 100 %.
    """
    sure, correct = answers.confidence, answers.correct
    wrong = summarise(~correct, answers.clusters)
    coverage, risk = risk_coverage(sure, correct)
    return {
        "answers": len(sure),
        "clusters": wrong.clusters,
        "error_rate": wrong.mean,
        "error_rate_interval": [wrong.low, wrong.high],
        "mean_confidence": float(sure.mean()),
        "log_loss": log_loss(answers),
        "ece": calibration_error(sure, correct, BINS),
        "ece_equal_mass": calibration_error(sure, correct, BINS, "equal-mass"),
        "calibration_error_debiased": debiased_calibration_error(sure, correct, BINS),
        "brier": brier(answers.probabilities, answers.truth),
        "aurc": area_under_risk(sure, correct),
        "curve": {f"{share:.1f}": float(risk[np.searchsorted(coverage, share - 1e-9)]) for share in COVERAGES},
    }


def log_loss(answers: Answers) -> float:
    """Mean negative log-likelihood of the right phrases, or of the pairs, in nats; what the fit minimises."""
    given = answers.probabilities
    tiny = np.finfo(np.float64).tiny
    if given.ndim == 2:
        return float(-np.log(np.maximum(given[answers.truth], tiny)).mean())
    return float(-np.log(np.maximum(np.where(answers.truth, given, 1 - given), tiny)).mean())


def at_threshold(answers: Answers, point: OperatingPoint) -> dict[str, Any]:
    """Coverage and risk of other answers at a threshold that is already chosen."""
    given = answers.correct[answers.confidence >= (np.inf if point.threshold is None else point.threshold)]
    wrong = summarise(~given) if len(given) else None
    return {
        "threshold": point.threshold,
        "coverage": len(given) / len(answers.correct),
        "risk": None if wrong is None else wrong.mean,
    }
