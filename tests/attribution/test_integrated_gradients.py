"""Integrated Gradients: twin, completeness, baselines, captum."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import matex
from matex.adapters.clip import adapt
from matex.adapters.preprocessing import CLIP_MEAN, CLIP_STD, Preprocessing
from matex.attribution.integrated_gradients import gauss_legendre
from matex.attribution.shared.path_integral import _blur, starts
from matex.forward_pass import embed
from tests.attribution.subjects import Subject, exact
from tests.reference import path


@pytest.fixture(params=[0, 1])
def subject(request, module, pixels, token_ids):
    return Subject(module, pixels[request.param], token_ids[request.param])


@pytest.mark.parametrize("steps", [1, 6])
def test_it_agrees_with_its_twin(model, subject, steps):
    nodes, weights = path.legendre(steps)
    begins = [torch.zeros_like(subject.pixels)] * steps
    found = matex.attribute(model, *subject.inputs, method="integrated-gradients", steps=steps, batch_size=4)
    exact(found, path.image(subject.module, subject.pixels, subject.text, begins, nodes, weights))
    found = matex.attribute(model, *subject.inputs, method="integrated-gradients", steps=steps, tower="text")
    exact(found, path.text(subject.module, subject.ids, subject.image, nodes, weights))


def test_nodes_are_those_of_newtons_method():
    for found, expected in zip(gauss_legendre(50), path.legendre(50), strict=True):
        exact(found, expected[::-1])


def test_the_map_sums_to_the_change_of_score(model, subject):
    pixels, ids = subject.inputs
    found = matex.attribute(model, pixels, ids, method="integrated-gradients", steps=300)
    change = matex.score(model, pixels, ids) - matex.score(model, torch.zeros_like(pixels), ids)
    assert found.sum().item() == pytest.approx(change.item(), abs=1e-6)
    found = matex.attribute(model, pixels, ids, method="integrated-gradients", steps=300, tower="text")
    assert found[0] == found[-1] == 0
    with torch.no_grad():
        embedded = model.text.entry(ids)
        embedded[:, 1:-1] = model.text.blank(ids)[:, 1:-1]
        trace = matex.record(model, pixels, ids).text
        change = trace.score - embed(model.text, model.text.start(embedded, ids)) @ trace.target[0]
    assert found.sum().item() == pytest.approx(change.item(), abs=1e-6)


def test_baselines_are_what_they_are_called(module, model, pixels, token_ids):
    way = Preprocessing((35, 35), "squash", "bicubic", 1 / 255, CLIP_MEAN, CLIP_STD)
    trace = matex.record(dataclasses.replace(model, preprocessing=way), pixels, token_ids).image

    def each(begin):
        return torch.cat([begin(item, 0, 1) for item in range(len(pixels))])

    mean, std = torch.tensor(CLIP_MEAN).double()[:, None, None], torch.tensor(CLIP_STD).double()[:, None, None]
    exact(each(starts(trace, "black", 0)), ((0 - mean) / std).expand_as(pixels), atol=1e-6)
    exact(each(starts(trace, "white", 0)), ((1 - mean) / std).expand_as(pixels), atol=1e-6)
    assert (each(starts(trace, "mean", 0)) == 0).all()
    noise = starts(trace, "noise", 3, 2)(0, 0, 2)
    assert torch.equal(noise, starts(trace, "noise", 3, 2)(0, 0, 2))
    assert not torch.equal(noise, starts(trace, "noise", 4, 2)(0, 0, 2))
    assert torch.equal(noise, starts(trace, "noise", 3, 2)(1, 0, 2))  # of every image
    assert noise.std().item() == pytest.approx(1, abs=0.05)
    constant = matex.record(model, torch.full_like(pixels, 0.7), token_ids).image
    exact(each(starts(constant, "blur", 0)), torch.full_like(pixels, 0.7))
    smooth = [gaussian_filter(image.numpy(), (0, 35 / 20, 35 / 20), mode="mirror", truncate=3) for image in pixels]
    exact(each(starts(trace, "blur", 0)), np.stack(smooth))


def test_black_needs_to_know_the_models_normalisation(module, pixels, token_ids):
    bare = adapt(module, "bare", preprocessing=None, tokenizer=None)
    with pytest.raises(matex.InputError, match="baseline 'black'"):
        matex.attribute(bare, pixels[:1], token_ids[:1], method="integrated-gradients", baseline="black")
    with pytest.raises(ValueError, match="Expected baseline to be one of mean"):
        matex.attribute(bare, pixels[:1], token_ids[:1], method="integrated-gradients", baseline="grey")


def test_captum_agrees(model, subject):
    captum = pytest.importorskip("captum.attr")
    pixels, ids = subject.inputs
    target = matex.record(model, pixels, ids).image.target[0]
    tower = model.image
    theirs = captum.IntegratedGradients(lambda x: embed(tower, tower.start(x, x)) @ target)
    expected = theirs.attribute(pixels, n_steps=20, internal_batch_size=20)[0].sum(0)
    exact(matex.attribute(model, pixels, ids, method="integrated-gradients", steps=20), expected.detach())


@pytest.mark.parametrize("shape", [(3, 35, 35), (3, 32, 48), (3, 17, 19)])
@pytest.mark.parametrize("rows", [2, 16, 45])
def test_noise_drawn_as_it_is_needed_is_one_draw(shape, rows):
    from matex.attribution.shared.path_integral import _Noise

    whole = torch.randn(rows, *shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    noise = _Noise(torch.Size(shape), 5, rows)
    for size in (1, 7, 32):  # the later ones begin again at row 0
        for start in range(0, rows, size):
            stop = min(start + size, rows)
            assert torch.equal(noise(start, stop), whole[start:stop])
            assert torch.equal(noise(start, stop), whole[start:stop])  # as when memory ran out
            assert sum(len(group) for group in noise._groups.values()) <= size + 2 * 15


@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_how_many_points_are_run_at_once_changes_nothing(model, pixels, token_ids, batch_size):
    settings = {"steps": 9, "batch_size": batch_size}
    expected = matex.attribute(model, pixels, token_ids, method="integrated-gradients", steps=9)
    found = matex.attribute(model, pixels, token_ids, method="integrated-gradients", **settings)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_the_blurred_baseline_is_a_gaussian_of_a_twentieth_of_the_height():
    point = torch.zeros(1, 3, 60, 200, dtype=torch.float64)
    point[..., 30, 100] = 1.0
    blurred = _blur(point)[0, 0]
    for axis, centre in ((0, 30), (1, 100)):
        profile = blurred.sum(dim=1 - axis)
        offset = torch.arange(len(profile)) - centre
        assert float((profile * offset**2).sum().sqrt()) == pytest.approx(3.0, abs=0.1)
