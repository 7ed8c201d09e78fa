"""KernelSHAP: Shapley's definition where exact, least squares where sampled, efficiency always."""

import sys
from functools import cache

import pytest
import torch

import matex
from matex.attribution import make
from matex.attribution.kernel_shap import draw, kernel, shapley
from matex.attribution.shared.ablation import patches, segment_masks
from matex.attribution.shared.superpixels import superpixels
from matex.forward_pass import encode
from matex.samples import samples
from tests.attribution.subjects import Subject, exact
from tests.reference import removal


@pytest.fixture(params=[0, 1])
def subject(request, module, pixels, token_ids):
    return Subject(module, pixels[request.param], token_ids[request.param])


def test_up_to_ten_tokens_it_gives_shapley_values(model, subject):
    def score(kept):
        return removal.text_score(subject.module, removal.without_words(subject.ids, kept), subject.image)

    found = matex.attribute(model, *subject.inputs, method="kernel-shap", tower="text", samples=1)
    exact(found, [0.0, *removal.shapley(len(subject.words), score), 0.0])


def test_sampled_it_solves_the_least_squares(model, subject):
    subsets = draw(25, 80, seed=2)

    def score(kept):
        return removal.image_score(subject.module, removal.without_patches(subject.pixels, 7, kept), subject.text)

    nothing, total = score([False] * 25), score([True] * 25)
    gains = [score(kept) - nothing for kept in subsets.tolist()]
    expected = removal.least_squares(subsets.tolist(), [1.0] * 80, gains, total - nothing)
    found = matex.attribute(model, *subject.inputs, method="kernel-shap", samples=80, seed=2, batch_size=13)
    assert found.shape == (5, 5)
    exact(found.flatten(), expected)
    assert found.sum().item() == pytest.approx(total - nothing, abs=1e-10)


def test_seeds_and_captum_agree_by_correlation(model, subject):
    found = [matex.attribute(model, *subject.inputs, method="kernel-shap", seed=seed).flatten() for seed in (0, 1)]
    assert not torch.equal(*found)
    assert torch.corrcoef(torch.stack(found))[0, 1] > 0.9
    pytest.importorskip("sklearn")  # captum's KernelSHAP asks for it
    captum = pytest.importorskip("captum.attr")
    pixels, ids = subject.inputs
    target = matex.record(model, pixels, ids).image.target[0]
    patch = torch.arange(25).reshape(5, 5).repeat_interleave(7, 0).repeat_interleave(7, 1)
    torch.manual_seed(0)
    theirs = captum.KernelShap(lambda x: encode(model.image, x) @ target).attribute(
        pixels, feature_mask=patch[None, None], n_samples=2000, perturbations_per_eval=50
    )
    theirs = theirs[0, 0, 3::7, 3::7].flatten()
    assert torch.corrcoef(torch.stack([found[0], theirs]))[0, 1] > 0.9


def test_too_few_subsets_still_add_up(model, subject):
    pixels, ids = subject.inputs
    found = matex.attribute(model, pixels, ids, method="kernel-shap", samples=3)
    change = matex.score(model, pixels, ids) - matex.score(model, torch.zeros_like(pixels), ids)
    assert found.sum().item() == pytest.approx(change.item(), abs=1e-10)


@pytest.mark.parametrize("words", [[], [3]])
def test_phrases_of_no_word_and_of_one(model, pixels, words):
    from tests.conftest import BOS, EOS

    ids = torch.tensor([[BOS, *words, EOS]])
    for method in ("kernel-shap", "rise", "occlusion"):
        found = matex.attribute(model, pixels[:1], ids, method=method, tower="text")
        assert found.shape == (len(words) + 2,)
        assert torch.isfinite(found).all()
    change = matex.score(model, pixels[:1], ids) - matex.score(model, pixels[:1], torch.tensor([[BOS, EOS]]))
    found = matex.attribute(model, pixels[:1], ids, method="kernel-shap", tower="text")
    assert found.sum().item() == pytest.approx(change.item(), abs=1e-12)


def test_an_additive_game_is_solved_by_any_enough_subsets():
    worth = torch.tensor([0.5, -1.0, 2.0, 0.25, 3.0], dtype=torch.float64)
    kept = draw(5, 40, seed=0)
    gain = (kept.double() @ worth)[:, None]
    exact(shapley(kept, torch.ones(40), gain, worth.sum()[None])[0], worth)


def test_sizes_follow_the_kernel():
    sizes = draw(6, 20000, seed=0).sum(1)
    share = torch.bincount(sizes, minlength=7)[1:6] / 20000
    expected = torch.tensor([1 / (z * (6 - z)) for z in range(1, 6)])
    torch.testing.assert_close(share, expected / expected.sum(), atol=0.01, rtol=0)
    exact(kernel(4, torch.tensor([1, 2, 3])), [3 / 12, 3 / 24, 3 / 12])


def test_pixels_that_no_patch_reads_are_kept():
    masks = segment_masks(patches((2, 3), (4, 3), (11, 10)), torch.eye(6, dtype=torch.bool))
    assert masks.shape == (6, 1, 11, 10)
    assert masks[5, 0, 4:8, 6:9].all()
    assert masks[5, 0, :8, :9].sum() == 12
    assert masks[:, 0, 8:].all()
    assert masks[:, 0, :, 9].all()


def test_patches_are_the_models_also_where_a_border_is_left_over(model, subject):
    """41 x 48 pixels have 5 x 6 patches of 7; an even share of the height would be 8."""
    ids = subject.inputs[1]
    wide = torch.randn(1, 3, 41, 48, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    read = wide[..., :35, :42]
    for method, parameters in (("kernel-shap", {"samples": 60}), ("occlusion", {})):
        found = matex.attribute(model, wide, ids, method, **parameters)
        exact(found[:35, :42], matex.attribute(model, read, ids, method, **parameters))


@pytest.fixture
def striped(pixels):
    """An image with smooth regions that lie across the patches: a disc, a bar and two halves of the ground."""
    row, column = torch.meshgrid(torch.arange(35), torch.arange(35), indexing="ij")
    image = torch.where(column < 17, -0.5, 0.2).double()
    image[(row - 12) ** 2 + (column - 20) ** 2 < 40] = 1.5
    image[28:, 3:25] = -2.0
    return image.expand(3, -1, -1) + 0.02 * pixels[0]


def test_few_superpixels_get_shapley_values(module, model, striped, token_ids):
    subject = Subject(module, striped, token_ids[0])
    segments = superpixels(striped, 9)
    count = int(segments.max()) + 1
    assert 4 <= count <= 10

    @cache
    def score(kept):
        return removal.image_score(module, removal.without_segments(striped, segments, kept), subject.text)

    found = matex.attribute(model, *subject.inputs, "kernel-shap", features="superpixels", segments=9, samples=1)
    assert found.shape == (35, 35)
    expected = removal.spread(segments, removal.shapley(count, score))
    exact(found, expected)


def test_many_superpixels_solve_the_least_squares_also_for_several_phrases_and_images(module, model, pixels, token_ids):
    pixels = torch.stack([torch.nn.functional.avg_pool2d(pixels[i], 5, 1, 2) for i in (0, 1)])
    pairs = [(0, 0), (1, 2), (0, 1)]
    trace = matex.record(model, pixels, token_ids, pairs).image
    found = make("kernel-shap", {"features": "superpixels", "segments": 25, "samples": 60, "seed": 3})(trace)
    for number, (image, phrase) in enumerate(pairs):
        subject = Subject(module, pixels[image], token_ids[phrase])
        segments = superpixels(pixels[image], 25)
        count = int(segments.max()) + 1
        assert count > 10
        subsets = draw(count, 60, seed=3).tolist()
        scores = [
            removal.image_score(module, removal.without_segments(pixels[image], segments, kept), subject.text)
            for kept in [[False] * count, [True] * count, *subsets]
        ]
        gains = [score - scores[0] for score in scores[2:]]
        expected = removal.least_squares(subsets, [1.0] * 60, gains, scores[1] - scores[0])
        exact(found[number], removal.spread(segments, expected))


def test_long_phrases_solve_the_least_squares(model, subject, monkeypatch):
    monkeypatch.setattr("matex.attribution.kernel_shap._EXACT", 1)
    count = len(subject.words)
    subsets = draw(count, 2**count - 3, seed=6).tolist()
    scores = [
        removal.text_score(subject.module, removal.without_words(subject.ids, kept), subject.image)
        for kept in [[False] * count, [True] * count, *subsets]
    ]
    gains = [score - scores[0] for score in scores[2:]]
    expected = removal.least_squares(subsets, [1.0] * len(subsets), gains, scores[1] - scores[0])
    settings = {"tower": "text", "samples": 2**count - 3, "seed": 6}
    exact(matex.attribute(model, *subject.inputs, "kernel-shap", **settings), [0.0, *expected, 0.0])


def test_the_words_do_not_care_about_superpixels(model, subject):
    plain = matex.attribute(model, *subject.inputs, "kernel-shap", tower="text")
    exact(matex.attribute(model, *subject.inputs, "kernel-shap", tower="text", features="superpixels"), plain)


def test_superpixels_follow_edges_whatever_the_normalisation(striped):
    segments = superpixels(striped, 12)
    assert segments.unique().tolist() == list(range(int(segments.max()) + 1))
    row, column = torch.meshgrid(torch.arange(35), torch.arange(35), indexing="ij")
    disc = (row - 12) ** 2 + (column - 20) ** 2 < 25
    outside = (row - 12) ** 2 + (column - 20) ** 2 > 64
    assert not set(segments[disc].tolist()) & set(segments[outside].tolist())
    way = torch.tensor([0.5, 2.0, 7.0])[:, None, None], torch.tensor([1.0, -3.0, 0.2])[:, None, None]
    assert torch.equal(
        superpixels(striped[:1].expand(3, -1, -1) * way[0] + way[1], 12), superpixels(striped[:1].expand(3, -1, -1), 12)
    )
    assert (superpixels(torch.full((3, 8, 8), 0.3), 1) == 0).all()


def test_on_a_film_there_are_about_as_many_superpixels_as_asked_for():
    film = samples()[0]
    model = matex.load("tiny")
    pixels, _ = model.prepare(matex.read(film.path))
    sizes = torch.bincount(superpixels(pixels[0], 50).flatten())
    assert 40 <= len(sizes) <= 60
    assert sizes.max() < 0.06 * sizes.sum()


def test_without_scikit_image_it_says_what_to_install(model, subject, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(ImportError, match=r"pip install matex\[superpixels\]"):
        matex.attribute(model, *subject.inputs, "kernel-shap", features="superpixels")
    assert matex.attribute(model, *subject.inputs, "kernel-shap", samples=3).shape == (5, 5)


def test_what_is_no_feature_is_refused():
    with pytest.raises(ValueError, match="Expected features to be one of patches, superpixels, got 'pixels'"):
        make("kernel-shap", {"features": "pixels"})
    with pytest.raises(ValueError, match="Expected segments of 1 or more, got 0"):
        make("kernel-shap", {"segments": 0})
