"""Boxes that count alike, shares outside the lungs, and maps of several findings, against loops."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import matex
from matex.datasets import Sample
from matex.metrics import Case, make_metric
from matex.metrics.classes import FIVE
from matex.samples import samples
from matex.simulation import find_lungs
from matex.simulation.body import find_body
from tests.metrics.made import film, make_case, small_model

FILM = samples()[4]  # the segmenter finds its lungs


@pytest.fixture(scope="module")
def model():
    return small_model()


def test_every_box_counts_alike_however_small(model):
    grid = np.zeros((5, 5))
    grid[0, 0] = 1.0
    boxes = ((0.0, 0.0, 6.0, 6.0), (20.0, 20.0, 50.0, 40.0))
    case = make_case(model, grid=grid, picture=film(0, 44, 52), boxes=boxes)
    found = make_metric("box-recall", {"top": 10.0})([case])
    assert (found["boxes"][0], found["box_recall"][0]) == (2, 50.0)
    raw = case.explanation.image.raw
    highlighted = raw > np.quantile(raw, 0.9)  # most of the map is zero
    shares = [100 * highlighted[y0:y1, x0:x1].mean() for x0, y0, x1, y1 in ((0, 0, 6, 6), (20, 20, 50, 40))]
    assert found["box_cover"][0] == pytest.approx(np.mean(shares), abs=1e-6)


def test_single_boxes_and_constant_maps_have_no_recall(model):
    one = make_case(model, boxes=((0.0, 0.0, 9.0, 9.0),))
    flat = make_case(model, grid=np.ones((5, 5)), boxes=((0.0, 0.0, 9.0, 9.0), (20.0, 20.0, 30.0, 30.0)))
    found = make_metric("box-recall", {})([one, flat])
    assert np.isnan(found["box_recall"]).all()
    assert found["boxes"].tolist()[1] == 2
    with pytest.raises(ValueError, match="top in percent"):
        make_metric("box-recall", {"top": 0.1})


def test_the_share_outside_the_lungs_is_by_the_mask_or_the_segmenter():
    tiny = matex.load("tiny")
    read = matex.read(FILM.path)
    mask = np.zeros(read.size, dtype=np.uint8)
    mask[:, : read.size[1] // 2] = 1
    given = matex.explain(tiny, read, "opacity", "gradient", lung_mask=mask)
    sample = Sample("s", FILM.path, "opacity")
    found = make_metric("outside-lungs", {})([Case(tiny, sample, given, {})])
    raw = np.clip(given.image.raw, 0, None)
    assert found["outside_lungs"][0] == pytest.approx(raw[mask == 0].sum() / raw.sum(), abs=1e-6)
    assert found["outside_lungs_even"][0] == pytest.approx((mask == 0).mean(), abs=1e-6)
    plain = matex.explain(tiny, read, "opacity", "gradient")
    measured = make_metric("outside-lungs", {})([Case(tiny, sample, plain, {})])["outside_lungs_even"][0]
    grey = read.pixels if read.pixels.ndim == 2 else read.pixels[..., 0]
    lungs = find_lungs(grey)
    assert lungs.measured
    assert measured == pytest.approx(1 - (lungs.left | lungs.right).mean(), abs=0.02)
    natural = matex.explain(tiny, read, "opacity", "gradient", domain="natural")
    assert np.isnan(make_metric("outside-lungs", {})([Case(tiny, sample, natural, {})])["outside_lungs"][0])


@pytest.mark.parametrize("phrases", [(), ("nodule", "pleural effusion", "clear lungs")])
def test_maps_of_findings_are_compared_pair_by_pair(phrases):
    tiny = matex.load("tiny")
    explanation = matex.explain(tiny, FILM.path, "opacity in the left lower lung", "gradcam", at="input")
    case = Case(tiny, Sample("s", FILM.path, "opacity"), explanation, {})
    found = make_metric("class-discrimination", {"phrases": phrases, "batch_size": 2})([case])
    placement = explanation.image.placement
    maps = [
        placement.map_to_model(torch.from_numpy(matex.explain(tiny, FILM.path, one, "gradcam", at="input").image.grid))
        for one in phrases or FIVE
    ]
    pairs = list(itertools.combinations([one.numpy() for one in maps], 2))
    for name, change in (("class_correlation", np.asarray), ("class_correlation_abs", np.abs)):
        expected = [spearmanr(change(a).ravel(), change(b).ravel()).statistic for a, b in pairs]
        assert found[name][0] == pytest.approx(np.mean(expected), abs=0.01)


def test_classes_of_the_data_set_are_its_own(model):
    labels = {"first": ("3 14",), "second": ("26 5", "7 7"), "third": ("9 30",)}
    case = make_case(model, labels=labels)
    given = dict.fromkeys(("phrases",), tuple(texts[0] for texts in labels.values()))
    for metric in ("class-discrimination",):
        own, named = make_metric(metric, {})([case]), make_metric(metric, given)([case])
        assert own["class_correlation"][0] == pytest.approx(named["class_correlation"][0], nan_ok=True)
    with pytest.raises(ValueError, match="phrases"):
        make_metric("class-discrimination", {"phrases": ("nodule",)})


def drawn_body(marker=True, frame=False):
    """A bright ellipse with two dark lungs on black, a marker in the air; and the ellipse's mask."""
    y, x = np.mgrid[0:300, 0:260]
    body = ((x - 130) / 105) ** 2 + ((y - 170) / 150) ** 2 < 1
    lungs = (((np.abs(x - 130) - 48) / 30) ** 2 + ((y - 140) / 75) ** 2) < 1
    grey = np.where(body, 170, 2).astype(np.uint8)
    grey[lungs] = 30
    grey[body & (np.abs(x - 130) < 8)] = 220
    if marker:
        grey[10:24, 10:24] = 250
    if frame:
        grey[[0, 1, 2, 3, -4, -3, -2, -1]] = grey[:, [0, 1, 2, 3, -4, -3, -2, -1]] = 255
    return grey, body


def test_the_body_is_the_largest_bright_part_with_its_lungs():
    grey, body = drawn_body()
    found = find_body(grey)
    assert found.measured
    assert (found.mask & body).sum() / (found.mask | body).sum() > 0.96
    assert not found.mask[10:24, 10:24].any()
    assert found.mask[140, 82]
    assert not find_body(drawn_body(frame=True)[0]).measured
    assert not find_body(np.full((300, 260), 120, np.uint8)).measured


def test_the_share_outside_the_body_is_that_of_the_positive_map():
    tiny = matex.load("tiny")
    grey, _ = drawn_body()
    film_read = matex.read(grey)
    explanation = matex.explain(tiny, film_read, "opacity", "gradient")
    sample = Sample("s", film_read, "opacity")
    found = make_metric("outside-body", {})([Case(tiny, sample, explanation, {})])
    outside, raw = ~find_body(grey).mask, explanation.image.raw
    total = part = 0.0
    for value, out in zip(raw.ravel().tolist(), outside.ravel().tolist(), strict=True):
        if value > 0:
            total, part = total + value, part + value * out
    assert found["outside_body"][0] == pytest.approx(part / total, abs=1e-6)
    assert found["outside_body_even"][0] == pytest.approx(outside.mean(), abs=1e-6)
    natural = matex.explain(tiny, film_read, "opacity", "gradient", domain="natural")
    assert np.isnan(make_metric("outside-body", {})([Case(tiny, sample, natural, {})])["outside_body"][0])
