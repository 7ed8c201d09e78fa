"""Where the regions lie on a film with a lung mask: every box and its soft edge scale with this patient's lungs."""

import numpy as np
import pytest

from matex.priors.atlas import LUNGS, REGIONS
from matex.priors.chest import Chest
from matex.priors.shapes import indicator, parabola

SIZE = 1000


def mask_of(boxes):
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for label, (x0, y0, x1, y1) in boxes.items():
        mask[round(SIZE * y0) : round(SIZE * y1), round(SIZE * x0) : round(SIZE * x1)] = label
    return mask


SMALL = {1: (0.3, 0.4, 0.45, 0.7), 2: (0.55, 0.4, 0.7, 0.7)}  # lungs of .15 x .3


@pytest.fixture(scope="module")
def chest():
    return Chest.from_mask(mask_of(SMALL), mirrored=False, laterality="patient")


def test_the_soft_edge_of_a_region_scales_with_the_lung(chest):
    x0, y0, x1, y1 = chest.lungs["right"].place(REGIONS["hilum"])
    soft_x, soft_y = (soft * size for soft, size in zip(REGIONS["hilum"].soft, (0.15, 0.3), strict=True))
    across = chest.draw("hilum", "right", "atlas", np.array([x0 - soft_x, x0, x1, x1 + 2 * soft_x]), np.array([y0]))
    np.testing.assert_allclose(across, [[np.exp(-0.5), 1, 1, np.exp(-2)]], rtol=1e-9)
    down = chest.draw("hilum", "right", "atlas", np.array([x0]), np.array([y0 - 2 * soft_y, y0, y1 + soft_y]))
    np.testing.assert_allclose(down[:, 0], [np.exp(-2), 1, np.exp(-0.5)], rtol=1e-9)


def test_a_midline_region_moves_and_scales_with_the_lungs(chest):
    """By hand: the box around both lungs is .12 to .879 and .125 to .809 in the atlas, .3 to .7 and .4 to .7 here."""
    scale = (0.4 / (LUNGS["left"][2] - LUNGS["right"][0]), 0.3 / (LUNGS["left"][3] - LUNGS["left"][1]))
    x0, y0, x1, _ = REGIONS["heart"].box
    left = 0.3 + (x0 - LUNGS["right"][0]) * scale[0]
    right = 0.3 + (x1 - LUNGS["right"][0]) * scale[0]
    top = 0.4 + (y0 - LUNGS["left"][1]) * scale[1]
    soft = REGIONS["heart"].soft[0] * scale[0]
    values = chest.draw("heart", None, "atlas", np.array([left - soft, left, right, right + soft]), np.array([top]))
    np.testing.assert_allclose(values, [[np.exp(-0.5), 1, 1, np.exp(-0.5)]], rtol=1e-9)
    soft = REGIONS["heart"].soft[1] * scale[1]
    column = chest.draw("heart", None, "atlas", np.array([left]), np.array([top - 2 * soft, top - soft, top]))
    np.testing.assert_allclose(column[:, 0], [np.exp(-2), np.exp(-0.5), 1], rtol=1e-9)


def test_with_one_lung_in_the_mask_midline_regions_stay_where_they_are_on_average():
    one = Chest.from_mask(mask_of({1: SMALL[1]}), mirrored=False, laterality="patient")
    z = np.linspace(0, 1, 101)
    expected = Chest.average(False).draw("heart", None, "box", z, z)
    np.testing.assert_array_equal(one.draw("heart", None, "box", z, z), expected)


def test_the_papers_laterality_mirrors_midline_regions_of_a_mask_too(chest):
    paper = Chest.from_mask(mask_of(SMALL), mirrored=False, laterality="paper")
    z = np.linspace(0, 1, 201)
    straight, mirrored = (c.draw("heart", None, "atlas", z, z) for c in (chest, paper))
    np.testing.assert_allclose(mirrored, straight[:, ::-1], atol=1e-9)  # the mask is symmetric
    assert np.abs(mirrored - straight).max() > 0.5


def test_with_a_mask_the_parabola_is_drawn_on_the_boxes_of_the_atlas(chest):
    z = np.linspace(0, 1, 201)
    drawn = chest.draw("hilum", "left", "parabola", z, z)
    np.testing.assert_array_equal(drawn, parabola(z, z, chest.lungs["left"].place(REGIONS["hilum"])))
    assert drawn.max() > 0


def test_an_indicator_holds_the_edges_of_its_box():
    assert indicator(np.array([0.25, 0.5]), np.array([0.25, 0.75]), (0.25, 0.25, 0.5, 0.75)).min() == 1
