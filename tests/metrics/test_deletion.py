"""Deletion and insertion against pictures drawn pixel by pixel, closed forms, and what is undefined."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from matex.errors import InputError
from matex.metrics import make_metric
from matex.metrics.deletion import PixelOrder, area_under, blurred, noise
from matex.metrics.shrunk import shrunk
from matex.metrics.target_class import class_embeddings, explained_class
from tests.metrics.made import film, loop, make_case, same, small_model
from tests.reference import deletion as twin

LABELS = {
    name: (f"{n} {n + 1}", f"{n + 2} 5 {n}", f"{3 * n}") for n, name in enumerate(("nodule", "mass", "fluid"), start=4)
} | {f"other-{n}": (f"{n} 9 {n}",) for n in range(50, 58)}


@pytest.fixture(scope="module")
def model():
    return small_model()


def cases_of(model, labels=None, count=3):
    """Cases of three classes; with labels, of the map of a phrase of the case's own class."""
    names = list(LABELS)
    texts = [LABELS[name][0] for name in names] if labels else ["3 14 15 9", "26 5", "7 7 8 1 30"]
    return [
        make_case(model, i, text=texts[i], labels=labels, label=names[i], picture=film(i, 25 + i, 23, i != 1))
        for i in range(count)
    ]


def drawn(case, side):
    """The twin's eleven pictures as the model sees them."""
    picture = np.asarray(Image.fromarray(case.explanation.film.pixels).convert("RGB"))
    grain = noise(case.sample.id, 0, picture.shape[:2])
    pictures = twin.half_way(picture, case.explanation.image.raw, grain, side)
    films = [dataclasses.replace(case.explanation.film, pixels=one) for one in pictures]
    return twin.image_embeddings(case.model.module, [case.model.prepare(one)[0][0] for one in films])


def predicted_class(case, classes):
    seen = twin.image_embeddings(case.model.module, [case.model.prepare(case.explanation.film)[0][0]])
    return list(LABELS)[int((classes @ seen[0]).argmax())]


def explaining(case, name):
    """The case with the map of another class's phrase."""
    text = LABELS[name][0]
    query = dataclasses.replace(case.explanation.query, text=text)
    explanation = dataclasses.replace(case.explanation, query=query, token_ids=case.model.encode(text).ids)
    return dataclasses.replace(case, explanation=explanation)


def close(actual, expected):
    assert [float(value) for value in actual] == pytest.approx([float(value) for value in expected], abs=1e-8)


def test_similarity_equals_the_twin(model):
    cases = cases_of(model)
    found = make_metric("deletion-insertion", {"batch_size": 5})(cases)
    for i, case in enumerate(cases):
        words = twin.text_embedding(model.module, list(case.token_ids))
        for side in ("deletion", "insertion"):
            curve = (drawn(case, side) @ words).tolist()
            close([found[f"{side}_at_{percent}"][i] for percent in range(0, 51, 5)], curve)
            close([found[f"{side}_auc"][i]], [twin.trapezoid(curve)])


@pytest.mark.parametrize("protocol", ["grad-eclip", "gradeclip_script"])
@pytest.mark.parametrize("target", ["truth", "predicted"])
def test_zero_shot_equals_the_twin(model, protocol, target):
    cases = cases_of(model, LABELS)
    phrases = [[list(model.encode(phrase).ids) for phrase in of_class] for of_class in LABELS.values()]
    classes = twin.class_embeddings(model.module, phrases)
    if target == "predicted":
        cases = [explaining(case, predicted_class(case, classes)) for case in cases]
    found = make_metric("deletion-insertion", {"protocol": protocol, "target": target, "batch_size": 7})(cases)
    script = protocol == "gradeclip_script"
    start = "script_" if script else ""
    seen = []
    for i, case in enumerate(cases):
        down, up = drawn(case, "deletion"), drawn(case, "insertion")
        wanted = list(LABELS).index(case.sample.label) if target == "truth" else int((classes @ down[0]).argmax())
        for k in (1, 5, 10):
            curves = {
                side: twin.hits(some, classes, wanted, k) for side, some in (("deletion", down), ("insertion", up))
            }
            percents = {"deletion": range(0, 51, 5), "insertion": range(0, 51, 5)}
            if script:
                curves["insertion"] = [*curves["insertion"][1:], curves["deletion"][0]]
                percents["insertion"] = [*range(5, 51, 5), 100]
            for side, curve in curves.items():
                name = f"{start}{side}_top{k}"
                close([found[f"{name}_at_{percent}"][i] for percent in percents[side]], curve)
                close([found[f"{name}_auc"][i]], [twin.trapezoid(curve)])
                seen += curve
    assert 0 < np.mean(seen) < 1
    assert f"{start}insertion_top1_at_0" not in found if script else f"{start}insertion_top1_at_0" in found


@pytest.mark.parametrize("labels", [None, LABELS], ids=["phrases", "classes"])
def test_rise_equals_the_twin(model, labels):
    case = cases_of(model, labels)[0]
    found = make_metric("deletion-insertion", {"protocol": "rise", "batch_size": 16})([case])
    values = case.raw.numpy()
    curves = {}
    for side in ("deletion", "insertion"):
        pictures = twin.to_the_end(case.pixels, values, side)
        assert len(pictures) == 36  # 35 x 35 pixels, 35 at a time
        seen = twin.image_embeddings(model.module, pictures)
        if labels:
            phrases = [[list(model.encode(phrase).ids) for phrase in of_class] for of_class in labels.values()]
            logits = model.logit_scale * seen @ twin.class_embeddings(model.module, phrases).T
            explained = list(labels).index("nodule")  # whatever the model predicts: the map is of this class
            curves[side] = [float(row.exp()[explained] / row.exp().sum()) for row in logits]
        else:
            curves[side] = (seen @ twin.text_embedding(model.module, list(case.token_ids))).tolist()
    for side, curve in curves.items():
        name = f"rise_{side}_probability" if labels else f"rise_{side}"
        assert found[f"{name}_auc"][0] == pytest.approx(twin.trapezoid(curve), abs=1e-6)  # float32 kernel and order
        assert found[f"{name}_at_0"][0] == pytest.approx(curve[0], abs=1e-6)
        assert found[f"{name}_at_20"][0] == pytest.approx(curve[7], abs=1e-6)
        assert found[f"{name}_at_30"][0] == pytest.approx((curve[10] + curve[11]) / 2, abs=1e-6)
        assert found[f"{name}_at_100"][0] == pytest.approx(curve[35], abs=1e-6)


@pytest.mark.parametrize(
    ("parameters", "labels"),
    [({"batch_size": 10}, None), ({"batch_size": 7}, LABELS), ({"protocol": "rise", "batch_size": 50}, None)],
    ids=["similarity", "classes", "rise"],
)
def test_a_batch_equals_its_cases_one_by_one(model, parameters, labels):
    cases = [*cases_of(model, labels), make_case(model, 9, grid=np.ones((5, 5)), labels=labels)]
    metric = make_metric("deletion-insertion", parameters)
    same(metric(cases), loop(metric, cases), tolerance=1e-8)


def test_the_phrase_decides_without_classes_and_the_class_with_them(model):
    metric = make_metric("deletion-insertion", {})
    assert "deletion_auc" in metric(cases_of(model)[:1])
    assert "deletion_top1_auc" in metric(cases_of(model, LABELS)[:1])
    assert set(metric(cases_of(model)[:1])) == set(metric([]))


def test_every_column_says_which_way_is_better(model):
    for labels in (None, LABELS):
        for protocol in ("auto", "similarity", "rise", *(["grad-eclip", "gradeclip_script"] if labels else [])):
            metric = make_metric("deletion-insertion", {"protocol": protocol})
            case = make_case(model, 0, grid=np.ones((5, 5)), labels=labels)
            for name in metric([case]):
                assert metric.better[name] == ("lower" if "deletion" in name else "higher")


def test_noise_depends_on_sample_and_seed_alone(model):
    case = cases_of(model)[0]
    first, again = (make_metric("deletion-insertion", {})([case]) for _ in range(2))
    same(first, again, tolerance=0)
    other = make_metric("deletion-insertion", {"seed": 1})([case])
    assert other["deletion_at_10"][0] != first["deletion_at_10"][0]
    assert other["insertion_at_10"][0] == first["insertion_at_10"][0]
    assert (noise("a", 0, (4, 5)) != noise("b", 0, (4, 5))).any()
    grain = noise("a", 0, (60, 70))
    assert grain.max() == 254
    assert grain.mean() == pytest.approx(127, abs=2)


@pytest.mark.parametrize("value", [3.0, np.nan])
@pytest.mark.parametrize("protocol", ["similarity", "rise"])
def test_a_constant_map_has_no_order(model, protocol, value):
    metric = make_metric("deletion-insertion", {"protocol": protocol})
    found = metric([make_case(model, 0, grid=np.full((5, 5), value))])
    assert all(np.isnan(values[0]) for values in found.values())


def test_a_sample_without_its_class_is_undefined(model):
    cases = [
        make_case(model, 0, text=LABELS["nodule"][0], labels=LABELS, label=label)
        for label in ("nodule", None, "unheard of")
    ]
    found = make_metric("deletion-insertion", {})(cases)
    assert np.isnan(found["deletion_top1_auc"]).tolist() == [False, True, True]


def test_a_top_k_of_all_classes_is_undefined(model):
    few = {name: LABELS[name] for name in list(LABELS)[:5]}
    found = make_metric("deletion-insertion", {})(
        [make_case(model, 0, text=LABELS["mass"][0], labels=few, label="mass")]
    )
    assert np.isfinite(found["deletion_top1_auc"][0])
    assert np.isnan(found["deletion_top5_auc"][0])


@pytest.mark.parametrize("protocol", ["grad-eclip", "gradeclip_script"])
def test_the_map_of_one_class_is_not_scored_with_another(model, protocol):
    """MMEL's prediction columns: the map of the true class says nothing about the predicted one."""
    phrases = [[list(model.encode(phrase).ids) for phrase in of_class] for of_class in LABELS.values()]
    classes = twin.class_embeddings(model.module, phrases)
    case = cases_of(model, LABELS)[0]
    wrong = next(name for name in LABELS if name not in (predicted_class(case, classes), "nodule"))
    metrics = {
        target: make_metric("deletion-insertion", {"protocol": protocol, "target": target})
        for target in ("truth", "predicted")
    }
    for metric in metrics.values():
        with pytest.raises(InputError, match="Expected the map of a phrase of the target class") as error:
            metric([explaining(case, wrong)])
        assert repr(LABELS[wrong][0]) in str(error.value)
        assert "Explain a phrase of that class" in str(error.value)
    metrics["predicted"]([explaining(case, predicted_class(case, classes))])
    metrics["truth"]([case])


def test_rise_scores_the_class_whose_phrase_was_explained(model):
    case = cases_of(model, LABELS)[0]
    metric = make_metric("deletion-insertion", {"protocol": "rise", "batch_size": 64})
    own, other = metric([case, explaining(case, "fluid")])["rise_deletion_probability_at_0"]
    assert own != pytest.approx(other)
    assert np.isnan(metric([make_case(model, 0, text="31 41", labels=LABELS)])["rise_deletion_probability_auc"][0])


def test_phrases_that_are_no_class_are_scored_by_themselves(model):
    """A data set whose phrase says more than its class: "opacity in the left lung" is no phrase of "opacity"."""
    case = make_case(model, 0, text="4 5 6", labels=LABELS, label="nodule")
    assert "deletion_auc" in make_metric("deletion-insertion", {})([case])
    with pytest.raises(InputError, match="phrase of the target class 'nodule'"):
        make_metric("deletion-insertion", {"protocol": "grad-eclip"})([case])


@pytest.mark.parametrize(
    ("label", "expected"), [("mass", "mass"), ("nodule", "nodule"), (None, "nodule"), ("none", "nodule")]
)
def test_a_phrase_of_two_classes_is_that_of_the_samples_own(model, label, expected):
    labels = {"nodule": ("3 14",), "mass": ("26 5", "3 14"), "none": ("7",)}
    assert explained_class(make_case(model, 0, text="3 14", labels=labels, label=label)) == expected
    assert explained_class(make_case(model, 0, text="9", labels=labels, label=label)) is None


def test_classes_are_asked_for_when_there_are_none(model):
    with pytest.raises(InputError, match="similarity"):
        make_metric("deletion-insertion", {"protocol": "grad-eclip"})([make_case(model, 0)])


def test_pixels_outside_of_the_view_stay_until_the_end():
    model = small_model("crop")
    case = make_case(model, 0, picture=film(0, 40, 80))
    canvas = PixelOrder.of(case, 0)
    unseen = np.isnan(case.explanation.image.raw)
    assert unseen.mean() == 0.5
    assert canvas.rank[~unseen].max() < canvas.rank[unseen].min()
    picture = canvas.picture_at("deletion", 10)
    changed = (picture != canvas.picture).any(-1)
    assert not changed[unseen].any()
    assert changed[~unseen].mean() == pytest.approx(0.5, abs=0.02)


def test_large_films_are_shrunk_to_640_pixels(model):
    pixels = film(0, 700, 1300, colour=False).pixels
    assert shrunk(pixels).shape == (640, 1188)
    assert shrunk(pixels[:, :600]) is not pixels
    assert shrunk(film(0, 640, 900).pixels).shape == (640, 900, 3)
    case = make_case(model, 0, picture=film(0, 700, 1300, colour=False))
    canvas = PixelOrder.of(case, 0)
    assert canvas.rank.shape == (640, 1188)
    y, x = np.unravel_index(canvas.rank.argmin(), canvas.rank.shape)
    top = np.unravel_index(np.argmax(case.explanation.image.raw), (700, 1300))
    assert abs(y / 640 - top[0] / 700) < 0.003
    assert abs(x / 1188 - top[1] / 1300) < 0.003


def test_small_images_stop_where_whole_pixels_end(model):
    """24 x 20 pixels: int(480 / 200) = 2 pixels a step, 41.7 % after a hundred."""
    canvas = PixelOrder.of(make_case(model, 0, picture=film(0, 24, 20)), 0)
    inserted = canvas.picture_at("insertion", 10).any(-1)
    assert inserted.mean() == pytest.approx(0.417, abs=0.003)


def test_the_area_of_a_constant_is_the_constant():
    assert area_under(np.full(11, 0.3)) == pytest.approx(0.3)
    assert area_under(np.linspace(0, 1, 11)) == pytest.approx(0.5)
    assert area_under(np.array([1.0, 0, 0])) == pytest.approx(0.25)


def test_the_blur_keeps_a_constant_inside_and_darkens_the_border():
    result = blurred(torch.ones(3, 30, 31, dtype=torch.float64))
    torch.testing.assert_close(result[:, 5:-5, 5:-5], torch.ones(3, 20, 21, dtype=torch.float64))
    assert result[0, 0, 0] < 0.5


def test_the_blur_is_that_of_rises_kernel():
    """Its kernel: an impulse in the middle of 11 x 11, filtered by SciPy with mirrored borders."""
    impulse = np.zeros((11, 11))
    impulse[5, 5] = 1
    kernel = gaussian_filter(impulse, 5)
    pixels = torch.zeros(1, 21, 21, dtype=torch.float64)
    pixels[0, 10, 10] = 1
    np.testing.assert_allclose(blurred(pixels)[0, 5:16, 5:16], kernel, rtol=0, atol=1e-12)


def test_class_embeddings_are_made_again_when_weights_change():
    model = small_model()
    _, first = class_embeddings(model, LABELS, 8)
    assert class_embeddings(model, LABELS, 8)[1] is first
    with torch.no_grad():
        next(model.module.text_model.parameters()).mul_(1.5)
    assert (class_embeddings(model, LABELS, 8)[1] != first).any()


@pytest.mark.parametrize("parameters", [{"protocol": "auc"}, {"target": "class"}, {"seed": -1}, {"batch_size": 0}])
def test_wrong_parameters_are_refused(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        make_metric("deletion-insertion", parameters)
