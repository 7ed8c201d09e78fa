"""Views, frames and laterality: which side of an image is drawn, and when nothing is."""

import numpy as np
import pytest

import matex
from matex.domains import find_pack, read_places
from matex.errors import InputError
from matex.images import Film
from matex.priors.display import bounds, foreground
from matex.queries import Query
from tests.domains.pack_files import knee, write

MODEL = matex.load("tiny")


def prior(pixels, text, domain, view=None, **film):
    """The prior "box" of a phrase on a made image, in the standard frame, at the model's pixels."""
    shown = Film(np.asarray(pixels, np.uint8), "made", "0", view=view, **film)
    query = Query(shown, text, domain=domain)
    _, placement = MODEL.prepare(shown, "squash")
    return query.context(placement, read_places(text, domain)).prior("box", "patient")


def breast(wall="right", marker=False):
    """A bright half ellipse at one edge of a dark image, with a marker in the far corner."""
    y, x = np.mgrid[0:240, 0:200]
    image = np.where(((x - 200) / 130) ** 2 + ((y - 120) / 90) ** 2 <= 1, 180, 5)
    if marker:
        image[10:30, 10:40] = 250
    return image if wall == "right" else image[:, ::-1]


def head(marker=False):
    y, x = np.mgrid[0:200, 0:200]
    image = np.where(((x - 100) / 60) ** 2 + ((y - 100) / 80) ** 2 <= 1, 150, 0)
    if marker:
        image[90:110, 2:20] = 255
    return image


def centre(found):
    """(x, y) of a prior's mass, fractions."""
    assert not found.neutral, found.reason
    rows, columns = np.indices(found.values.shape)
    total = found.values.sum()
    height, width = found.values.shape
    return float((found.values * (columns + 0.5)).sum() / total / width), float(
        (found.values * (rows + 0.5)).sum() / total / height
    )


# --------------------------------------------------------------------------------------------------------- foreground


def test_the_foreground_is_the_largest_bright_area():
    x0, y0, x1, y1 = bounds(foreground(head(marker=True).astype(float)))
    assert (x0, y0, x1, y1) == pytest.approx((0.2, 0.1, 0.8, 0.9), abs=0.01)


@pytest.mark.parametrize(
    "image", [np.full((50, 60), 90.0), np.zeros((50, 60)), np.random.default_rng(0).normal(120, 2, (50, 60))]
)
def test_an_image_without_a_dark_background_has_no_foreground(image):
    assert foreground(image) is None


def test_the_foreground_of_a_winding_area_is_one_area():
    image = np.zeros((40, 40))
    image[::4], image[:, 0], image[:, -1] = 200, 200, 0
    spiral = image.copy()
    spiral[0:2, 0:2] = 200
    assert foreground(spiral).sum() == (spiral > 20).sum()


# -------------------------------------------------------------------------------------------------------- mammography


@pytest.mark.parametrize("wall", ["right", "left"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_the_chest_wall_is_found_on_either_edge(wall, side):
    view = {"right": "RCC", "left": "LCC"}[side]
    near, _ = centre(prior(breast(wall), f"{side} retroareolar mass", "mammography", view))
    deep, _ = centre(prior(breast(wall), f"mass in the posterior third of the {side} breast", "mammography", view))
    assert (deep > near) == (wall == "right")


def test_the_outer_half_is_at_the_top_of_a_cc_view_and_the_upper_half_at_the_top_of_an_mlo_view():
    for view, side, wall in (("RCC", "right", "right"), ("LCC", "left", "left")):
        assert centre(prior(breast(wall), f"mass in the {side} lower outer quadrant", "mammography", view))[1] < 0.5
        assert centre(prior(breast(wall), f"mass in the {side} upper inner quadrant", "mammography", view))[1] > 0.5
    for view, side, wall in (("RMLO", "right", "right"), ("LMLO", "left", "left")):
        assert centre(prior(breast(wall), f"mass in the {side} upper inner quadrant", "mammography", view))[1] < 0.5
        assert centre(prior(breast(wall), f"mass in the {side} lower outer quadrant", "mammography", view))[1] > 0.5


def test_a_clock_position_is_outer_in_one_breast_and_inner_in_the_other():
    right = centre(prior(breast(), "mass at 10 o'clock in the right breast", "mammography", "RCC"))
    left = centre(prior(breast("left"), "mass at 10 o'clock in the left breast", "mammography", "LCC"))
    assert right[1] < 0.5 < left[1]
    unsided = prior(breast(), "mass at 10 o'clock", "mammography", "RCC")  # the breast that the view shows
    assert centre(unsided) == pytest.approx(right)


def test_a_phrase_about_the_other_breast_has_no_prior():
    found = prior(breast(), "mass in the left breast", "mammography", "RCC")
    assert found.neutral
    assert found.reason == "left breast: not shown on view RCC"


def test_a_mammogram_of_unknown_view_or_without_a_clear_chest_wall_has_no_prior():
    text = "mass in the right upper outer quadrant"
    assert "RCC, LCC" in prior(breast(), text, "mammography").reason
    both = np.maximum(breast(), breast("left"))
    assert prior(both, "mass in the posterior third of the right breast", "mammography", "RCC").neutral
    assert not prior(both, text, "mammography", "RCC").neutral  # the outer half is its own mirror image
    assert "no breast was found" in prior(np.full((200, 200), 90), text, "mammography", "RCC").reason


def test_a_file_that_contradicts_the_found_chest_wall_leaves_the_prior_neutral():
    text = "right retroareolar mass"
    assert not prior(breast(), text, "mammography", "RCC", facing="left").neutral
    assert prior(breast(), text, "mammography", "RCC", facing="right").neutral


def test_a_view_that_superimposes_two_places_draws_both_alike():
    upper = prior(breast(), "mass in the right upper outer quadrant", "mammography", "RCC").values
    lower = prior(breast(), "mass in the right lower outer quadrant", "mammography", "RCC").values
    assert np.array_equal(upper, lower)


# -------------------------------------------------------------------------------------------------------- axial brain


def test_the_patients_right_is_on_the_left_of_a_stated_axial_slice():
    text = "infarct in the right thalamus"
    assert centre(prior(head(), text, "brain-axial", "AXIAL-VENTRICLES", oriented=True))[0] < 0.5
    flipped = prior(head(), text, "brain-axial", "AXIAL-VENTRICLES", oriented=True, mirrored=True)
    assert centre(flipped)[0] < 0.5  # in the standard frame, into which the slice is flipped for the model


def test_an_axial_slice_of_unstated_display_has_a_prior_for_what_is_symmetric_alone():
    view = "AXIAL-VENTRICLES"
    found = prior(head(), "infarct in the right thalamus", "brain-axial", view)
    assert found.neutral
    assert "display of the image is not known" in found.reason
    for text in ("mass in the third ventricle", "bithalamic infarcts"):
        assert centre(prior(head(), text, "brain-axial", view))[0] == pytest.approx(0.5, abs=0.02)


def test_an_unknown_level_has_no_prior_and_a_region_of_another_level_neither():
    text = "mass in the fourth ventricle"
    assert "AXIAL-CEREBELLUM" in prior(head(), text, "brain-axial", oriented=True).reason
    assert prior(head(), text, "brain-axial", "AXIAL", oriented=True).neutral
    assert "not shown on view AXIAL-VERTEX" in prior(head(), text, "brain-axial", "AXIAL-VERTEX", oriented=True).reason
    assert not prior(head(), text, "brain-axial", "axial cerebellum", oriented=True).neutral


def test_places_move_with_the_head():
    small = np.zeros((200, 200))
    small[100:180, 120:180] = 150
    x, y = centre(prior(small, "mass in the third ventricle", "brain-axial", "AXIAL-VENTRICLES"))
    assert (x, y) == pytest.approx((0.75, 0.7), abs=0.03)


# ------------------------------------------------------------------------------------------------ lateral and abdomen


def test_the_front_of_a_lateral_film_is_where_the_file_says():
    flat = np.full((100, 100), 120)
    text = "fracture of the sternum"
    assert prior(flat, text, "chest-lateral", "LATERAL").neutral
    assert centre(prior(flat, text, "chest-lateral", "LL", facing="left"))[0] < 0.3
    assert centre(prior(flat, text, "chest-lateral", "RL", facing="right"))[0] > 0.7
    assert centre(prior(flat, text, "chest-lateral", oriented=True))[0] < 0.3  # stated by the caller
    flipped = prior(flat, text, "chest-lateral", "RL", facing="right", mirrored=True)
    assert centre(flipped)[0] < 0.3  # in the standard frame, into which the film is flipped for the model


def test_a_side_does_not_move_a_place_of_a_lateral_film():
    flat = np.full((100, 100), 120)
    right, left = (
        prior(flat, f"opacity in the {side} lower lobe", "chest-lateral", "LATERAL", facing="left").values
        for side in ("right", "left")
    )
    assert np.array_equal(right, left)


def test_an_abdominal_film_is_taken_in_standard_display():
    flat = np.full((100, 100), 120)
    found = prior(flat, "stone in the left kidney", "abdomen")
    assert centre(found)[0] > 0.6
    assert "(assumed)" in found.reason
    assert prior(flat, "stone in the left kidney", "abdomen", "LATERAL").neutral


def test_exchanged_sides_draw_the_mirror_image():
    flat = Film(np.full((100, 100), 120, np.uint8), "made", "0")
    query = Query(flat, "", domain="abdomen")
    _, placement = MODEL.prepare(flat, "squash")
    mentions = read_places("stone in the left kidney", "abdomen")
    plain, exchanged = (
        query.context(placement, mentions, other).prior("box", "patient").values for other in (False, True)
    )
    assert np.allclose(exchanged, plain[:, ::-1])
    assert not np.allclose(exchanged, plain)


def test_the_weight_of_a_mention_scales_the_prior():
    flat = np.full((100, 100), 120)
    assert prior(flat, "possible stone in the left kidney", "abdomen").values.max() == 0.5
    assert prior(flat, "no stone in the left kidney", "abdomen").neutral
    assert prior(flat, "a stone", "abdomen").reason == "the phrase names no region of the domain 'abdomen'"


def test_a_lung_mask_is_refused_outside_the_chest():
    with pytest.raises(InputError, match="no lung mask in the domain 'abdomen'"):
        Query.of(np.full((100, 100), 120, np.uint8), "", domain="abdomen", lung_mask=np.ones((100, 100), bool))


def test_a_pack_of_ones_own_has_a_prior(tmp_path):
    domain = str(write(tmp_path, knee()))
    x, _ = centre(prior(np.full((100, 100), 120), "fracture of the left patella", domain))
    assert x == pytest.approx(0.7, abs=0.02)
    assert find_pack(domain).name == "knee"
