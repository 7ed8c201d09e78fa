"""Placement: points, boxes and maps survive the way to the grid and back."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from matex import geometry
from matex.geometry import Placement

sizes = st.tuples(st.integers(20, 400), st.integers(20, 400))
ways = st.sampled_from(["squash", "pad", "crop"])


@given(original=sizes, model=sizes, way=ways, turns=st.integers(0, 3), mirrored=st.booleans())
def test_points_survive_there_and_back(original, model, way, turns, mirrored):
    placement = Placement.fit(original, model, (7, 5), way, turns=turns, mirrored=mirrored)
    points = np.array([[0.0, 0.0], [3.5, 7.25], [original[1], original[0]]])
    np.testing.assert_allclose(placement.points_to_original(placement.points_to_model(points)), points, atol=1e-9)
    box = (1.0, 2.0, 11.5, 13.25)
    np.testing.assert_allclose(placement.box_to_original(placement.box_to_model(box)), box, atol=1e-9)


@given(original=sizes, way=ways)
def test_whole_image_is_in_view_unless_cropped(original, way):
    placement = Placement.fit(original, (64, 96), (16, 12), way)
    seen = ~np.isnan(placement.map_to_original(np.ones(placement.grid)))
    assert seen.shape == original
    if way == "crop":
        assert seen.any()
    else:
        assert seen.all()


def test_squash_equals_torch_interpolation():
    grid = np.random.default_rng(0).normal(size=(3, 5))
    placement = Placement.fit((61, 47), (48, 80), (16, 16), "squash")
    expected = torch.nn.functional.interpolate(torch.tensor(grid)[None, None], size=(61, 47), mode="bilinear")[0, 0]
    np.testing.assert_allclose(placement.map_to_original(grid), expected, atol=1e-6)


def test_centre_crop_hides_the_borders():
    placement = Placement.fit((100, 200), (50, 50), (10, 10), "crop")
    assert placement.resized == (50, 100)
    assert placement.offset == (0, 25)
    seen = ~np.isnan(placement.map_to_original(np.ones((5, 5))))
    assert seen[:, 50:150].all()
    assert not seen[:, :50].any()
    assert not seen[:, 150:].any()


@pytest.mark.parametrize("way", ["squash", "pad", "crop"])
@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_planted_patch_returns_to_its_corner(way, corner):
    original = (120, 84)
    placement = Placement.fit(original, (70, 90), (10, 15), way)
    image = np.zeros(original)
    rows, columns = np.arange(120), np.arange(84)
    # A bright spot a quarter of the way in from one corner stays in view under every way.
    row, column = (30 if corner[0] == 0 else 89), (25 if corner[1] == 0 else 58)
    image[np.ix_(abs(rows - row) < 6, abs(columns - column) < 6)] = 1
    grid = np.nan_to_num(placement.map_to_grid(image))
    back = np.nan_to_num(placement.map_to_original(grid), nan=-1)
    peak = np.unravel_index(back.argmax(), back.shape)
    assert abs(peak[0] - row) < 16
    assert abs(peak[1] - column) < 16


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("way", ["squash", "pad", "crop"])
def test_points_boxes_and_maps_turn_together(turns, mirrored, way):
    """A bright block in a film that lies turned or mirrored: found at the same place by points, boxes and maps."""
    original = (60, 96)
    placement = Placement.fit(original, (48, 64), (8, 8), way, turns=turns, mirrored=mirrored)
    image = np.zeros(original)
    image[20:30, 40:56] = 1
    standard = placement.to_standard(image)
    assert standard.shape == placement.standard
    np.testing.assert_array_equal(standard, np.rot90(image, turns)[:, :: -1 if mirrored else 1])
    plain = Placement.fit(placement.standard, (48, 64), (8, 8), way)
    np.testing.assert_allclose(placement.map_to_grid(image), plain.map_to_grid(standard))
    values = np.arange(48, dtype=float).reshape(placement.grid)
    np.testing.assert_array_equal(
        placement.to_standard(placement.map_to_original(values)), plain.map_to_original(values)
    )
    y, x = np.argwhere(standard).min(axis=0), np.argwhere(standard).max(axis=0) + 1
    assert placement.box_to_model((40, 20, 56, 30)) == pytest.approx(plain.box_to_model((y[1], y[0], x[1], x[0])))
    assert placement.box_to_original(placement.box_to_model((40, 20, 56, 30))) == pytest.approx((40, 20, 56, 30))


def test_map_to_grid_is_the_mean_over_each_patch():
    image = np.arange(6 * 8, dtype=float).reshape(6, 8)
    placement = Placement.fit((6, 8), (6, 8), (3, 2), "squash")
    expected = [[image[r : r + 3, c : c + 2].mean() for c in range(0, 8, 2)] for r in range(0, 6, 3)]
    np.testing.assert_allclose(placement.map_to_grid(image), expected)


def test_patches_in_the_padding_have_no_mean():
    placement = Placement.fit((40, 10), (40, 40), (10, 10), "pad")
    grid = placement.map_to_grid(np.ones((40, 10)))
    assert np.isnan(grid[:, [0, 3]]).all()
    np.testing.assert_allclose(grid[:, 1:3], 1)


def test_fractions_are_pixel_centres_of_the_original():
    placement = Placement.fit((100, 50), (10, 10), (5, 5), "squash")
    x, y = placement.fractions()
    np.testing.assert_allclose(x, (np.arange(10) + 0.5) / 10)
    np.testing.assert_allclose(y, (np.arange(10) + 0.5) / 10)
    x, y = Placement.fit((100, 50), (10, 10), (5, 5), "pad").patch_fractions()
    np.testing.assert_allclose(x, [(2.5 - 2) / 5, (7.5 - 2) / 5])  # the film is 5 pixels wide, padded by 2 and 3
    np.testing.assert_allclose(y, [0.25, 0.75])


def test_remainder_behind_the_last_whole_patch_is_not_seen():
    placement = Placement.fit((50, 70), (50, 70), (16, 16), "squash")
    assert placement.grid == (3, 4)
    seen = ~np.isnan(placement.map_to_original(np.ones((3, 4))))
    assert seen[:48, :64].all()
    assert not seen[48:].any()
    assert not seen[:, 64:].any()


def test_map_of_a_foreign_size_is_refused():
    placement = Placement.fit((50, 70), (48, 64), (16, 16), "squash")
    with pytest.raises(ValueError, match=r"Expected a map of shape \(3, 4\)"):
        placement.map_to_original(np.ones((2, 4)))
    with pytest.raises(ValueError, match="height, width"):
        placement.map_to_grid(np.ones((70, 50)))


def test_a_line_of_pixels_cannot_be_padded():
    with pytest.raises(ValueError, match="at least one pixel"):
        Placement.fit((1000, 1), (64, 64), (16, 16), "pad")


@given(original=sizes, model=sizes, way=ways, seed=st.integers(0, 2**32 - 1), by_pixel=st.booleans())
def test_the_range_of_a_map_is_that_of_all_its_pixels(original, model, way, seed, by_pixel):
    placement = Placement.fit(original, model, (7, 5), way)
    values = np.random.default_rng(seed).normal(size=model if by_pixel else placement.grid).astype(np.float32)
    whole = placement.map_to_original(values)
    low, high = placement.map_range(values)
    np.testing.assert_allclose([low, high], [np.nanmin(whole), np.nanmax(whole)], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_bands_of_rows_make_the_whole_map_however_the_film_lies(turns, mirrored, monkeypatch):
    placement = Placement.fit((53, 97), (48, 64), (8, 8), "crop", turns=turns, mirrored=mirrored)
    values = np.random.default_rng(turns).normal(size=placement.grid).astype(np.float32)
    whole = placement.map_to_original(values)
    monkeypatch.setattr(geometry, "_PIXELS_AT_ONCE", 7 * 97)
    bands = list(placement.map_bands(values))
    assert [top for top, _ in bands] == list(range(0, 53, 7))
    np.testing.assert_allclose(np.concatenate([rows for _, rows in bands]), whole, rtol=1e-6, atol=1e-7)
    assert placement.unseen_share(values) == np.isnan(whole).mean() > 0


@pytest.mark.parametrize("way", ["squash", "pad", "crop"])
@pytest.mark.parametrize("original", [(3, 200), (40, 40), (333, 77)])
def test_the_range_of_a_constant_map_is_one_number_and_of_an_undefined_one_none(original, way):
    placement = Placement.fit(original, (64, 96), (16, 12), way)
    for shape in (placement.grid, (64, 96)):
        for value in (0.0, 0.1, -3e-7, 1e30):
            flat = np.full(shape, value, dtype=np.float32)
            assert placement.map_range(flat) == (float(np.float32(value)),) * 2
        flat[1, 2] = np.nan
        assert np.isnan(placement.map_range(flat)).all()


def test_what_only_the_padding_holds_is_no_part_of_the_range():
    placement = Placement.fit((10, 40), (64, 64), (16, 16), "pad")  # the film lies in rows 24 to 40 of 64
    grid = np.zeros((4, 4), dtype=np.float32)
    grid[0] = grid[3] = 5.0
    whole = placement.map_to_original(grid)
    assert placement.map_range(grid) == (np.nanmin(whole), np.nanmax(whole)) == (0.0, 0.0)


def test_the_side_that_does_not_fill_the_model_is_rounded_down():
    """102 * 56 / 151 is 37.83: CLIP's resizing of the shortest edge truncates."""
    assert Placement.fit((102, 151), (56, 56), (7, 7), "pad").resized == (37, 56)
    assert Placement.fit((151, 102), (56, 56), (7, 7), "pad").resized == (56, 37)
    assert Placement.fit((151, 102), (56, 56), (7, 7), "crop").resized == (82, 56)  # 82.90


def test_grids_of_lower_stages_cover_what_the_last_one_covers():
    placement = Placement.fit((300, 200), (224, 224), (32, 32), "pad")
    assert placement.cell((14, 14)) == (16, 16)
    assert placement.cell((28, 28)) == (8, 8)
    fine = np.broadcast_to((np.arange(14) + 0.5) * 16, (14, 14))  # the centre of each cell, in pixels of the model
    found = placement.map_to_original(fine)
    across = placement.points_to_model(np.stack([np.arange(200) + 0.5, np.zeros(200)], axis=1))[:, 0]
    np.testing.assert_allclose(found[7], across.clip(8, 216), rtol=1e-5)
    seen = np.isfinite(placement.map_to_original(np.zeros((7, 7))))
    np.testing.assert_array_equal(np.isfinite(found), seen)
    np.testing.assert_allclose(placement.map_range(fine), (found.min(), found.max()))
    for foreign in ((9, 9), (7, 14), (3, 3)):
        with pytest.raises(ValueError, match=r"Expected a map of shape \(7, 7\)"):
            placement.map_to_original(np.zeros(foreign))


def test_cells_cover_the_model_s_input_evenly():
    placement = replace(Placement.fit((224, 448), (224, 224), (22, 22), "squash"), cells=(10, 10))
    assert placement.grid == (10, 10)
    assert placement.cell((10, 10)) == pytest.approx((22.4, 22.4))
    assert placement.cell((19, 19)) == pytest.approx((224 / 19, 224 / 19))
    assert placement.unseen() == {}
    assert np.isfinite(placement.map_to_original(np.zeros((10, 10)))).all()
    steps = np.broadcast_to(np.arange(224.0), (224, 224))
    np.testing.assert_allclose(placement.pixels_to_grid(steps)[0], (np.arange(10) + 0.5) * 22.4 - 0.5, atol=0.01)
    wide = np.broadcast_to(np.arange(448.0), (224, 448))
    np.testing.assert_allclose(placement.map_to_grid(wide)[3], (np.arange(10) + 0.5) * 44.8 - 0.5, atol=0.01)
    x, y = placement.patch_fractions()
    np.testing.assert_allclose(x, (np.arange(10) + 0.5) / 10)
    np.testing.assert_allclose(y, x)


# --- overlapping patches ---------------------------------------------------------------------------------------------

OVERLAPPING = Placement((128, 204), (128, 204), (0, 0), (128, 204), (10, 10), overlap=(6, 6))


def test_overlapping_patches_are_counted_as_a_convolution_counts_them():
    windows = torch.nn.functional.unfold(torch.zeros(1, 1, 128, 204), (16, 16), stride=(10, 10))
    assert OVERLAPPING.grid[0] * OVERLAPPING.grid[1] == windows.shape[-1]
    assert OVERLAPPING.grid == (12, 19)
    assert OVERLAPPING.unseen() == {"bottom": pytest.approx(2 / 128), "right": pytest.approx(8 / 204)}


def test_a_value_of_an_overlapping_patch_lies_at_its_centre():
    grid = np.random.default_rng(0).normal(size=(12, 19))
    found = OVERLAPPING.map_to_original(grid)
    for row, column in ((0, 0), (3, 7), (11, 18)):
        y, x = 10 * row + 8, 10 * column + 8  # between the pixels on either side
        np.testing.assert_allclose(found[y - 1 : y + 1, x - 1 : x + 1].mean(), grid[row, column], atol=0.35)
        corner = np.zeros((12, 19))
        corner[row, column] = 1
        values = np.nan_to_num(OVERLAPPING.map_to_original(corner))
        rows, columns = np.indices(values.shape) + 0.5
        if 0 < row < 11:
            assert (values * rows).sum() / values.sum() == pytest.approx(y)
            assert (values * columns).sum() / values.sum() == pytest.approx(x)
        assert values[max(0, y - 3), max(0, x - 3)] > 0.4
    np.testing.assert_allclose(found[:126, :196], OVERLAPPING.map_to_model(torch.tensor(grid))[:126, :196], atol=1e-6)
    assert np.isnan(found[126:]).all()
    assert np.isnan(found[:, 196:]).all()
    assert OVERLAPPING.map_range(grid) == pytest.approx((np.nanmin(found), np.nanmax(found)))


def test_means_over_overlapping_patches_are_those_of_their_windows():
    values = np.random.default_rng(1).normal(size=(128, 204))
    windows = torch.nn.functional.avg_pool2d(torch.tensor(values)[None], 16, 10)[0]
    np.testing.assert_allclose(OVERLAPPING.map_to_grid(values), windows, atol=1e-12)
    np.testing.assert_allclose(OVERLAPPING.pixels_to_grid(values), windows, atol=1e-12)
    x, y = OVERLAPPING.patch_fractions()
    np.testing.assert_allclose(x * 204, 10 * np.arange(19) + 8)
    np.testing.assert_allclose(y * 128, 10 * np.arange(12) + 8)


# --- boxes as shares of cells ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["squash", "pad", "crop"])
@pytest.mark.parametrize(("turns", "mirrored"), [(0, False), (1, False), (2, True), (3, False)])
def test_the_shares_of_a_box_are_counted_by_points(turns, mirrored, way):
    """A fine lattice of model points, each carried to the film and looked up in the box."""
    placement = Placement.fit((60, 47), (32, 48), (8, 8), way, turns=turns, mirrored=mirrored)
    box, points = (11.0, 3.0, 40.0, 51.0), 20
    shares = placement.shares(box, placement.grid)
    expected = np.zeros(placement.grid)
    offsets = (np.arange(points) + 0.5) / points * 8
    for row, column in np.ndindex(placement.grid):
        model = np.stack(np.meshgrid(column * 8 + offsets, row * 8 + offsets), axis=-1)
        x, y = np.moveaxis(placement.points_to_original(model), -1, 0)
        expected[row, column] = ((x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])).mean()
    np.testing.assert_allclose(shares, expected, atol=0.06)


def test_the_shares_of_the_view_are_ones_also_where_patches_overlap():
    height, width = OVERLAPPING.original
    np.testing.assert_allclose(OVERLAPPING.shares((0, 0, width, height), OVERLAPPING.grid), 1)
    halves = [OVERLAPPING.shares(box, OVERLAPPING.grid) for box in ((0, 0, 90, 128), (90, 0, 204, 128))]
    np.testing.assert_allclose(halves[0] + halves[1], 1)
    x, y = OVERLAPPING.cell_centre(OVERLAPPING.grid, 2, 5)
    inside = OVERLAPPING.shares((x - 5, y - 5, x + 5, y + 5), OVERLAPPING.grid)
    assert inside[2, 5] == pytest.approx(1)
    assert inside.sum() == pytest.approx(1)
    pixels = OVERLAPPING.shares((3, 5, 9, 6.5), OVERLAPPING.model)
    assert pixels.sum() == pytest.approx(6 * 1.5)


@pytest.mark.parametrize(("half_even", "offset"), [(False, (0, 3)), (True, (0, 4))])
def test_an_odd_remainder_of_a_crop_is_rounded_as_the_model_library_does(half_even, offset):
    """Seven columns too many, 3.5 on either side: rounded down, or half to even as torchvision's crop does."""
    placement = Placement.fit((50, 57), (50, 50), (10, 10), "crop", half_even=half_even)
    assert (placement.resized, placement.offset) == ((50, 57), offset)
