"""The check by randomised weights, and stability: against explanations of the changed model or film."""

import numpy as np
import pytest
import torch

import matex
from matex.adapters.randomise import randomised
from matex.datasets.sample import Sample
from matex.metrics import Case, make_metric
from matex.metrics.reexplain import explain_again, original
from matex.metrics.sample_rng import generator_of
from matex.metrics.stability import common, shifted
from matex.samples import samples
from tests.metrics.made import film, loop, make_case, same, small_model
from tests.reference import similarity as twin
from tests.reference.maps import enlarge

STAGES = ["projection", "norm", "block 3", "block 2", "block 1", "block 0", "embeddings"]


@pytest.fixture(scope="module")
def model():
    return small_model()


def explained(model, method="matex", count=3, **parameters):
    texts = ["3 14 15 9", "26 5", "7 7 8 1 30"]
    pairs = [(film(seed), texts[seed]) for seed in range(count)]
    made = matex.explain_batch(model, pairs, method, **parameters)
    return [
        Case(model, Sample(f"s{i}", picture, text), e, {})
        for i, ((picture, text), e) in enumerate(zip(pairs, made, strict=True))
    ]


@pytest.mark.parametrize(
    ("method", "parameters"), [("matex", {"beta": 0.2}), ("grad-eclip", {}), ("rise", {"masks": 8}), ("saliency", {})]
)
def test_the_same_pixels_and_model_give_the_same_maps(model, method, parameters):
    cases = explained(model, method, **parameters)
    pixels = torch.stack([case.pixels for case in cases])
    again, kept = explain_again(model, cases, pixels, 2), original(cases)
    torch.testing.assert_close(again.values, kept.values, rtol=1e-5, atol=1e-6)
    assert set(again.components) == set(kept.components)
    for name in again.components:
        torch.testing.assert_close(again.components[name], kept.components[name], rtol=1e-5, atol=1e-6)


def test_every_stage_equals_an_explanation_by_the_randomised_model(model):
    cases = explained(model, count=1)
    found = make_metric("randomisation", {"seed": 4})(cases)
    for order, stage in (("cascade", "block 2"), ("independent", "block 0"), ("cascade", "embeddings")):
        names = STAGES[: STAGES.index(stage) + 1] if order == "cascade" else [stage]
        other = randomised(model, 4, [f"image {name}" for name in names])
        for i, case in enumerate(cases):
            made = matex.explain(other, case.sample.image, case.sample.text)
            a, b = (enlarge(e.image.grid, 35, 35) for e in (case.explanation, made))
            for name, expected in (
                ("spearman", twin.spearman(a, b)),
                ("spearman_abs", twin.spearman(abs(a), abs(b))),
                ("ssim", twin.ssim(a, b)),
                ("overlap", twin.overlap(a, b)),
            ):
                tolerance = 0.02 if name == "overlap" else 1e-3  # ranks of nearly equal values after interpolation
                assert found[f"{order}/{stage}/{name}"][i] == pytest.approx(expected, abs=tolerance)
            for name in case.explanation.components:
                term = [enlarge(e.components[name], 35, 35) for e in (case.explanation, made)]
                actual = found[f"{order}/{stage}/{name}/spearman"][i]
                if min(map(np.ptp, term)) == 0:
                    assert np.isnan(actual)
                else:
                    assert actual == pytest.approx(twin.spearman(*term), abs=1e-3)


def test_weights_may_be_shuffled_instead(model):
    (case,) = cases = explained(model, "grad-eclip", 1)
    found = make_metric("randomisation", {"scheme": "permute", "orders": ("cascade",)})(cases)
    for number, stage in enumerate(STAGES):
        other = randomised(model, 0, [f"image {name}" for name in STAGES[: number + 1]], "permute")
        made = matex.explain(other, case.sample.image, case.sample.text, "grad-eclip")
        expected = twin.spearman(*(enlarge(e.image.grid, 35, 35) for e in (case.explanation, made)))
        assert found[f"cascade/{stage}/spearman"][0] == pytest.approx(expected, abs=1e-3)


def test_the_prior_made_again_is_that_of_each_phrase_and_film():
    model, film = matex.load("tiny"), samples()[0]
    settings = ({}, {"mirrored": True}, {"view": "LATERAL"}, {"domain": "natural"})
    phrases = ["opacity in the left lower lung", "opacity in the right upper lung"]
    cases = [
        Case(model, Sample(f"s{i}", film.path, text), matex.explain(model, film.path, text, **given), {})
        for i, (given, text) in enumerate((given, text) for given in settings for text in phrases)
    ]
    again = explain_again(model, cases, torch.stack([case.pixels for case in cases]), 5)
    torch.testing.assert_close(again.components["prior"], original(cases).components["prior"], rtol=1e-4, atol=1e-5)
    assert len({values.sum().item() for values in again.components["prior"]}) >= 5  # neutral ones are alike


def test_a_prior_placed_by_a_lung_mask_is_placed_by_it_again():
    model, film = matex.load("tiny"), samples()[0]
    height, width = matex.read(film.path).pixels.shape[:2]
    mask = np.where(np.arange(width) < width // 2, 1, 2) * np.ones((height, 1), dtype=np.uint8)
    for method in ("matex", "grad-eclip"):
        made = matex.explain(model, film.path, "opacity in the left lower lung", method, lung_mask=mask)
        case = Case(model, Sample("s", film.path, "opacity in the left lower lung"), made, {})
        torch.testing.assert_close(explain_again(model, [case], case.pixels[None]).values, original([case]).values)


def test_the_headline_is_the_whole_tower_drawn_anew(model):
    cases = explained(model, "grad-eclip")
    both = make_metric("randomisation", {})(cases)
    alone = make_metric("randomisation", {"orders": ("independent",)})(cases)
    for name in ("spearman", "ssim"):
        np.testing.assert_array_equal(both[name], both[f"cascade/embeddings/{name}"])
        np.testing.assert_allclose(alone[name], both[name], atol=1e-9)
    assert {key.split("/")[1] for key in both if "/" in key} == set(STAGES)


def test_attention_does_not_see_what_lies_above_it(model):
    """Raw attention of the last block is untouched by the projection; a gradient is not."""
    for method, stays in (("raw-attention", True), ("grad-eclip", False)):
        found = make_metric("randomisation", {"orders": ("independent",)})(explained(model, method))
        assert (found["independent/projection/spearman"] > 1 - 1e-9).all() == stays


def test_randomisation_is_the_same_one_by_one_and_leaves_the_model_alone(model):
    cases, before = explained(model), model.weights_sha256
    metric = make_metric("randomisation", {"orders": ("cascade",)})
    same(metric(cases), loop(metric, cases), 1e-6)
    assert model.weights_sha256 == before


def test_a_constant_map_has_no_likeness_and_no_stability(model):
    cases = explained(model, delta=0.0, alpha=0.0, gamma=0.0)
    assert all(case.explanation.image.degenerate for case in cases)
    assert np.isnan(make_metric("randomisation", {"orders": ("cascade",)})(cases)["spearman"]).all()
    assert np.isnan(make_metric("stability", {})(cases)["stability"]).all()


def test_stability_equals_the_twin(model):
    cases = explained(model, "saliency", 2)
    found = make_metric("stability", {"shift": 0.06, "brightness": 0.6, "noise": 0.3, "seed": 5})(cases)
    mean, std = np.array(model.preprocessing.mean), np.array(model.preprocessing.std)
    for i, case in enumerate(cases):
        pixels = case.pixels.permute(1, 2, 0).numpy()
        before = enlarge(case.explanation.image.grid, 35, 35)

        def after(changed, case=case):
            ids = torch.tensor([case.token_ids])
            values = torch.from_numpy(changed.transpose(2, 0, 1).copy())[None]
            return enlarge(matex.attribute(model, values, ids, "saliency").numpy(), 35, 35)

        bright = []
        for factor in (0.4, 1.6):  # far enough to be cut at white
            grey = np.clip((pixels * std + mean) * factor, 0, 1)
            bright.append(twin.spearman(before, after((grey - mean) / std)))
        assert found["stability_brightness"][i] == pytest.approx(np.mean(bright), abs=1e-3)
        generator, noisy = generator_of(case, 5), []
        for _ in range(2):
            draw = torch.randn(35, 35, generator=generator).numpy()[..., None]  # the same in all channels
            grey = np.clip(pixels * std + mean + 0.3 * draw, 0, 1)
            noisy.append(twin.spearman(before, after((grey - mean) / std)))
        assert found["stability_noise"][i] == pytest.approx(np.mean(noisy), abs=1e-3)
        moves = []
        for down, right in ((2, 0), (-2, 0), (0, 2), (0, -2)):
            changed, pairs = np.empty_like(pixels), []
            for y in range(35):
                for x in range(35):
                    changed[y, x] = pixels[min(max(y - down, 0), 34), min(max(x - right, 0), 34)]
            moved = after(changed)
            for y in range(35):
                for x in range(35):
                    if 0 <= y + down < 35 and 0 <= x + right < 35:
                        pairs.append((before[y, x], moved[y + down, x + right]))
            moves.append(twin.spearman(*zip(*pairs, strict=True)))
        assert found["stability_shift"][i] == pytest.approx(np.mean(moves), abs=1e-3)
        parts = [found[f"stability_{kind}"][i] for kind in ("shift", "brightness", "noise")]
        assert found["stability"][i] == pytest.approx(np.mean(parts))


def test_stability_is_the_same_one_by_one_and_seeded(model):
    cases = explained(model, "grad-eclip")
    metric = make_metric("stability", {"batch_size": 3})
    same(metric(cases), loop(make_metric("stability", {}), cases), 1e-6)
    other = make_metric("stability", {"seed": 1})(cases)["stability_noise"]
    assert not np.allclose(other, metric(cases)["stability_noise"])


@pytest.mark.parametrize("moved", [(3, 0), (-3, 0), (0, 4), (0, -4), (2, -5)])
def test_a_shift_mapped_back_is_the_image_itself(moved):
    image = torch.randn(2, 11, 13, generator=torch.Generator().manual_seed(0))
    before, after = common(image[1], shifted(image, *moved)[1], moved)
    torch.testing.assert_close(before, after)
    assert before.shape == (11 - abs(moved[0]), 13 - abs(moved[1]))


def test_a_shift_is_at_least_one_pixel(model):
    changes = make_metric("stability", {"shift": 0.001})._changes(model, make_case(model))
    assert [moved for kind, _, moved in changes if kind == "shift"] == [(1, 0), (-1, 0), (0, 1), (0, -1)]


def test_black_and_white_are_those_of_the_preprocessing(model):
    black, white = model.preprocessing.levels
    mean, std = np.array(model.preprocessing.mean), np.array(model.preprocessing.std)
    np.testing.assert_allclose(black, -mean / std, rtol=1e-6)
    np.testing.assert_allclose(white - black, 1 / std, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("randomisation", {"orders": ()}),
        ("randomisation", {"orders": ("sideways",)}),
        ("randomisation", {"scheme": "uniform"}),
        ("stability", {"shift": 0.5}),
        ("stability", {"brightness": 0}),
        ("stability", {"noise": float("nan")}),
        ("stability", {"noise": 1}),
    ],
)
def test_parameters_outside_their_range_are_refused(name, parameters):
    with pytest.raises(ValueError, match=r"^Expected \w+ "):
        make_metric(name, parameters)
