"""The whole flow with the bundled model: what a user gets back."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import matex
from matex.errors import InputError
from matex.geometry import Placement
from matex.samples import samples
from matex.traced import trace_pairs
from tests.conftest import small_clip


@pytest.fixture(scope="module")
def film():
    return next(sample for sample in samples() if not sample.normal)


@pytest.fixture(scope="module")
def explanation(tiny, film):
    return matex.explain(tiny, film.path, "opacity in the left lower lung")


def test_maps_come_back_in_original_pixels(explanation, film):
    assert explanation.image.values.shape == (film.height, film.width)
    assert explanation.image.values.dtype == np.float32
    assert explanation.image.values.min() == 0
    assert explanation.image.values.max() == 1
    rows, columns = explanation.image.grid.shape
    assert list(explanation.components) == ["gradient", "flow", "consistency", "prior"]
    assert {grid.shape for grid in explanation.components.values()} == {(rows, columns)}


def test_the_raw_map_is_the_weighted_sum_of_the_terms(explanation):
    total = sum(explanation.weights[name] * grid for name, grid in explanation.components.items())
    np.testing.assert_allclose(explanation.image.grid, total, atol=1e-6)
    np.testing.assert_allclose(
        explanation.components["prior"], explanation.prior * explanation.components["gradient"], atol=1e-6
    )


def test_the_high_level_map_is_the_low_level_one(tiny, explanation, film):
    pixels, _ = tiny.prepare(matex.read(film.path))
    ids = torch.tensor([tiny.encode(explanation.text).ids])
    grid = matex.attribute(tiny, pixels, ids, method="matex", text=explanation.text, **explanation.parameters)
    np.testing.assert_allclose(grid.numpy(), explanation.image.grid, atol=1e-5)
    assert explanation.score == pytest.approx(matex.score(tiny, pixels, ids).item(), abs=1e-6)


def test_the_low_level_arguments_are_those_of_the_contract(tiny, film):
    pixels, _ = tiny.prepare(matex.read(film.path))
    ids = torch.tensor([tiny.encode("opacity").ids])
    torch.testing.assert_close(matex.attribute(tiny, pixels, ids), matex.attribute(tiny, pixels, ids, "grad-eclip"))
    assert matex.attribute(tiny, pixels, ids, "rollout", "text", None).shape == ids[0].shape


def test_weights_that_are_not_finite_are_said_to_make_the_score_undefined(tiny, film):
    import copy

    from matex.adapters.clip import adapt

    broken = copy.deepcopy(tiny.module)
    broken.visual_projection.weight.fill_(float("nan"))
    model = adapt(broken, "broken", preprocessing=tiny.preprocessing, tokenizer=tiny.tokenizer)
    made = matex.explain(model, film.path, "opacity")
    assert np.isnan(made.score)
    assert any("the score is undefined" in note for note in made.notes)


def test_words_are_those_of_the_phrase_and_sum_its_tokens(explanation):
    assert [word for word, _ in explanation.words] == ["opacity", "in", "the", "left", "lower", "lung"]
    assert sum(s for _, s in explanation.words) == pytest.approx(sum(t.score for t in explanation.tokens), rel=1e-5)
    assert all(explanation.text[t.start : t.end] == t.text for t in explanation.tokens)


def test_regions_say_what_was_understood(explanation):
    (region,) = explanation.regions
    assert (region.text, region.region, region.side, region.weight) == ("left lower lung", "lower zone", "left", 1.0)


def test_provenance_is_complete_and_plain_data(explanation, tiny):
    record = json.loads(json.dumps(dict(explanation.provenance)))
    assert record["method"] == "matex"
    assert record["parameters"] == json.loads(json.dumps(dict(explanation.parameters)))
    assert record["model"]["weights_sha256"] == tiny.weights_sha256
    assert record["model"]["preprocessing"]["size"] == [112, 112]
    assert record["laterality"] == "patient"
    assert record["image"]["sha256"] == explanation.film.sha256
    assert set(record["versions"]) == {"python", "torch", "transformers", "numpy", "pillow"}
    assert "Not for diagnosis" in record["disclaimer"]


def test_the_same_call_gives_the_same_map(tiny, explanation, film):
    again = matex.explain(tiny, str(film.path), explanation.text)
    np.testing.assert_array_equal(again.image.grid, explanation.image.grid)
    assert again.words == explanation.words


def test_arrays_pictures_paths_and_films_are_the_same_image(tiny, explanation, film):
    with Image.open(film.path) as opened:
        picture = opened.convert("L")
    for image in (picture, np.asarray(picture), matex.read(film.path)):
        np.testing.assert_allclose(
            matex.explain(tiny, image, explanation.text).image.grid, explanation.image.grid, atol=1e-5
        )


def test_a_batch_equals_single_calls_and_keeps_their_order(tiny):
    films = samples()
    pairs = [
        (films[0].path, "opacity in the left lower lung"),
        (films[1].path, "consolidation"),
        (films[0].path, "no pleural effusion"),
        (films[2].path, "opacity in the left lower lung"),
    ]
    batch = matex.explain_batch(tiny, pairs, batch_size=2)
    assert [(e.film.name, e.text) for e in batch] == [(path.stem, text) for path, text in pairs]
    for (path, text), made in zip(pairs, batch, strict=True):
        alone = matex.explain(tiny, path, text)
        assert made.score == pytest.approx(alone.score, abs=1e-5)
        np.testing.assert_allclose(made.image.grid, alone.image.grid, atol=1e-3)


def test_an_image_with_several_texts_is_read_and_run_once(tiny, film, monkeypatch):
    import matex.encoder_choice as encoder_choice
    import matex.queries as queries

    reads, runs = [], []
    read, start = queries.read, type(tiny.image).start
    for module in (encoder_choice, queries):
        monkeypatch.setattr(module, "read", lambda image, **options: reads.append(image) or read(image, **options))
    monkeypatch.setattr(type(tiny.image), "start", lambda self, x, ids: runs.append(len(x)) or start(self, x, ids))
    matex.explain_batch(tiny, [(film.path, text) for text in ("nodule", "opacity", "lungs are clear")])
    assert [str(image) for image in reads if not isinstance(image, matex.Film)] == [str(film.path)]
    assert runs == [1]


OWN_RUNS = {
    "gradient": {},
    "saliency": {},
    "integrated-gradients": {"steps": 2, "baseline": "black"},
    "gradient-shap": {"samples": 2, "baseline": "blur"},
    "occlusion": {"window": 56},
    "kernel-shap": {"samples": 16},
    "rise": {"masks": 16},
    "embedding-space": {},
}


def test_methods_that_run_inputs_of_their_own_explain_image_and_words(tiny, film):
    made = matex.compare(tiny, film.path, "opacity in the left lower lung", OWN_RUNS)
    for name, explanation in made.items():
        assert explanation.image.grid.shape == ((14, 14) if name == "kernel-shap" else (112, 112)), name
        assert explanation.image.values.shape == made["gradient"].image.values.shape
        assert not explanation.image.degenerate, name
        assert [word for word, _ in explanation.words] == ["opacity", "in", "the", "left", "lower", "lung"]
        assert any(score for _, score in explanation.words), name


def test_a_method_without_a_text_side_scores_no_words(tiny, film):
    made = matex.compare(tiny, film.path, "opacity in the left lower lung", ["legrad", "grad-eclip"])
    assert made["legrad"].tokens == made["legrad"].words == ()
    assert not any("text map" in note for note in made["legrad"].notes)
    assert len(made["grad-eclip"].words) == 6


def test_what_cannot_be_served_is_left_out_only_when_asked_to(tiny, film, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    with pytest.raises(ImportError, match=r"pip install matex\[train\]"):
        matex.explain(tiny, film.path, "opacity", "attention-flow")
    made = matex.compare(
        tiny, film.path, "opacity", ["attention-flow", "rollout", "guided-backprop"], skip_unsupported=True
    )
    assert list(made) == ["rollout"]


def test_a_method_the_model_cannot_serve_is_refused(tiny, film):
    with pytest.raises(matex.UnsupportedModel, match="quick_gelu"):
        matex.explain(tiny, film.path, "opacity", "guided-backprop")


def test_methods_are_compared_over_one_trace(tiny, film, monkeypatch):
    runs = []
    names = [name for name in matex_methods() if name not in {*OWN_RUNS, "guided-backprop"}]
    start = type(tiny.image).start
    monkeypatch.setattr(type(tiny.image), "start", lambda self, x, ids: runs.append(len(x)) or start(self, x, ids))
    with pytest.warns(UserWarning, match="laterality"):
        made = matex.compare(tiny, film.path, "opacity in the left lower lung", names)
    assert runs == [1]
    assert set(made) == set(names)
    assert len({e.score for e in made.values()}) == 1
    assert all(e.provenance["seconds"] >= 0 for e in made.values())
    own = matex.compare(tiny, film.path, "opacity", {"matex": {"delta": 0.0}})
    assert own["matex"].parameters["delta"] == 0.0


def test_traced_pairs_serve_one_method_after_the_other(tiny, film):
    """Also those that were not announced and read gradients further down."""
    pairs = [(film.path, "opacity"), (film.path, "clear lungs"), (samples()[2].path, "opacity in the left lower lung")]
    traced = trace_pairs(tiny, pairs, [("rollout", {})])
    asked = {"first": ("matex", {"alpha": 0.2}), "second": ("matex", {"gradient_layers": 5}), "third": ("legrad", {})}
    for name, parameters in asked.values():
        made = traced.explain(name, parameters)
        for (image, text), explanation in zip(pairs, made, strict=True):
            alone = matex.explain(tiny, image, text, name, **parameters)
            np.testing.assert_allclose(explanation.image.grid, alone.image.grid, rtol=1e-3, atol=1e-6)
            assert explanation.parameters == alone.parameters
            assert explanation.text == text


def test_a_bar_says_which_method_is_at_work_and_leaves_no_trace_in_the_record(tiny, film, capsys):
    chosen = {"rollout": {}, "rise": {"masks": 3}}
    made = matex.compare(tiny, film.path, "opacity", chosen, progress=True)
    shown = capsys.readouterr().err
    assert "2/2" in shown
    assert "rise" in shown
    assert "/3" in shown  # of the masks
    alone = matex.explain(tiny, film.path, "opacity", "rise", masks=3)
    assert capsys.readouterr().err == ""
    assert made["rise"].parameters == alone.parameters
    assert "progress" not in alone.provenance["parameters"]


def matex_methods():
    from matex.attribution import METHODS

    return list(METHODS)


def test_catalog_and_registry_know_the_same_methods():
    assert sorted(entry.name for entry in matex.methods()) == sorted(matex_methods())


def test_left_in_the_phrase_is_the_right_of_the_picture(explanation, tiny, film):
    columns = explanation.prior.shape[1]
    weight = explanation.prior - 1
    assert weight[:, columns // 2 :].sum() > 20 * weight[:, : columns // 2 - 1].sum()
    with pytest.warns(UserWarning, match="paper"):
        printed = matex.explain(tiny, film.path, explanation.text, laterality="paper")
    assert (printed.prior - 1)[:, : columns // 2].sum() > (printed.prior - 1)[:, columns // 2 + 1 :].sum()
    assert printed.provenance["laterality"] == "paper"
    assert any("laterality 'paper'" in note for note in printed.notes)


@pytest.mark.parametrize(
    ("size", "resize", "share", "where"),
    [
        ((300, 200), "crop", "33%", "top 17%, bottom 17%"),
        ((200, 300), "crop", "33%", "left 17%, right 17%"),
        ((300, 200), "pad", None, None),
        ((300, 200), "model", None, None),
        ((200, 201), "crop", None, None),
    ],
)
def test_what_the_crop_cut_off_is_noted_with_its_share_and_edges(tiny, size, resize, share, where):
    film = np.add.outer(np.arange(size[0]), np.arange(size[1])).astype(np.uint8)
    made = matex.explain(tiny, film, "opacity", resize=resize)
    found = [note for note in made.notes if "never saw" in note]
    if share is None:
        assert not found
        assert np.isnan(made.image.values).mean() < 0.005
    else:
        assert f"never saw {share} of the film ({where})" in found[0]
        assert "--resize pad" in found[0]
        assert np.isnan(made.image.values).mean() == pytest.approx(int(share[:-1]) / 100, abs=0.01)
        assert made.notes[0] == found[0]


@pytest.mark.parametrize(("turns", "mirrored"), [(1, False), (2, False), (3, True), (0, True)])
def test_the_edges_that_were_not_seen_are_those_of_the_film_as_it_lies(turns, mirrored):
    placement = Placement(
        (90, 60) if turns % 2 == 0 else (60, 90), (75, 50), (5, 0), (50, 50), (10, 10), turns, mirrored
    )
    unseen = placement.unseen()
    seen = ~np.isnan(placement.map_to_original(np.ones((5, 5))))
    rows, columns = seen.any(axis=1), seen.any(axis=0)
    for edge, line in (("top", rows), ("bottom", rows[::-1]), ("left", columns), ("right", columns[::-1])):
        assert unseen.get(edge, 0) == pytest.approx(line.argmax() / len(line), abs=0.02), edge


def test_a_large_jpeg_is_read_reduced_and_explained_in_its_own_pixels(tiny, film, tmp_path):
    path = tmp_path / "film.jpg"
    Image.open(film.path).resize((2200, 2100), Image.Resampling.BICUBIC).save(path, quality=95)
    text = "opacity in the left lower lung"
    made, whole = matex.explain(tiny, path, text), matex.explain(tiny, matex.read(path), text)
    assert made.image.values.shape == made.film.size == (2100, 2200)
    assert made.provenance["image"]["read"] == [1050, 1100]
    assert (made.provenance["image"]["height"], made.provenance["image"]["width"]) == (2100, 2200)
    assert whole.provenance["image"]["read"] == [2100, 2200]
    assert np.corrcoef(made.image.grid.ravel(), whole.image.grid.ravel())[0, 1] > 0.9994
    assert made.score == pytest.approx(whole.score, abs=0.01)
    mask = np.zeros((2100, 2200), np.uint8)
    mask[300:1000, 200:900], mask[300:1000, 1300:2000] = 1, 2
    assert matex.explain(tiny, path, text, lung_mask=mask).film.pixels.shape == (1050, 1100)


LIES = [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]


def lying(pixels, turns, mirrored):
    """A film in the standard frame, stored so that it lies otherwise."""
    return np.ascontiguousarray(np.rot90(pixels[:, ::-1] if mirrored else pixels, -turns))


@pytest.mark.parametrize("resize", ["model", "crop", "pad"])
@pytest.mark.parametrize(("turns", "mirrored"), LIES)
def test_a_film_is_explained_alike_however_it_lies(tiny, film, turns, mirrored, resize):
    """The model sees the standard frame, and the map lies on the film as it is."""
    import dataclasses

    standard = dataclasses.replace(matex.read(film.path), oriented=True)
    standard = dataclasses.replace(standard, pixels=standard.pixels[:400])  # not square
    stored = lying(standard.pixels, turns, mirrored)
    other = dataclasses.replace(standard, pixels=stored, turns=turns, mirrored=mirrored)
    text = "opacity in the left lower lung"
    mask = np.zeros(standard.size, np.uint8)
    mask[80:300, 40:180], mask[80:300, 280:420] = 1, 2
    for settings in ({}, {"lung_mask": mask}):
        one = matex.explain(tiny, standard, text, resize=resize, **settings)
        if settings:
            settings = {"lung_mask": lying(mask, turns, mirrored)}
        two = matex.explain(tiny, other, text, resize=resize, **settings)
        assert two.score == one.score
        np.testing.assert_array_equal(two.image.grid, one.image.grid)
        np.testing.assert_array_equal(two.prior, one.prior)
        np.testing.assert_array_equal(two.image.values, lying(one.image.values, turns, mirrored))
        assert two.image.values.shape == other.size


def test_every_entrance_flips_a_mirrored_film_alike(tiny, film):
    """Of the sides in the phrase "left" decides; a film that goes to the model mirrored exchanges them."""
    pixels = np.ascontiguousarray(matex.read(film.path).pixels[:, ::-1])
    stored = matex.read(pixels).known_as("PA", True)
    text = "opacity in the left lower lung"
    plain = matex.explain(tiny, film.path, text, view="PA")
    np.testing.assert_array_equal(matex.explain(tiny, pixels, text, mirrored=True).image.grid, plain.image.grid)
    assert matex.explain_batch(tiny, [(stored, text)])[0].score == plain.score
    assert matex.compare(tiny, pixels, text, ["rollout"], mirrored=True)["rollout"].score == pytest.approx(
        plain.score, abs=1e-6
    )
    one, two = (matex.audit(tiny, image, text, regions=10, repeats=2) for image in (film.path, stored))
    assert two.record()["checks"].keys() == one.record()["checks"].keys()
    for name, check in one.checks.items():
        assert dict(two.checks[name].values) == pytest.approx(dict(check.values), nan_ok=True), name


def test_a_lateral_film_silences_the_prior(tiny, film, explanation):
    import dataclasses

    plain = matex.read(film.path)
    lateral = matex.explain(tiny, dataclasses.replace(plain, view="LL"), explanation.text)
    assert (lateral.prior == 1).all()
    assert any("neutral" in note and "LL" in note for note in lateral.notes)


def test_what_the_file_does_not_say_the_caller_can(tiny, film, explanation):
    mirrored = matex.explain(tiny, film.path, explanation.text, mirrored=True)
    np.testing.assert_array_equal(mirrored.prior, explanation.prior)  # both in the standard frame
    assert any("declared mirrored: flipped for the model" in note for note in mirrored.notes)
    assert mirrored.provenance["placement"]["mirrored"]
    assert not any("declared" in note for note in matex.explain(tiny, film.path, "nodule", mirrored=False).notes)
    lateral = matex.compare(tiny, film.path, explanation.text, "matex", view="LATERAL")["matex"]
    assert (lateral.prior == 1).all()
    assert lateral.provenance["image"]["view"] == "LATERAL"


def test_a_stated_view_that_names_none_is_refused_and_a_recorded_one_is_not(tiny, film):
    pair = (film.path, "opacity in the left lower lung")
    for function in (matex.explain, matex.compare, matex.audit, matex.interactions):
        with pytest.raises(matex.UnknownName, match="Unknown view 'SIDEWAYS'"):
            function(tiny, *pair, view="SIDEWAYS")
    for function in (matex.explain_each, matex.explain_batch):
        with pytest.raises(matex.UnknownName, match="Unknown view"):
            function(tiny, [pair], view="SIDEWAYS")
    (explanation,) = matex.explain_batch(tiny, [matex.Pair(*pair, view="SWIMMERS")])
    assert explanation.film.view == "SWIMMERS"
    assert any("neutral" in note for note in explanation.notes)


def test_the_note_on_orientation_appears_only_where_it_is_unknown(tiny, film):
    import dataclasses

    plain = matex.read(film.path)
    for oriented in (False, True):
        made = matex.explain(tiny, dataclasses.replace(plain, oriented=oriented), "nodule")
        assert any("orientation unknown" in note for note in made.notes) is not oriented


def test_a_single_word_has_nothing_to_be_compared_with(tiny, film):
    made = matex.explain(tiny, film.path, "nodule")
    if len(made.tokens) == 1:
        assert np.isnan(made.words[0][1])
        assert any("text map is constant" in note for note in made.notes)


def test_a_natural_image_has_no_patients_side(tiny, film):
    made = matex.explain(tiny, film.path, "opacity on the left", domain="natural")
    assert (made.prior == 1).all()
    assert made.regions == ()
    assert any("neutral" in note for note in made.notes)


def test_a_lung_mask_places_the_zones(tiny, film):
    mask = np.zeros((film.height, film.width), np.uint8)
    mask[100:200, 40:160] = 1
    mask[100:200, 300:420] = 2
    made = matex.explain(tiny, film.path, "opacity in the right lung", lung_mask=mask)
    seen = made.image.placement.map_to_original(made.prior) - 1
    assert seen[100:200, 40:160].mean() > 10 * seen[300:, :].mean()
    assert len(made.provenance["lung_mask"]) == 64
    with pytest.raises(InputError, match="Expected a lung mask of shape"):
        matex.explain(tiny, film.path, "opacity in the right lung", lung_mask=mask.T[:-1])


def test_a_centre_crop_leaves_the_borders_unseen(tiny):
    wide = np.random.default_rng(0).integers(0, 255, (120, 200), dtype=np.uint8)
    made = matex.explain(tiny, wide, "opacity", resize="crop")
    assert np.isnan(made.image.values[:, :30]).all()
    assert np.nanmin(made.image.values) == 0
    assert not np.isnan(matex.explain(tiny, wide, "opacity", resize="pad").image.values).any()


def test_a_constant_film_is_explained_and_noted(tiny):
    made = matex.explain(tiny, np.full((64, 64), 128, np.uint8), "opacity in the right base")
    assert np.isfinite(made.image.values).all()


def test_a_constant_map_is_flagged_and_zero():
    from matex.geometry import Placement
    from matex.results import SaliencyMap

    flat = SaliencyMap(np.full((2, 3), 7, np.float32), Placement.fit((20, 30), (20, 30), (10, 10), "squash"))
    assert flat.degenerate
    assert (flat.values == 0).all()
    assert not SaliencyMap(
        np.array([[0, 1e-3]], np.float32), Placement.fit((9, 8), (4, 4), (4, 2), "squash")
    ).degenerate


def test_film_sized_values_are_computed_when_they_are_read(tiny, film, monkeypatch):
    from matex.geometry import Placement

    bands, calls = Placement.map_bands, []
    monkeypatch.setattr(Placement, "map_bands", lambda *args: calls.append(1) or bands(*args))
    made = matex.explain(tiny, film.path, "opacity in the right lung")
    assert not made.image.degenerate
    assert not calls
    assert made.image.values.dtype == np.float32
    assert made.image.values.shape == made.film.pixels.shape[:2]
    assert calls == [1]
    raw, known = made.image.raw, ~np.isnan(made.image.raw)
    np.testing.assert_array_equal(made.image.values[known], ((raw - raw.min()) / np.ptp(raw))[known])


def test_the_map_of_a_huge_film_is_not_kept_and_saved_in_bands(tiny, film, monkeypatch, tmp_path):
    made = matex.explain(tiny, film.path, "opacity in the right lung", resize="crop")
    kept = made.image.values
    assert made.image.values is kept
    monkeypatch.setattr("matex.results.KEPT", kept.size - 1)
    monkeypatch.setattr("matex.geometry._PIXELS_AT_ONCE", kept.size // 5)
    assert made.image.values is not kept
    np.testing.assert_array_equal(made.image.values, kept)
    np.testing.assert_array_equal(np.load(made.save(tmp_path) / "image_map.npy"), kept)


def test_bad_requests_are_refused_in_one_line(tiny, film):
    for arguments, message in (
        ({"text": "   "}, "empty text"),
        ({"text": "opacity " * 200}, "at most"),
        ({"domain": "dogs"}, "domain"),
        ({"resize": "stretch"}, "resize"),
        ({"image": "nowhere.png"}, "nowhere.png"),
    ):
        call = {"image": film.path, "text": "opacity", **arguments}
        with pytest.raises(InputError, match=message) as caught:
            matex.explain(tiny, **call)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="at least one method"):
        matex.compare(tiny, film.path, "opacity", [])
    with pytest.raises(InputError, match="batch_size"):
        matex.explain_batch(tiny, [], batch_size=0)


def test_public_names_are_not_hidden_by_modules():
    import importlib
    import pkgutil

    for module in pkgutil.iter_modules(matex.__path__):
        assert module.name not in matex.__all__
    importlib.import_module("matex.pipeline")
    assert callable(matex.explain)
    assert callable(matex.models)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        matex.nothing


def test_a_double_precision_model_explains_too(tiny, film):
    double = matex.load("tiny", dtype="float64")
    made = matex.explain(double, film.path, "opacity in the left lower lung")
    single = matex.explain(tiny, film.path, "opacity in the left lower lung")
    np.testing.assert_allclose(made.image.grid, single.image.grid, atol=1e-3)
    assert small_clip().dtype == torch.float64


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_gives_the_same_map_in_float32(tiny, film, half):
    import copy

    from matex.adapters.clip import adapt

    module = copy.deepcopy(tiny.module).to(half)
    light = adapt(module, "half", preprocessing=tiny.preprocessing, tokenizer=tiny.tokenizer)
    pixels, _ = tiny.prepare(matex.read(film.path))
    ids = torch.tensor([tiny.encode("opacity in the left lower lung").ids])
    grids = [matex.attribute(model, pixels, ids, "matex") for model in (tiny, light)]
    assert grids[1].dtype == torch.float32
    assert torch.corrcoef(torch.stack([grid.flatten() for grid in grids]))[0, 1] > 0.995


def test_compare_keeps_the_order_and_says_what_was_left_out(tiny, film):
    names = ["rollout", "guided-backprop", "matex"]
    comparison = matex.compare(tiny, film.path, film.demo_phrase, names, skip_unsupported=True)
    assert list(comparison) == ["rollout", "matex"]
    assert list(comparison.left_out) == ["guided-backprop"]
    assert comparison.left_out["guided-backprop"].startswith("it needs ReLU")
    assert comparison.shared_seconds > comparison["rollout"].provenance["seconds"] > 0


def test_the_record_says_whether_the_sides_are_stated(tiny, film):
    for mirrored in (None, False, True):
        made = matex.explain(tiny, film.path, film.demo_phrase, "raw-attention", mirrored=mirrored)
        assert made.provenance["image"]["oriented"] is (mirrored is not None)
        assert any("orientation unknown" in note for note in made.notes) is (mirrored is None)
