"""MMEL agrees with its twin, and its gates are as flat or as wide as METHODS 2.3 says."""

import math

import pytest
import torch

import matex
from matex.attribution import make
from tests.attribution.pairs import exact
from tests.attribution.test_shapes import with_positions
from tests.reference import clip, methods, removal
from tests.reference.mmel import at_input_scale, mmel, shrink_image


@pytest.mark.parametrize(
    ("mode", "parameters", "twin"),
    [
        ("spatial", {}, {}),
        ("spatial", {"relation": "to-salient", "alpha": 0.7}, {"salient": True, "alpha": 0.7}),
        ("spatial", {"scales": (0.6, 0.1), "temperature": 0.3}, {"scales": (0.6, 0.1), "temperature": 0.3}),
        ("spatial", {"semantic_layers": 2, "theta": (0.2, 1.5)}, {"layers": 2, "theta": (0.2, 1.5)}),
        ("spatial", {"layers": 2}, {"base": 2}),
        ("spatial", {"semantic": ("key",)}, {"semantic": ("keys",)}),
        (
            "spatial",
            {"semantic": ("query", "key", "value"), "scales": (0.7,)},
            {"semantic": ("queries", "keys", "values"), "scales": (0.7,)},
        ),
        ("spatial", {"similarity": "content", "layers": 2}, {"similarity": "content", "base": 2}),
        ("spatial", {"similarity": "both"}, {"similarity": "both"}),
        ("paper", {"semantic": ("value", "query")}, {"semantic": ("values", "queries")}),
        ("paper", {}, {}),
        ("paper", {"seed": 3, "temperature": 0.1, "semantic_layers": 1}, {"seed": 3, "temperature": 0.1, "layers": 1}),
    ],
)  # fmt: skip
def test_mmel_agrees_with_its_twin(pair, mode, parameters, twin):
    twin = dict(twin)
    layers = twin.pop("base", None)
    like = twin.pop("similarity", "readout")
    image = methods.grad_eclip(pair.image, pair.score, pair.patches, pair.patches, layers or 1, like)
    text = methods.grad_eclip(pair.text, pair.score, pair.words, pair.tokens, layers or 8, like, relu_each=False)
    pair.check(
        "mmel",
        mmel(pair.image, pair.patches, (5, 5), image, mode, **twin),
        mmel(pair.text, pair.words, (1, len(pair.words)), text, mode, **twin),
        mode=mode,
        **parameters,
    )


@pytest.mark.parametrize("tower", ["image", "text"])
@pytest.mark.parametrize("off", [{"mode": "off"}, {"alpha": 0.0}])
def test_off_is_grad_eclip(model, pixels, token_ids, tower, off):
    expected = matex.attribute(model, pixels, token_ids, method="grad-eclip", tower=tower)
    found = matex.attribute(model, pixels, token_ids, method="mmel", tower=tower, **off)
    assert torch.equal(found.nan_to_num(-1), expected.nan_to_num(-1))


def test_the_papers_gate_hardly_moves_and_the_spatial_one_does(model, pixels, token_ids):
    trace = matex.record(model, pixels, token_ids).image
    base = make("grad-eclip", {})(trace)
    factor = {mode: (make("mmel", {"mode": mode})(trace) / base)[base > 0] for mode in ("paper", "spatial")}
    assert factor["paper"].max() / factor["paper"].min() < 1.4
    assert factor["spatial"].max() / factor["spatial"].min() > 1.4
    assert ((factor["spatial"] >= 1) & (factor["spatial"] <= 3)).all()


def test_random_weights_are_reported(model, pixels, token_ids):
    trace = matex.record(model, pixels, token_ids).image
    assert make("mmel", {"mode": "paper"}).report(trace) == [{"untrained_transform": True}] * 3
    assert make("mmel", {}).report(trace) == [{"untrained_transform": False}] * 3


def test_contrast_scales_and_bends_the_map(model, pixels, token_ids):
    plain = matex.attribute(model, pixels[:1], token_ids[:1], method="mmel")
    bent = matex.attribute(model, pixels[:1], token_ids[:1], method="mmel", contrast=2.0)
    exact(bent, ((plain - plain.min()) / (plain.max() - plain.min())) ** 0.5)
    settings = {"method": "mmel", "tower": "text", "theta": 0.3}
    plain = matex.attribute(model, pixels[:1], token_ids[:1], **settings)[1:-1]
    bent = matex.attribute(model, pixels[:1], token_ids[:1], contrast=0.5, **settings)[1:-1]
    exact(bent, ((plain - plain.min()) / (plain.max() - plain.min())) ** 2)


def at_input_scales(pair, scales):
    """The twin's map of the film at each scale by itself."""
    target = pair.text.embedding.detach()
    maps = []
    for scale in scales:
        side = math.ceil(scale * 5)
        module = with_positions(pair.module, side, side)
        tower = clip.image(module, shrink_image(pair.inputs[0][0], side * 7, side * 7))
        patches = range(1, side**2 + 1)
        base = methods.grad_eclip(tower, clip.cosine(tower.embedding, target), patches, patches, 1)
        raised = mmel(tower, patches, (side, side), base, "spatial", scales=(1.0,))
        maps.append(at_input_scale(raised, (side, side), (5, 5)))
    return maps


def test_an_input_pyramid_agrees_with_the_twin_at_three_resolutions(pair):
    maps = at_input_scales(pair, (1.0, 0.75, 0.5))
    pair.check("mmel", [sum(values) / 3 for values in zip(*maps, strict=True)], pyramid="input")


@pytest.mark.parametrize("pyramid", ["tokens", "input"])
def test_the_adaptive_scale_is_the_one_whose_best_quarter_scores_highest(pair, pyramid):
    scales, target = (1.0, 0.75, 0.5), pair.text.embedding.detach()
    base = methods.grad_eclip(pair.image, pair.score, pair.patches, pair.patches, 1)
    maps = (
        at_input_scales(pair, scales)
        if pyramid == "input"
        else [mmel(pair.image, pair.patches, (5, 5), base, "spatial", scales=(scale,)) for scale in scales]
    )
    scores = []
    for values in maps:
        best = sorted(range(25), key=lambda i, values=values: -values[i])[:7]
        left = removal.without_patches(pair.inputs[0][0], 7, [i in best for i in range(25)])
        scores.append(removal.image_score(pair.module, left, target))
    chosen = scores.index(max(scores))
    settings = {"scales": scales, "pyramid": pyramid, "choice": "adaptive"}
    pair.check("mmel", maps[chosen], **settings)
    report = make("mmel", settings).report(matex.record(pair.model, *pair.inputs).image)
    assert report == [{"untrained_transform": False, "scale": scales[chosen]}]


def test_several_pairs_of_one_film_choose_by_themselves(model, pixels, token_ids):
    method = make("mmel", {"choice": "adaptive", "pyramid": "input"})
    pairs = [(0, 0), (1, 1), (0, 2), (0, 1)]
    together = method(matex.record(model, pixels, token_ids, pairs).image)
    for n, pair in enumerate(pairs):
        torch.testing.assert_close(
            together[n], method(matex.record(model, pixels, token_ids, [pair]).image)[0], rtol=0, atol=1e-10
        )


def test_words_have_no_resolution(model, pixels, token_ids):
    plain = matex.attribute(model, pixels, token_ids, method="mmel", tower="text")
    for settings in ({"pyramid": "input"}, {"choice": "adaptive"}):
        found = matex.attribute(model, pixels, token_ids, method="mmel", tower="text", **settings)
        torch.testing.assert_close(found, plain, rtol=0, atol=0, equal_nan=True)


def test_bad_values_are_refused(model, pixels, token_ids):
    with pytest.raises(ValueError, match="Expected mode to be one of spatial, paper, off, got 'on'"):
        make("mmel", {"mode": "on"})
    with pytest.raises(ValueError, match="Expected scales to be one or more numbers above 0 and up to 1"):
        make("mmel", {"scales": (2.0,)})
    with pytest.raises(ValueError, match="Expected semantic to name each part once"):
        make("mmel", {"semantic": ("key", "key")})
    with pytest.raises(ValueError, match=r"Expected theta to be one number or 4, one per block"):
        matex.attribute(model, pixels, token_ids, method="mmel", theta=(1.0, 2.0))


def test_mmel_paper_is_grad_eclip_under_a_saturated_gate_and_beta(model, pixels, token_ids):
    """METHODS 23: alpha 2, temperature .1 and beta 2 as printed."""
    settings = {"mode": "paper", "alpha": 2.0, "temperature": 0.1, "contrast": 2.0}
    for tower in ("image", "text"):
        found = matex.attribute(model, pixels, token_ids, method="mmel-paper", tower=tower)
        expected = matex.attribute(model, pixels, token_ids, method="mmel", tower=tower, **settings)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12, equal_nan=True)
    base = matex.attribute(model, pixels, token_ids, method="grad-eclip").flatten(1)
    low, high = base.amin(1, keepdim=True), base.amax(1, keepdim=True)
    found = matex.attribute(model, pixels, token_ids, method="mmel-paper").flatten(1)
    torch.testing.assert_close(found, ((base - low) / (high - low)).sqrt(), rtol=0, atol=0.02)
