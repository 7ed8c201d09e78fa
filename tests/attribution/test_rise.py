"""RISE: masks of the reference, twin, control for the constant part of scores."""

import itertools

import pytest
import torch

import matex
from matex.attribution.rise import Masks, share_out, stretch
from tests.attribution.subjects import Subject, exact
from tests.reference import removal


@pytest.fixture
def subject(module, pixels, token_ids):
    return Subject(module, pixels[0], token_ids[0])


@pytest.mark.parametrize(("cells", "size"), [(7, (35, 35)), (8, (30, 41)), (2, (9, 5))])
def test_masks_are_the_references(cells, size):
    expected = torch.stack(removal.rise_masks(6, cells, 0.3, size, seed=4))
    masks = Masks(6, cells, 0.3, size, seed=4)
    exact(torch.cat([masks(0, 4, torch.device("cpu")), masks(4, 6, torch.device("cpu"))]), expected, atol=1e-12)


def test_interpolation_mirrors_at_the_border():
    weights = torch.from_numpy(stretch(2, 4))  # centres of the two cells lie at 3 and 9 twelfths of the way
    exact(weights.sum(1), torch.ones(12))
    assert weights[0, 1] > 0  # clamping would give the first cell alone


@pytest.mark.parametrize("normalise", ["control", "reference"])
def test_it_agrees_with_its_twin(model, subject, normalise):
    settings = {"masks": 20, "cells": 4, "keep": 0.4, "seed": 3, "normalise": normalise, "batch_size": 6}
    masks = removal.rise_masks(20, 4, 0.4, (35, 35), seed=3)
    expected = removal.rise_image(subject.module, subject.pixels, subject.text, masks, 0.4, normalise)
    exact(matex.attribute(model, *subject.inputs, method="rise", **settings), expected)
    subsets = list(itertools.product([False, True], repeat=len(subject.words)))
    chances = [0.4 ** sum(s) * 0.6 ** (len(s) - sum(s)) for s in subsets]
    expected = removal.rise_text(subject.module, subject.ids, subject.image, subsets, chances, 0.4, normalise)
    exact(matex.attribute(model, *subject.inputs, method="rise", tower="text", **settings), expected)


def test_long_phrases_are_sampled(model, subject, monkeypatch):
    settings = {"method": "rise", "tower": "text"}
    every = matex.attribute(model, *subject.inputs, **settings)
    monkeypatch.setattr("matex.attribution.rise._EXACT", 3)
    drawn = matex.attribute(model, *subject.inputs, masks=20000, **settings)
    assert torch.corrcoef(torch.stack([every[1:-1], drawn[1:-1]]))[0, 1] > 0.99
    assert not torch.equal(drawn, matex.attribute(model, *subject.inputs, masks=20000, seed=1, **settings))


def test_a_constant_score_gives_zero_under_control_and_the_masks_without():
    masks = torch.rand(50, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    score, mean = torch.tensor([0.25], dtype=torch.float64), masks.mean(0)
    exact(share_out(0.25 * mean[None], mean, score, 0.5, "control"), torch.zeros(1, 9))
    exact(share_out(0.25 * mean[None], mean, score, 0.5, "reference"), 0.5 * mean[None])


def test_a_pixel_no_mask_showed_gets_zero():
    assert share_out(torch.zeros(1, 1), torch.zeros(1), torch.ones(1), 0.5, "control").tolist() == [[0.0]]


def test_bad_values_are_refused(model, subject):
    with pytest.raises(ValueError, match="Expected keep between 0 and 1, got 1"):
        matex.attribute(model, *subject.inputs, method="rise", keep=1)
    with pytest.raises(ValueError, match="Expected normalise to be one of control, reference"):
        matex.attribute(model, *subject.inputs, method="rise", normalise="none")


def test_sums_over_masks_are_kept_and_not_the_parts(model, subject, monkeypatch):
    import weakref

    from matex.attribution import rise

    living, most, batches = weakref.WeakSet(), [], rise.batches

    def watched(run, *settings):
        for parts in batches(run, *settings):
            living.update(parts)
            yield parts
            del parts
            most.append(len(living))

    monkeypatch.setattr(rise, "batches", watched)
    matex.attribute(model, *subject.inputs, method="rise", masks=40, batch_size=2)
    assert len(most) == 20
    assert max(most) <= 9  # the sums, those before, and one batch
