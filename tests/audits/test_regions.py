"""Regions of maps to the pixel: what is highlighted, where it lies, what another map shares with it."""

import math

import numpy as np
import pytest
import torch

from matex.audits.deletion import region_to_delete
from matex.audits.regions import (
    box_pixels,
    corners,
    displaced,
    film_pixels,
    highlighted,
    likeness,
    lungs,
    position,
    prior_share,
    share_inside,
    stays,
)
from matex.geometry import Placement
from tests.audits.hand_made import COLUMNS, FLAT, ROWS, column, image, pixel_map
from tests.fake_explanation import GRID


def test_the_highlighted_region_is_a_tenth_of_the_film():
    region = highlighted(image(np.random.default_rng(0).random(GRID).astype(np.float32)))
    assert region.shape == (192, 224)
    assert float(region.sum()) == pytest.approx(math.ceil(0.1 * 192 * 224))
    padded = image(np.random.default_rng(0).random(GRID).astype(np.float32), "pad", (300, 700))
    seen = film_pixels(padded.placement)
    assert 0.3 < seen.mean() < 0.6
    assert float(highlighted(padded).sum()) == pytest.approx(math.ceil(0.1 * seen.sum()))
    assert not highlighted(padded)[torch.from_numpy(~seen)].any()


def test_all_of_a_map_stays_in_itself_and_none_in_a_map_elsewhere():
    ramp = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(GRID)
    assert stays(image(ramp), image(ramp)) == pytest.approx(1, abs=1e-3)
    assert stays(image(ramp), image(-ramp)) == 0
    assert stays(image(column(3)), image(column(9))) == pytest.approx(0)
    assert math.isnan(stays(image(FLAT), image(column(3))))
    assert math.isnan(stays(image(column(3)), image(FLAT)))


def test_the_share_that_stays_is_that_of_the_first_map():
    """Equal values share the tenth, so that the highlighted regions weigh alike and overlap in proportion."""
    wide = np.zeros(GRID, dtype=np.float32)
    wide[:, 2:10] = 1.0
    assert stays(image(column(3)), image(wide)) == pytest.approx(0.1 / (8 / 14), abs=0.04)


def test_likeness_is_the_rank_correlation():
    ramp = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(GRID)
    assert likeness(image(ramp), image(ramp**3)) == pytest.approx(1, abs=1e-3)
    assert likeness(image(ramp), image(-ramp)) == pytest.approx(-1, abs=1e-6)


@pytest.mark.parametrize("index", [0, 3, 9, 13])
def test_the_position_of_a_column_is_its_place_across_the_film(index):
    assert position(image(column(index))) == pytest.approx((index + 0.5) / COLUMNS, abs=0.02)


def test_a_constant_map_has_no_position():
    assert math.isnan(position(image(FLAT)))


def test_the_share_inside_a_region_counts_positive_values_on_the_film_alone():
    half = np.zeros((192, 224), dtype=bool)
    half[:, :112] = True
    signed = column(3) - column(9, 5.0)
    share, even = share_inside(image(signed), half)
    assert share == pytest.approx(1, abs=0.01)
    assert even == 0.5
    assert share_inside(image(column(3) + column(9)), half)[0] == pytest.approx(0.5, abs=0.01)
    assert math.isnan(share_inside(image(-column(3)), half)[0])
    padded = image(column(3), "pad", (300, 700))
    top = np.zeros((192, 224), dtype=bool)
    top[:96] = True
    assert share_inside(padded, top) == pytest.approx((0.5, 0.5), abs=0.01)


def test_corners_are_fifteen_per_cent_of_each_side():
    placement = image(FLAT).placement
    region = corners(placement)
    assert region.mean() == pytest.approx(4 * 0.15**2, abs=0.01)
    assert region[0, 0]
    assert region[-1, 0]
    assert region[0, -1]
    assert region[-1, -1]
    assert not region[96, 0]
    assert not region[0, 112]
    assert not region[96, 112]
    assert region[27, 32]
    assert not region[31, 32]
    assert not region[27, 36]


def test_a_lung_mask_lies_where_it_lies_on_the_film():
    mask = np.zeros((512, 512), dtype=np.uint8)
    mask[100:400, 60:200] = 2
    found = lungs(image(FLAT).placement, mask)
    y, x = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    assert (y[0] / 192, y[-1] / 192) == pytest.approx((100 / 512, 400 / 512), abs=0.01)
    assert (x[0] / 224, x[-1] / 224) == pytest.approx((60 / 512, 200 / 512), abs=0.01)


def test_the_atlas_lungs_are_two_boxes_beside_each_other():
    found = lungs(image(FLAT).placement)
    assert found[96, 60]
    assert found[96, 170]
    assert not found[96, 112]
    assert not found[:5].any()
    assert not found[-20:].any()
    assert not found[:, :10].any()


def test_pixels_of_a_mask_are_sampled_up_to_its_edges():
    mask = np.random.default_rng(2).integers(0, 2, (6, 7))
    placement = Placement.fit((6, 7), (192, 224), (16, 16), "squash")
    np.testing.assert_array_equal(lungs(placement, mask), np.kron(mask, np.ones((32, 32))).astype(bool))
    padded = Placement.fit((6, 7), (224, 224), (16, 16), "pad")
    np.testing.assert_array_equal(lungs(padded, mask)[16:-16], np.kron(mask, np.ones((32, 32))).astype(bool))


def test_the_prior_share_is_capped_and_independent_of_scale_and_offset():
    base = torch.tensor([[0.0, 0.1], [0.2, 0.3]], dtype=torch.float64)
    assert prior_share(base, 10 * base) == 1
    assert prior_share(base, 0.5 * base) == pytest.approx(0.5)
    assert prior_share(base, 0.5 * base + 7) == pytest.approx(0.5)
    assert prior_share(base - 3, 0.5 * base) == pytest.approx(0.5)


def test_the_share_inside_a_region_is_independent_of_the_scale_and_of_padding():
    half = np.zeros((192, 224), dtype=bool)
    half[:, :112] = True
    assert share_inside(image(column(3, 1e-6)), half)[0] == pytest.approx(1, abs=0.01)
    assert share_inside(image(column(3), "pad", (300, 700)), half) == pytest.approx((1, 0.5), abs=0.01)


def test_pixels_that_are_half_in_the_tenth_are_not_clearly_highlighted():
    """80 pixels have a tenth of 8: the highest one, and 7 that 14 others share by halves."""
    grid = np.zeros((8, 10))
    grid[2, :10] = grid[3, :4] = 1
    grid[5, 5] = 2
    region = region_to_delete(pixel_map(grid))
    assert float(highlighted(pixel_map(grid))[2, 0]) == 0.5
    assert region.nonzero().tolist() == [[5, 5]]


def test_a_box_includes_the_pixels_whose_centres_lie_on_its_edges():
    placement = Placement.fit((4, 8), (4, 8), (1, 1), "squash")
    found = box_pixels((1.5 / 8, 0.5 / 4, 5.5 / 8, 2.5 / 4), placement)
    expected = np.zeros((4, 8), dtype=bool)
    expected[0:3, 1:6] = True
    np.testing.assert_array_equal(found, expected)


def test_the_limits_of_corners_belong_to_the_film_and_not_to_its_corners():
    """Of 10 pixels the centres of the second and the ninth lie at .15 and .85."""
    found = corners(Placement.fit((10, 10), (10, 10), (1, 1), "squash"))
    expected = np.zeros((10, 10), dtype=bool)
    expected[np.ix_([0, 9], [0, 9])] = True
    np.testing.assert_array_equal(found, expected)


def test_a_lung_mask_of_a_tall_film_is_sampled_between_its_padding():
    mask = np.random.default_rng(2).integers(0, 2, (7, 6))
    tall = Placement.fit((7, 6), (224, 224), (16, 16), "pad")
    np.testing.assert_array_equal(lungs(tall, mask)[:, 16:-16], np.kron(mask, np.ones((32, 32))).astype(bool))


def test_every_displacement_that_overlaps_by_at_most_half_is_possible():
    region = torch.zeros(5, 7, dtype=torch.bool)
    region[1:3, 2:4] = True
    shifts = [region.roll((down, across), (0, 1)) for down in range(5) for across in range(7)]
    allowed = {shift.numpy().tobytes() for shift in shifts if int((shift & region).sum()) <= 2}
    assert {moved.numpy().tobytes() for moved in displaced(region, 1000)} == allowed
    assert len(allowed) == 34  # all but the region where it is
