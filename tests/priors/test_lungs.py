"""Lung masks: where they are parted, how their edges are softened, what the heart and the diaphragm hide."""

import numpy as np
import pytest

from matex.errors import InputError
from matex.priors.lungs import lung_boxes, measured_lungs


def bridged(bridge, size=100):
    """Booleans of two lungs 60 pixels high, 10 columns apart, joined by a bridge of so many pixels."""
    mask = np.zeros((size, size), bool)
    mask[20:80, 10:45] = mask[20:80, 55:90] = True
    mask[20 : 20 + bridge, 45:55] = True
    return mask


def test_lungs_that_touch_in_a_third_of_their_height_are_parted_in_the_middle_of_the_bridge():
    boxes = lung_boxes(bridged(20))
    assert boxes["right"] == pytest.approx((0.1, 0.2, 0.5, 0.8), abs=0.005)
    assert boxes["left"] == pytest.approx((0.5, 0.2, 0.9, 0.8), abs=0.005)


@pytest.mark.parametrize("bridge", [22, 30, 60])
def test_lungs_that_touch_in_more_of_their_height_are_not_parted(bridge):
    with pytest.raises(InputError, match="cannot be parted"):
        lung_boxes(bridged(bridge))


def test_lungs_are_parted_in_the_middle_third_of_the_mask_alone():
    mask = np.zeros((20, 61), bool)
    mask[:, :19] = mask[:, 20:] = True  # the gap is left of the middle third, 20 to 40
    with pytest.raises(InputError, match="cannot be parted"):
        lung_boxes(mask)
    mask[:, 19], mask[:, 20] = True, False
    assert lung_boxes(mask)["left"][0] == pytest.approx(21 / 61)


def test_the_edge_of_a_mask_is_softened_over_a_fiftieth_of_the_image_on_each_side():
    mask = np.zeros((200, 200), np.uint8)
    mask[40:160, 20:80] = 1
    lung = measured_lungs(mask, mirrored=False)["right"]
    edge = 80 / 200
    values = lung.visible(np.array([edge - 0.021, edge - 0.01, edge, edge + 0.01, edge + 0.021]), np.array([0.5]))
    np.testing.assert_allclose(values, [[1, 0.75, 0.5, 0.25, 0]], atol=1e-12)


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_whole_lung_holds_the_visible_one_and_reaches_to_the_inner_edge_of_its_box(mirrored):
    mask = np.zeros((100, 100), np.uint8)
    mask[10:90, 10:30] = 1
    mask[10:40, 30:45] = 1  # below, the heart hides the inner part
    if mirrored:
        mask = mask[:, ::-1].copy()
    lung = measured_lungs(mask, mirrored)["right"]
    z = (np.arange(100) + 0.5) / 100
    visible, whole = lung.visible(z, z), lung.whole(z, z)
    assert (whole >= visible).all()
    inward = whole[:, ::-1] if mirrored else whole
    assert inward[70, 40] == pytest.approx(1)
    assert inward[70, 42] == pytest.approx(1)
    assert inward[70, 48] == 0
