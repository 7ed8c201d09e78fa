"""KernelSHAP: Shapley's definition where exact, least squares where sampled, efficiency always."""

import pytest
import torch

import matex
from matex.attribution.kernel_shap import draw, kernel, shapley
from matex.attribution.removal import patch_masks
from matex.attribution.scoring import encode
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


def test_pixels_that_no_patch_reads_are_kept(model):
    masks = patch_masks(model.image, torch.zeros(1, 3, 35, 35), torch.zeros(2, 25, dtype=torch.bool))
    assert not masks.any()
    tower = type("Odd", (), {"grid": lambda self, inputs: (2, 3)})()
    masks = patch_masks(tower, torch.zeros(1, 3, 9, 10), torch.eye(6, dtype=torch.bool))
    assert masks.shape == (6, 1, 9, 10)
    assert masks[5, 0, 4:8, 6:9].all()
    assert masks[5, 0, :8, :9].sum() == 12
    assert masks[:, 0, 8].all()
    assert masks[:, 0, :, 9].all()
