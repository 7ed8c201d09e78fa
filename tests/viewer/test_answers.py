"""What the server answers, without a browser."""

import base64
import io
import json
import time
import zipfile

import numpy as np
import pydicom
import pytest
from PIL import Image

import matex
from matex.samples import samples
from matex.yardstick import affirmed, denied
from tests.dicom.films import cr, dx, written

PHRASE = "opacity in the left lower lung"


def test_an_explanation_is_the_one_that_python_computes(viewer, film):
    start = time.perf_counter()
    found = viewer.result("api/explain", {"film": film, "text": PHRASE, "method": "matex"})
    assert time.perf_counter() - start < 2  # the first map on screen; measured 0.1 to 0.3 s
    sample = next(sample for sample in samples() if sample.name == "left-lower-opacity")
    expected = matex.explain(matex.load("tiny"), sample.path, PHRASE, view=sample.view)
    assert found["score"] == pytest.approx(expected.score, abs=1e-6)
    assert found["words"] == [[word, pytest.approx(score, abs=1e-5)] for word, score in expected.words]
    assert [layer["term"] for layer in found["layers"]] == ["gradient", "flow", "consistency", "prior", None]
    assert found["map"]["range"] == [pytest.approx(end, abs=1e-5) for end in expected.image.range]
    (mention,) = found["mentions"]
    assert PHRASE[mention["start"] : mention["end"]] == "left lower lung"


def test_a_method_without_terms_has_no_live_weights(viewer, film):
    found = viewer.result("api/explain", {"film": film, "text": PHRASE, "method": "rollout"})
    assert (found["layers"], found["live"]) == ([], None)


def test_the_yardstick_names_other_phrases(viewer, film):
    rows = viewer.post("api/yardstick", {"film": film, "text": PHRASE}).json()
    assert {row["kind"]: row["text"] for row in rows} == {
        "this phrase": PHRASE,
        "other side": "opacity in the right lower lung",
        "denied": "no opacity in the left lower lung",
        "unrelated": "the weather is fine today",
        "no words": "",
    }
    assert len({row["score"] for row in rows}) == 5
    without_side = viewer.post("api/yardstick", {"film": film, "text": "no effusion"}).json()
    assert [row["kind"] for row in without_side] == ["this phrase", "affirmed", "unrelated", "no words"]


def test_denying_and_affirming_are_opposites():
    assert denied("Opacity") == "no opacity"
    assert denied("RUL opacity") == "no RUL opacity"
    assert affirmed(denied("opacity")) == "opacity"
    assert affirmed("clear lungs") == "clear lungs"


def test_covering_the_highlighted_region_changes_the_score_and_covering_nothing_is_refused(viewer, film):
    question = {"film": film, "text": PHRASE}
    both = viewer.post("api/cover", {**question, "boxes": [[0.6, 0.4, 0.9, 0.65]]}).json()
    corner = viewer.post("api/cover", {**question, "boxes": [[0.0, 0.0, 0.1, 0.1]]}).json()
    assert both["before"] == corner["before"]
    assert both["after"] < both["before"] - 0.02
    assert abs(corner["after"] - corner["before"]) < abs(both["after"] - both["before"])
    for boxes in ([], [[0, 0, 1, 1]], [[0.5, 0.5, 0.4, 0.6]], [[0, 0, 2, 1]], [["a", 0, 1, 1]], "x"):
        assert viewer.post("api/cover", {**question, "boxes": boxes}).status == 422


def test_agreement_is_1_with_itself_and_symmetric(viewer, film):
    names = ("matex", "rollout", "grad-eclip")
    keys = [viewer.result("api/explain", {"film": film, "text": PHRASE, "method": name})["id"] for name in names]
    found = viewer.post("api/agreement", {"explanations": keys}).json()
    likeness = np.array(found["likeness"])
    np.testing.assert_allclose(np.diag(likeness), 1, atol=1e-6)
    np.testing.assert_allclose(likeness, likeness.T, atol=1e-9)


def test_a_figure_holds_all_maps_and_is_the_same_twice(viewer, film):
    names = ("matex", "rollout")
    keys = [viewer.result("api/explain", {"film": film, "text": PHRASE, "method": name})["id"] for name in names]
    made = [viewer.post("api/figure", {"explanations": keys, "format": kind}) for kind in ("svg", "svg", "pdf", "png")]
    assert [answer.status for answer in made] == [200] * 4
    assert made[0].body == made[1].body
    assert [answer.body[:4] for answer in made[1:]] == [b"<?xm", b"%PDF", b"\x89PNG"]
    assert all(name.encode() in made[0].body for name in names)
    assert 'comparison.svg"' in made[0].headers["content-disposition"]


def test_the_audit_comes_with_the_maps_of_its_controls(viewer, film):
    key = viewer.result("api/explain", {"film": film, "text": PHRASE, "method": "rollout"})["id"]
    found = viewer.result("api/audit", {"explanation": key})
    assert found["verdict"] == "fail"
    assert {"other_side", "unrelated", "random_weights_1"} <= {control["name"] for control in found["controls"]}
    assert all(control["map"]["grid"]["values"] for control in found["controls"])


def test_every_download_can_be_read_again(viewer, film):
    found = viewer.result("api/explain", {"film": film, "text": PHRASE, "method": "matex"})
    files = {
        kind: viewer.get(f"api/explanations/{found['id']}/{kind}").body
        for kind in viewer.get("api/start").json()["files"]
    }
    assert json.loads(files["explanation.json"])["score"] == pytest.approx(found["score"])
    assert np.load(io.BytesIO(files["image_map.npy"])).shape == (512, 512)
    assert Image.open(io.BytesIO(files["overlay.png"])).width >= 512
    assert files["report.html"].startswith(b"<!doctype html>")
    objects = zipfile.ZipFile(io.BytesIO(files["dicom.zip"]))
    assert {"film.dcm", "report.dcm", "parametric_map.dcm"} <= set(objects.namelist())


def test_dicom_objects_of_a_dicom_film_join_its_study(viewer, tmp_path):
    original = written(dx(), tmp_path / "film.dcm").read_bytes()
    key = viewer.ask("POST", "api/films", original).json()["id"]
    found = viewer.result("api/explain", {"film": key, "text": PHRASE, "method": "matex"})
    answer = viewer.get(f"api/explanations/{found['id']}/dicom.zip")
    assert answer.status == 200, answer.body
    objects = zipfile.ZipFile(io.BytesIO(answer.body))
    assert "film.dcm" not in objects.namelist()
    source = pydicom.dcmread(io.BytesIO(original))
    for name in objects.namelist():
        made = pydicom.dcmread(io.BytesIO(objects.read(name)))
        assert made.StudyInstanceUID == source.StudyInstanceUID
        assert made.PatientID == source.PatientID


def test_a_slow_method_is_cancelled_and_others_run_meanwhile(viewer, film):
    job = viewer.post(
        "api/explain", {"film": film, "text": PHRASE, "method": "rise", "parameters": {"masks": 20_000}}
    ).json()["job"]
    while not (answer := viewer.get(f"api/jobs/{job}").json())["total"]:
        assert answer["state"] in ("waiting", "running")
    start = time.perf_counter()
    viewer.result("api/explain", {"film": film, "text": PHRASE, "method": "matex"})
    assert time.perf_counter() - start < 2
    viewer.ask("DELETE", f"api/jobs/{job}")
    while (answer := viewer.get(f"api/jobs/{job}").json())["state"] == "running":
        pass
    assert answer["state"] == "cancelled"
    assert answer["done"] < answer["total"]


def test_refusals_are_one_line_that_says_what_to_do(viewer, film):
    answers = {
        "method": {"film": film, "text": PHRASE, "method": "gradcm"},
        "parameters": {"film": film, "text": PHRASE, "method": "matex", "parameters": {"alpha": -1}},
        "model": {"film": film, "text": PHRASE, "model": "hf:elsewhere"},
        "film": {"film": "none", "text": PHRASE},
    }
    for name, body in answers.items():
        answer = viewer.post("api/explain", body)
        if answer.status == 202:
            while (answer_json := viewer.get(f"api/jobs/{answer.json()['job']}").json())["state"] in (
                "waiting",
                "running",
            ):
                pass
            message = answer_json["error"]
        else:
            assert answer.status in (404, 422)
            message = answer.json()["error"]
        assert message, name
        assert "\n" not in message


def test_a_report_is_read_sentence_by_sentence(viewer):
    found = viewer.post("api/read", {"text": "PA view. Opacity at the left base. No effusion."}).json()
    assert [sentence["claim"] for sentence in found["sentences"]] == ["no finding", "positive", "negated"]


@pytest.mark.parametrize(
    ("dataset", "spacing"),
    [
        (dx(), [0.25, 0.25, False]),
        (cr(), [0.2, 0.3, True]),
        (dx(PixelSpacing=["0.25", "0.25"]), [0.25, 0.25, False]),
        (dx(PixelSpacing=["0.2", "0.2"]), [0.2, 0.2, True]),
        (cr(PixelSpacing=None), None),
    ],
)
def test_the_scale_of_a_film_is_that_of_the_detector_unless_it_was_calibrated(viewer, tmp_path, dataset, spacing):
    data = written(dataset, tmp_path / "film.dcm").read_bytes()
    assert viewer.ask("POST", "api/films", data).json()["spacing"] == spacing


def test_word_maps_and_the_words_of_a_place_are_those_of_python(viewer, film):
    found = viewer.result("api/words", {"film": film, "text": PHRASE})
    sample = next(sample for sample in samples() if sample.name == "left-lower-opacity")
    expected = matex.interactions(matex.load("tiny"), sample.path, PHRASE, view=sample.view)
    assert [word["name"] for word in found["words"]] == list(expected.words)
    values = [np.frombuffer(base64.b64decode(word["grid"]["values"]), "<f4") for word in found["words"]]
    np.testing.assert_allclose(np.reshape(values, expected.values.shape), expected.values, atol=1e-6)
    ends = [pytest.approx(expected.values.min(), abs=1e-6), pytest.approx(expected.values.max(), abs=1e-6)]
    assert all(word["range"] == ends for word in found["words"])  # one scale
    answer = viewer.post("api/support", {"words": found["id"], "boxes": [[0.5, 0.25, 1, 0.75]]}).json()
    assert answer["area"] == 0.25
    for row, support in zip(answer["words"], expected.support((256, 128, 512, 384)), strict=True):
        assert (row["word"], row["sum"], row["share"]) == (
            support.word,
            pytest.approx(support.sum, abs=1e-5),
            pytest.approx(support.share, abs=1e-4),
        )
    assert viewer.post("api/support", {"words": "none", "boxes": [[0, 0, 1, 1]]}).status == 404
    assert viewer.post("api/support", {"words": found["id"], "boxes": [[0, 0, 0, 1]]}).status == 422


def test_the_words_of_a_method_without_word_scores_are_named_without_numbers(viewer, film):
    found = viewer.result("api/explain", {"film": film, "text": "Opacity, left.", "method": "gradcam"})
    assert found["words"] == [["Opacity", None], ["left", None]]


def test_a_film_is_read_as_a_person_states_and_back(viewer, film):
    sample = next(sample for sample in samples() if sample.name == "left-lower-opacity")

    def settings(key, **values):
        return viewer.post(f"api/films/{key}/settings", values)

    turned = settings(film, view="AP", mirrored="yes").json()
    assert (turned["view"], turned["mirrored"], turned["set"]) == ("AP", True, True)
    assert turned["id"] != film
    found = viewer.result("api/explain", {"film": turned["id"], "text": PHRASE, "resize": "crop"})
    expected = matex.explain(matex.load("tiny"), sample.path, PHRASE, view="AP", mirrored=True, resize="crop")
    assert found["score"] == pytest.approx(expected.score, abs=1e-6)
    assert found["map"]["range"] == [pytest.approx(end, abs=1e-5) for end in expected.image.range]
    natural = settings(film, domain="natural").json()
    assert (natural["sides"], natural["places"], natural["domain"]) == (None, [], "natural")
    assert viewer.result("api/explain", {"film": natural["id"], "text": PHRASE})["live"]["prior"] is not None
    abdomen = settings(film, domain="abdomen", view="AP").json()
    assert (abdomen["domain"], abdomen["view"], abdomen["places"]) == ("abdomen", "AP", [])
    found = viewer.result("api/explain", {"film": abdomen["id"], "text": "stone in the left kidney"})
    assert [(one["region"], one["side"]) for one in found["mentions"]] == [("kidney", "patient's left")]
    assert settings(film, domain="abdomen", view="RCC").status == 422
    assert settings(film, domain="../my-pack.toml").status == 422  # no file of the server
    assert settings(turned["id"]).json()["id"] == film  # back to what the file states
    assert settings(film, view="SIDEWAYS").status == 422
    assert settings("none").status == 404


def test_a_phrase_is_read_in_the_words_of_the_domain(viewer):
    text = "Infarct in the left thalamus, right lung clear."
    brain = viewer.post("api/read", {"text": text, "domain": "brain-axial"}).json()
    assert [(one["region"], one["side"]) for one in brain["mentions"]] == [("thalamus", "patient's left")]
    assert viewer.post("api/read", {"text": text, "domain": "natural"}).json()["mentions"] == []
    assert viewer.post("api/read", {"text": text, "domain": "my-pack.toml"}).status == 422


def test_a_lung_mask_moves_the_prior_and_is_removed(viewer, film):
    height, width = 512, 512
    mask = np.zeros((height, width), np.uint8)
    mask[100:300, 60:200], mask[100:300, 300:440] = 1, 2
    stream = io.BytesIO()
    np.save(stream, mask)
    masked = viewer.ask("POST", f"api/films/{film}/mask", stream.getvalue()).json()
    assert masked["mask"]
    found = viewer.result("api/explain", {"film": masked["id"], "text": PHRASE})
    assert found["lung_mask"]
    sample = next(sample for sample in samples() if sample.name == "left-lower-opacity")
    model = matex.load("tiny")
    expected = matex.explain(model, sample.path, PHRASE, view=sample.view, lung_mask=mask)
    assert found["map"]["range"] == [pytest.approx(end, abs=1e-5) for end in expected.image.range]
    assert np.abs(expected.prior - matex.explain(model, sample.path, PHRASE).prior).max() > 0.1
    back = viewer.post(f"api/films/{masked['id']}/settings", {"mask": "remove"}).json()
    assert (back["id"], back["mask"]) == (film, False)
    for wrong in (b"no mask", stream.getvalue()[:-5]):
        answer = viewer.ask("POST", f"api/films/{film}/mask", wrong)
        assert answer.status == 422
        assert "lung mask" in answer.json()["error"]


OTHER = "opacity in the right lower lung"


@pytest.mark.parametrize(
    ("fields", "settings"),
    [
        ({"against": OTHER}, {"against": OTHER}),
        ({"labels": "own", "classes": [OTHER, "clear lungs"], "of": "margin"}, {"labels": [OTHER, "clear lungs"]}),
    ],
)
def test_another_score_is_the_one_that_python_explains_and_covering_measures_it(viewer, film, tiny, fields, settings):
    text = "opacity in the left lower lung"
    asked = {"film": film, "text": text, **fields}
    found = viewer.result("api/explain", {**asked, "method": "gradient"})
    of = {"of": fields["of"]} if "of" in fields else {}
    path = next(sample.path for sample in samples() if sample.name == "left-lower-opacity")
    expected = matex.explain(tiny, path, text, "gradient", **settings, **of)
    assert found["score"] == pytest.approx(expected.score, abs=1e-4)
    assert found["score_kind"] == expected.score_kind
    assert found["other_score"]
    covered = viewer.post("api/cover", {**asked, "boxes": [[0.5, 0.4, 0.8, 0.8]]}).json()
    assert covered["before"] == pytest.approx(expected.score, abs=1e-4)
    refused = viewer.post("api/audit", {"explanation": found["id"]})
    assert refused.status == 422
    assert "Take the other score out" in refused.json()["error"]


def test_an_empty_phrase_is_the_predicted_class_where_there_are_classes(viewer, film):
    found = viewer.result("api/explain", {"film": film, "text": "", "method": "rollout", "labels": "chest14"})
    assert "predicted class" in found["score_kind"]
    job = viewer.post("api/explain", {"film": film, "text": "", "method": "rollout"}).json()["job"]
    while (answer := viewer.get(f"api/jobs/{job}").json())["state"] in ("waiting", "running"):
        pass
    assert "Expected a phrase" in answer["error"]
    assert viewer.post("api/explain", {"film": film, "text": "a", "labels": "chest15"}).status == 422
