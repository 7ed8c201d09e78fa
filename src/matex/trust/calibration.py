"""A fitted calibration: what calibration.json holds, and the confidence that it gives an explanation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from matex.adapters.model import Model
from matex.checks import as_path, is_list, is_object, number, read_json
from matex.confidence import FAILS, HOLDS, Confidence
from matex.errors import InputError, UnknownName, shown
from matex.explained_score import phrase_scores
from matex.files import replacing
from matex.geometry import Resize
from matex.results import DISCLAIMER, Explanation
from matex.serialise import strict_json
from matex.trust.measures import Values, sigmoid, softmax

FORMAT = "matex-calibration/1"
Kind = Literal["softmax", "sigmoid"]


@dataclass(frozen=True)
class Calibration:
    """Temperature, bias and threshold of one model for a set of phrases.

    Args:
        kind: "softmax": one of the phrases is the right one; "sigmoid": each phrase holds or does not.
        temperature: divisor of the logits, above 0.
        bias: added to the divided logits; 0 for a softmax.
        phrases: that were compared.
        model: name of the model.
        weights_sha256: digest of its weights.
        resize: preprocessing of the validation images.
        risk: wanted share of wrong answers among those given.
        threshold: confidence from which an answer is given; None where none reached the risk.
        images: validation images.
        measures: quality on the validation images "before" and "after", and on other images "test", by measure.
    """

    kind: Kind
    temperature: float
    bias: float
    phrases: tuple[str, ...]
    model: str
    weights_sha256: str
    resize: Resize
    risk: float
    threshold: float | None
    images: int
    measures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])

    def probabilities(self, logits: Values) -> Values:
        """Calibrated probabilities of the phrases.

        Args:
            logits: scale times cosine plus the model's own bias, [image, phrase].

        Returns:
            [image, phrase]; rows sum to 1 for a softmax.
        """
        scaled = logits / self.temperature + self.bias
        return softmax(scaled) if self.kind == "softmax" else sigmoid(scaled)

    def apply(self, model: Model, explanation: Explanation) -> Explanation:
        """The explanation with the calibrated confidence of its phrase, and a note where the model should abstain.

        One pass of the image and a batch of the phrases.

        Raises:
            InputError: another model, other preprocessing, or an explanation of something else than one phrase.
            UnknownName: a phrase that the calibration was not fitted on.
        """
        query = explanation.query
        if query.objective is not None or query.target is not None or query.domain in ("sound", "sensor"):
            raise InputError(
                "Expected an explanation of the score of an image and one phrase, got another score. Leave the "
                "calibration out."
            )
        self.check(model, explanation.text, query.resize)
        scores = phrase_scores(model, query, [model.encode(phrase) for phrase in self.phrases])
        confidence = self._confidence(logits_of(model, scores.double().cpu().numpy()), explanation.text)
        notes = (*explanation.notes, confidence.decision) if confidence.abstain else explanation.notes
        return dataclasses.replace(explanation, confidence=confidence, notes=notes)

    def check(self, model: Model, text: str, resize: Resize) -> None:
        """Refuse what the calibration was not fitted for; see `apply`."""
        if model.weights_sha256 != self.weights_sha256:
            raise InputError(
                f"Expected the model of this calibration, {shown(self.model)} with weights {self.weights_sha256[:12]}, "
                f"got {shown(model.name)} with weights {str(model.weights_sha256)[:12]}. Calibrate this model."
            )
        if resize != self.resize:
            raise InputError(
                f"Expected resize={shown(self.resize)}, with which the calibration was fitted, got {shown(resize)}. "
                "Calibrate with this preprocessing."
            )
        if text not in self.phrases:
            raise UnknownName("phrase of this calibration", text, self.phrases)

    def _confidence(self, logits: Values, text: str) -> Confidence:
        """Confidence of one image with logits [phrase]."""
        likely = self.probabilities(logits[None])[0]
        probability = float(likely[self.phrases.index(text)])
        if self.kind == "softmax":
            best = int(np.argmax(likely))
            answer, confidence = self.phrases[best], float(likely[best])
        else:
            answer, confidence = (HOLDS if probability >= 0.5 else FAILS), max(probability, 1 - probability)
        return Confidence(probability, answer, confidence, self.threshold, self.risk, len(self.phrases), self.images)

    def save(self, path: str | Path) -> Path:
        """Write calibration.json."""
        target = as_path(path, "a file to write to")
        values = {"format": FORMAT, "disclaimer": DISCLAIMER, **dataclasses.asdict(self)}
        with replacing(target) as temporary:
            temporary.write_text(strict_json(values) + "\n", encoding="utf-8")
        return target

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read a calibration that `save` wrote.

        Raises:
            InputError: no such file, or not a calibration.
        """
        where = as_path(path, "a calibration")
        record = read_json(where, "a calibration")
        if record.get("format") != FORMAT:
            raise InputError(
                f"Expected a file of matex calibrate ({FORMAT}), got another: {shown(str(where))}. Calibrate first."
            )
        return _read(record, where)


def _read(record: Mapping[str, object], where: Path) -> Calibration:
    """Check the entries of a record.

    Raises:
        InputError: an entry that is missing or of another type.
    """
    kind, phrases, threshold = record.get("kind"), record.get("phrases"), record.get("threshold")
    texts = {name: record.get(name) for name in ("model", "weights_sha256", "resize")}
    measures = record.get("measures")
    whole = (
        kind in ("softmax", "sigmoid")
        and is_list(phrases)
        and all(isinstance(one, str) for one in phrases)
        and all(isinstance(one, str) for one in texts.values())
        and is_object(measures)
    )
    if not whole:
        raise InputError(f"Expected a whole calibration, got a damaged one: {shown(str(where))}. Calibrate again.")
    return Calibration(
        kind=cast(Kind, kind),
        temperature=number(record.get("temperature"), "temperature", 1e-300),
        bias=number(record.get("bias"), "bias"),
        phrases=tuple(cast("list[str]", phrases)),
        model=cast(str, texts["model"]),
        weights_sha256=cast(str, texts["weights_sha256"]),
        resize=cast(Resize, texts["resize"]),
        risk=number(record.get("risk"), "risk", 0, 1),
        threshold=None if threshold is None else number(threshold, "threshold", 0, 1),
        images=int(number(record.get("images"), "images", 1)),
        measures=cast("Mapping[str, Mapping[str, Any]]", measures),
    )


def logits_of(model: Model, scores: Values) -> Values:
    """Logits that a model was trained on: scale times cosine plus its bias, of the same shape."""
    return model.similarity.scale * scores + model.similarity.bias
