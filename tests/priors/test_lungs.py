"""Lung masks: where they are parted, how their edges are softened, what the heart and the diaphragm hide."""

import numpy as np
import pytest

from matex.errors import InputError
from matex.priors.lungs import lung_boxes, measured_lungs
from tests.reference.priors import window_share


def bridged(bridge, size=100):
    """Booleans of two lungs 60 pixels high, 10 columns apart, joined by a bridge of so many pixels."""
    mask = np.zeros((size, size), bool)
    mask[20:80, 10:45] = mask[20:80, 55:90] = True
    mask[20 : 20 + bridge, 45:55] = True
    return mask


@pytest.mark.parametrize("bridge", [20, 21])
def test_lungs_that_touch_in_at_most_35_percent_of_their_height_are_parted_in_the_middle_of_the_bridge(bridge):
    boxes = lung_boxes(bridged(bridge))
    assert boxes["right"] == pytest.approx((0.1, 0.2, 0.5, 0.8), abs=0.005)
    assert boxes["left"] == pytest.approx((0.5, 0.2, 0.9, 0.8), abs=0.005)


@pytest.mark.parametrize("bridge", [22, 30, 60])
def test_lungs_that_touch_in_more_of_their_height_are_not_parted(bridge):
    with pytest.raises(InputError, match="cannot be parted"):
        lung_boxes(bridged(bridge))


@pytest.mark.parametrize(("gap", "parted"), [(19, False), (20, True), (40, True), (41, False)])
def test_lungs_are_parted_in_the_middle_third_of_the_mask_alone(gap, parted):
    mask = np.zeros((20, 67), bool)
    mask[:, 3:64] = True  # 61 columns: the middle third begins after 20 of them and ends before the last 20
    mask[:, 3 + gap] = False
    if parted:
        assert lung_boxes(mask)["left"][0] == pytest.approx((3 + gap + 1) / 67)
    else:
        with pytest.raises(InputError, match="cannot be parted"):
            lung_boxes(mask)


def test_a_mask_without_a_middle_third_cannot_be_parted():
    with pytest.raises(InputError, match="cannot be parted"):
        lung_boxes(np.array([[True, True]]))


def test_the_edge_of_a_mask_is_softened_over_a_fiftieth_of_the_image_on_each_side():
    mask = np.zeros((200, 200), np.uint8)
    mask[40:160, 20:80] = 1
    lung = measured_lungs(mask, mirrored=False)["right"]
    edge = 80 / 200
    values = lung.visible(np.array([edge - 0.021, edge - 0.01, edge, edge + 0.01, edge + 0.021]), np.array([0.5]))
    np.testing.assert_allclose(values, [[1, 0.75, 0.5, 0.25, 0]], atol=1e-12)


@pytest.mark.parametrize("shape", [(61, 83), (7, 5)])
def test_the_coverage_of_a_mask_equals_its_slow_twin_up_to_the_edges_and_beyond(shape):
    mask = np.random.default_rng(0).integers(0, 2, shape, dtype=np.uint8)
    x, y = np.linspace(-0.1, 1.1, 25), np.linspace(-0.13, 1.07, 19)
    found = measured_lungs(mask * 2, mirrored=False)["left"].visible(x, y)
    expected = [[window_share(mask, one_x, one_y, 0.02) for one_x in x] for one_y in y]
    np.testing.assert_allclose(found, expected, atol=1e-12)


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
    assert inward[70, 47] == 0


@pytest.mark.parametrize("mirrored", [False, True])
def test_labels_one_above_the_other_show_no_right_and_left(mirrored):
    """Their means lie in the same column, which is the order of neither display."""
    mask = np.zeros((20, 20), np.uint8)
    mask[2:8, 5:15], mask[10:18, 5:15] = 1, 2
    with pytest.raises(InputError, match="got them exchanged"):
        lung_boxes(mask, mirrored)
