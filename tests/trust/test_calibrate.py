"""`calibrate` and its file: fitted on films of the bundled model, refused for another one."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import matex
from matex.datasets import Sample, open_dataset
from matex.errors import InputError, UnknownName
from matex.forward_pass import encode
from matex.samples import samples
from matex.serialise import strict_json, to_dict
from matex.trust import error_detection
from matex.trust.calibrate import answers_of
from matex.trust.calibration import logits_of
from matex.trust.validation import score_samples
from tests.reference import trust as slow


@pytest.fixture(scope="module")
def pairs() -> list[Sample]:
    data = open_dataset("simulated", films=140, tier="subtle", placed=False, seed=3)
    return [data[index] for index in range(0, 140, 10)]


@pytest.fixture(scope="module")
def fitted(tiny, pairs) -> matex.Calibration:
    return matex.calibrate(tiny, pairs, risk=0.3)


def test_every_image_is_scored_with_every_phrase(tiny, pairs):
    found = score_samples(tiny, pairs)
    assert found.scores.shape == (14, len({one.text for one in pairs}))
    pixels, _ = tiny.prepare(pairs[3].image)
    phrase = tiny.batch([tiny.encode(found.phrases[2])])
    expected = encode(tiny.image, pixels) @ encode(tiny.text, phrase).T
    assert found.scores[3, 2] == pytest.approx(float(expected), abs=1e-6)
    assert [found.phrases[number] for number in found.right] == [one.text for one in pairs]


def test_the_temperature_is_that_of_the_scaled_cosines(tiny, pairs, fitted):
    found = score_samples(tiny, pairs)
    logits = tiny.logit_scale * found.scores
    assert fitted.kind == "softmax"
    assert fitted.temperature == pytest.approx(slow.temperature(logits.tolist(), found.right.tolist()), rel=1e-5)


def test_a_fit_lowers_the_loss_and_leaves_the_errors_as_they_are(fitted):
    before, after = fitted.measures["before"], fitted.measures["after"]
    assert after["log_loss"] < before["log_loss"]
    assert after["error_rate"] == before["error_rate"]


@pytest.mark.parametrize("known", [True, False])
def test_test_images_of_the_validation_pairs_are_counted(tiny, pairs, known):
    """By patient; where none is known, by image."""
    named = [replace(one, cluster=f"p{number}" if known else "") for number, one in enumerate(pairs)]
    other = replace(named[5], image=samples()[1].path)
    new = replace(named[7], cluster="new" if known else "", image=samples()[0].path)
    fitted = matex.calibrate(tiny, named, risk=0.3, test=[*named[:3], new])
    assert fitted.measures["test"]["of_validation"] == 3
    if known:  # another film of a patient
        assert matex.calibrate(tiny, named, test=[other, new]).measures["test"]["of_validation"] == 1


def test_a_copy_of_a_validation_image_under_another_name_is_counted(tiny, pairs, tmp_path):
    film = samples()[0].path
    copy = Path(shutil.copyfile(film, tmp_path / f"copy{film.suffix}"))
    known, unknown = (replace(pairs[0], image=path, cluster="") for path in (film, copy))
    fitted = matex.calibrate(tiny, [known, *pairs[1:]], risk=0.3, test=[unknown, pairs[1]])
    assert fitted.measures["test"]["of_validation"] == 2


def test_a_sigmoid_answers_for_each_image_and_phrase(tiny, pairs):
    fitted = matex.calibrate(tiny, pairs, kind="sigmoid", risk=0.3)
    found = score_samples(tiny, pairs)
    answers = answers_of(fitted, logits_of(tiny, found.scores), found)
    assert len(answers.confidence) == found.scores.size
    assert answers.probabilities.mean() == pytest.approx(found.holds.mean(), abs=1e-6)  # of a fit with a bias
    assert fitted.measures["after"]["answers"] == found.scores.size


def test_a_calibration_survives_its_file(fitted, tmp_path):
    read = matex.Calibration.load(fitted.save(tmp_path / "calibration.json"))
    assert replace(read, measures={}) == replace(fitted, measures={})
    assert json.loads(strict_json(read.measures)) == json.loads(strict_json(fitted.measures))


def test_an_explanation_gets_the_calibrated_confidence_of_its_phrase(tiny, pairs, fitted, tmp_path):
    film, text = pairs[0].image, pairs[0].text
    explanation = matex.explain(tiny, film, text, "rollout")
    found = fitted.apply(tiny, explanation).confidence
    scores = score_samples(tiny, pairs).scores[0] * tiny.logit_scale / fitted.temperature
    likely = slow.softmax(scores.tolist())
    assert found.probability == pytest.approx(likely[fitted.phrases.index(text)], abs=1e-5)
    assert found.confidence == pytest.approx(max(likely), abs=1e-5)
    assert found.answer == fitted.phrases[int(np.argmax(likely))]
    assert to_dict(replace(explanation, confidence=found))["confidence"]["abstain"] == found.abstain


def test_a_low_confidence_abstains_and_says_so_in_the_notes_and_after_saving(tiny, fitted, tmp_path):
    film = samples()[0]
    explanation = matex.explain(tiny, film.path, fitted.phrases[0], "rollout")
    for strict in (replace(fitted, threshold=1.0), replace(fitted, threshold=None)):
        found = strict.apply(tiny, explanation)
        assert found.confidence.abstain
        assert found.notes[-1].startswith("abstain")
    assert "abstain" in (found.save(tmp_path) / "report.html").read_text()
    assert matex.Explanation.load(tmp_path, film.path).confidence == found.confidence
    lenient = replace(fitted, threshold=0.0).apply(tiny, explanation)
    assert lenient.notes == explanation.notes
    assert lenient.confidence.decision.startswith("answer")


def test_another_model_phrase_or_preprocessing_is_refused(tiny, fitted):
    film = samples()[0].path
    explanation = matex.explain(tiny, film, fitted.phrases[0], "rollout")
    with pytest.raises(InputError, match="weights"):
        fitted.apply(matex.load("tiny-plain"), explanation)
    with pytest.raises(UnknownName, match="phrase of this calibration"):
        fitted.apply(tiny, matex.explain(tiny, film, "a spine", "rollout"))
    with pytest.raises(InputError, match="resize"):
        fitted.apply(tiny, matex.explain(tiny, film, fitted.phrases[0], "rollout", resize="pad"))
    with pytest.raises(InputError, match="one phrase"):
        fitted.apply(tiny, matex.explain(tiny, film, fitted.phrases[0], "rollout", against=fitted.phrases[1]))


def test_files_that_are_no_calibration_are_refused(fitted, tmp_path):
    path = fitted.save(tmp_path / "c.json")
    record = json.loads(path.read_text())
    for damaged in ({**record, "format": "other"}, {**record, "phrases": 3}, {**record, "temperature": -1}):
        path.write_text(json.dumps(damaged))
        with pytest.raises(InputError, match="Expected"):
            matex.Calibration.load(path)


def test_black_boxes_and_images_with_two_right_phrases_are_refused(tiny, pairs):
    film = samples()[0].path
    twice = [Sample("1", film, "nodule"), Sample("2", film, "effusion"), Sample("3", samples()[1].path, "nodule")]
    with pytest.raises(InputError, match="kind sigmoid"):
        matex.calibrate(tiny, twice)
    with pytest.raises(InputError, match="two or more"):
        matex.calibrate(tiny, twice[:1])
    box = matex.from_score(lambda images, texts: np.zeros((len(images), len(texts))))
    with pytest.raises(InputError, match="black box"):
        matex.calibrate(box, pairs)
    with pytest.raises(InputError, match="phrases of the validation pairs"):
        score_samples(tiny, twice, ["nodule", "mass"])


def test_uncertainty_of_the_maps_is_compared_with_the_confidence(tiny, pairs, fitted):
    found = {one.signal: one for one in error_detection(tiny, fitted, pairs[:4], "grad-eclip", noise=1)}
    assert next(iter(found)) == "1 - confidence"
    assert {"deviation, noise", "1 - likeness, noise", "deviation, paraphrases"} <= set(found)
    assert all(one.wrong + one.right == 4 for one in found.values())
