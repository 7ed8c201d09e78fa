"""The organ in front of a dark background, and the edge that it touches, on images whose answer is known by hand."""

import dataclasses

import numpy as np
import pytest

import matex
from matex.domains import find_pack
from matex.domains.pack import View
from matex.images import Film
from matex.priors.display import _found, _grey, bounds, display_of, foreground
from tests.domains.pack_files import knee, write

MODEL = matex.load("tiny")


def rectangle(height=20, width=30, rows=(4, 12), columns=(6, 21), dark=0.0, bright=100.0):
    """Grey values that are bright in the given rows and columns."""
    grey = np.full((height, width), float(dark))
    grey[slice(*rows), slice(*columns)] = bright
    return grey


def shown(pixels, **film):
    """A film of these pixels, and its placement."""
    made = Film(np.asarray(pixels, np.uint8), "made", "0", **film)
    return made, MODEL.prepare(made, "squash")[1]


def display(pack, pixels, **film):
    return display_of(pack, *shown(pixels, **film))


# --------------------------------------------------------------------------------------------------------- foreground


@pytest.mark.parametrize(("bright", "found"), [(15.9, False), (16.0, True), (100.0, True)])
def test_a_foreground_is_sixteen_grey_values_above_its_background(bright, found):
    assert (foreground(rectangle(bright=bright)) is not None) == found
    assert (foreground(rectangle(dark=50, bright=50 + bright)) is not None) == found


@pytest.mark.parametrize(("value", "belongs"), [(59.9, False), (60.0, False), (60.1, True)])
def test_what_is_above_a_tenth_of_the_range_belongs_to_the_foreground(value, belongs):
    """From 50 to 150: the limit lies at 60."""
    grey = rectangle(dark=50, bright=150)
    grey[4:12, 21] = value
    assert foreground(grey).sum() == 8 * 15 + 8 * belongs


@pytest.mark.parametrize(("pixels", "found"), [(9, False), (10, True), (97, True), (98, False)])
def test_a_foreground_covers_a_tenth_of_the_film_to_almost_all(pixels, found):
    grey = np.zeros(100)
    grey[:pixels] = 100
    assert (foreground(grey.reshape(10, 10)) is not None) == found


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_areas_at_opposite_edges_are_not_joined(turn):
    """Two strips that together are larger than the middle; the strip at one edge does not go on at the other."""
    grey = np.zeros((30, 40))
    grey[:, :6] = grey[:, -6:] = 100
    grey[4:24, 15:25] = 100
    grey = np.rot90(grey, turn)
    middle = foreground(grey)
    assert middle.sum() == 200
    assert not middle[[0, -1]].any()
    assert not middle[:, [0, -1]].any()


def test_areas_that_touch_at_a_corner_are_two():
    grey = np.zeros((20, 20))
    grey[:8, :8] = grey[8:17, 8:17] = 100
    found = foreground(grey)
    assert found.sum() == 81
    assert not found[0, 0]


def test_a_foreground_keeps_its_arms_in_every_direction():
    """A pinwheel: each arm is reached by sweeps in another order."""
    grey = np.zeros((21, 21))
    grey[10, 3:18] = grey[3:18, 10] = grey[3, 10:18] = grey[10:18, 17] = grey[17, 3:11] = grey[3:11, 3] = 100
    assert foreground(grey).sum() == (grey > 0).sum()


def test_bounds_are_those_of_the_pixels():
    mask = np.zeros((5, 8), dtype=bool)
    mask[1, 2] = mask[3, 6] = True
    assert bounds(mask) == (2 / 8, 1 / 5, 7 / 8, 4 / 5)
    assert bounds(mask[1:2, 2:3]) == (0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("size", "reduced"), [((128, 50), (128, 50)), ((129, 50), (65, 25)), ((50, 257), (17, 86)), ((2, 3), (2, 3))]
)
def test_few_pixels_of_a_large_image_are_read(size, reduced):
    assert _grey(np.zeros(size, np.uint8)).shape == reduced
    assert _grey(np.zeros((*size, 3), np.uint8)).shape == reduced


def test_the_grey_value_of_a_colour_is_its_mean():
    colours = np.array([[[30, 0, 0], [0, 60, 90]], [[255, 255, 255], [0, 0, 3]]], np.uint8)
    assert _grey(colours).tolist() == [[10, 50], [255, 1]]
    assert _grey(np.array([[7, 200]], np.uint8)).tolist() == [[7, 200]]


# ------------------------------------------------------------------------------------------------------------- display


def test_the_frame_of_a_pack_is_the_film_or_the_box_around_the_organ():
    pixels = rectangle(40, 80, (8, 30), (10, 50))
    brain = find_pack("brain-axial")
    assert display(brain, pixels).frame == pytest.approx((10 / 80, 8 / 40, 50 / 80, 30 / 40))
    assert display(brain, np.repeat(pixels[..., None], 3, axis=2)).frame == pytest.approx((10 / 80, 0.2, 50 / 80, 0.75))
    assert display(brain, np.full((40, 80), 90)).frame is None
    assert display(find_pack("abdomen"), pixels).frame == (0, 0, 1, 1)


def test_a_pack_may_find_the_display_of_an_organ_that_fills_the_film():
    """The edge that the organ touches is looked for whatever the frame of the pack."""
    pack = dataclasses.replace(find_pack("mammography"), frame="film")
    wall_right = rectangle(100, 100, (20, 80), (60, 100))
    for pixels, mirrored in ((wall_right, False), (wall_right[:, ::-1], True)):
        found = display(pack, pixels, view="RCC")
        assert (found.frame, found.mirrored) == ((0, 0, 1, 1), mirrored)


@pytest.mark.parametrize(
    ("film", "assumed"),
    [
        ({}, True),
        ({"view": "AP"}, True),
        ({"oriented": True}, True),
        ({"view": "AP", "oriented": True}, False),
        ({"view": "AP", "mirrored": True}, False),
    ],
)
def test_a_display_is_assumed_unless_view_and_sides_are_stated(film, assumed):
    found = display(find_pack("abdomen"), np.full((40, 80), 90), **film)
    assert found.assumed == assumed
    assert found.view.name == "AP"
    assert found.mirrored is False


def test_a_display_that_nothing_states_is_unknown_where_the_pack_assumes_none(tmp_path):
    stated = find_pack(str(write(tmp_path, knee(orientation="stated"))))
    pixels = np.full((40, 80), 90)
    assert display(stated, pixels).mirrored is None
    assert display(stated, pixels, oriented=True).mirrored is False
    assert display(stated, pixels, facing="right").mirrored is True
    assert display(stated, pixels, facing="right", mirrored=True).mirrored is False
    assert display(stated, pixels, facing="left").mirrored is False


# ------------------------------------------------------------------------------------------------------ the chest wall


def edges(left, right, width=100, band=4):
    """A mask of 100 rows that covers so many of them in the bands at its edges, and nothing in between."""
    mask = np.zeros((100, width), dtype=bool)
    mask[:left, :band] = True
    if right:
        mask[:right, -band:] = True
    return mask


RIGHT, LEFT = View("RCC", "CC", "right"), View("LCC", "CC", "left")
FACING = {None: {}, "left": {"facing": "left"}, "right": {"facing": "right"}}


def mirrored(mask, view=RIGHT, **film):
    return _found(mask, Film(np.zeros((2, 2), np.uint8), "made", "0", **film), view)


@pytest.mark.parametrize(
    ("left", "right", "found"),
    [
        (0, 20, False),  # .2 of one edge is enough
        (0, 19, None),
        (20, 0, True),
        (19, 0, None),
        (30, 60, False),  # twice as much as of the other
        (31, 60, None),
        (60, 30, True),
        (60, 31, None),
        (100, 100, None),
        (0, 0, None),
    ],
)
def test_the_chest_wall_is_at_the_edge_that_the_breast_touches_more(left, right, found):
    """The right breast has its chest wall at the image's right in standard display, the left one at its left."""
    assert mirrored(edges(left, right)) is found
    assert mirrored(edges(left, right), LEFT) is (None if found is None else not found)


def test_the_edge_is_a_band_of_a_twenty_fifth_of_the_width():
    """Rows at the inner end of the band count, those beyond it do not."""
    for width, band in ((100, 4), (50, 2), (25, 1), (8, 1)):
        full, beyond = np.zeros((100, width), dtype=bool), np.zeros((100, width), dtype=bool)
        full[:, -band] = True
        beyond[:, -band - 1] = True
        assert mirrored(full) is (False if 1 / band >= 0.2 else None), width
        assert mirrored(beyond) is None, width
        assert mirrored(full[:, ::-1]) is True, width
        assert mirrored(beyond[:, ::-1]) is None, width


def test_a_file_that_agrees_with_the_chest_wall_leaves_it_and_one_that_does_not_makes_it_unknown():
    for stated, found in ((None, False), ("left", False), ("right", None)):
        assert mirrored(edges(0, 60), **FACING[stated]) is found
        opposite = {"left": "right", "right": "left", None: None}[stated]
        assert mirrored(edges(0, 60), mirrored=True, **FACING[opposite]) is found
