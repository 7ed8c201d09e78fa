import numpy as np
import pytest
from PIL import Image

from matex.geometry import Placement
from matex.phrases import parse
from matex.priors.spatial import spatial_prior
from matex.render.colormap import ColourScale
from matex.render.overlay import LEVELS, SIDE, at_size, contours, draw_film, draw_unseen, fit, letters, overlay, paint
from matex.render.panel import layers
from tests.fake_explanation import GRID, PHRASE, bipolar, blob, fake, film


def test_painting_leaves_unknown_pixels_transparent_and_low_ones_nearly():
    picture = paint(np.array([[0.0, 1.0, np.nan]]), ColourScale(0, 1)).convert("RGBA")
    assert [picture.getpixel((x, 0))[3] for x in range(3)] == [0, 168, 0]
    assert picture.getpixel((1, 0))[:3] == (252, 255, 164)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(112, 90, (1024, 823)), (3000, 2500, (1024, 853)), (5, 2000, (3, 1024)), (512, 512, (1024, 1024))],
)
def test_overlays_of_all_sizes_come_out_at_one_sensible_size(height, width, expected):
    assert fit((height, width), SIDE, SIDE) == expected
    picture = overlay(fake(film(height, width)))
    assert picture.size == expected[::-1]


def test_the_overlay_is_brightest_coloured_where_the_map_is_high_and_plain_film_where_it_is_low():
    grid = np.zeros(GRID, dtype=np.float32)
    grid[2, 11] = 1.0  # upper right of the image; rows and columns differ so that a swapped axis shows
    picture = np.asarray(overlay(fake(film(480, 600), grid=grid))).astype(int)
    colour = picture.max(axis=2) - picture.min(axis=2)
    y, x = np.unravel_index(colour.argmax(), colour.shape)
    assert (y / picture.shape[0], x / picture.shape[1]) == pytest.approx((2.5 / 12, 11.5 / 14), abs=0.05)
    assert colour[picture.shape[0] // 2 :, : picture.shape[1] // 2].max() == 0


def test_what_the_model_did_not_see_is_hatched_and_the_rest_is_not():
    explanation = fake(film(300, 600), resize="crop", grid=np.zeros(GRID, dtype=np.float32))
    seen = np.isfinite(explanation.image.raw)
    assert 0.1 < (~seen).mean() < 0.6
    plain = np.asarray(overlay(fake(film(300, 600), grid=np.zeros(GRID, dtype=np.float32)))).astype(int)
    hatched = np.asarray(overlay(explanation)).astype(int)
    changed = np.abs(plain - hatched).max(axis=2) > 0
    edge = int(np.flatnonzero(seen.any(axis=0))[0] * 1024 / 600)
    # The letters and the label of a constant map are drawn alike on both.
    assert changed[150:400, : edge - 4].mean() > 0.9
    assert not changed[150:400, edge + 4 : 1020 - edge].any()


def drawn(explanation):
    """(overlay, film alone) as int arrays of the same size, without the strip that holds the letters."""
    picture = overlay(explanation)
    plain = draw_film(explanation.film, (picture.height, picture.width))
    return (np.asarray(image).astype(int)[100:] for image in (picture, plain))


@pytest.mark.parametrize("size", [1e-6, 0.02, 300.0])
def test_zero_of_a_signed_map_leaves_the_film_as_it_is_and_the_sign_is_the_hue(size):
    mapped, plain = drawn(fake(film(480, 560), grid=bipolar(size)))
    changed = np.abs(mapped - plain).max(axis=2) > 0
    height, width = changed.shape
    assert not changed[: height // 3, width // 2 :].any()
    assert not changed[height * 2 // 3 :, : width // 2].any()
    redder = mapped[..., 0] - mapped[..., 2]
    above, below = redder[: height // 3, : width // 3], redder[height // 2 : -60, width * 2 // 3 :]
    assert np.percentile(above, 60) > 30
    assert np.percentile(below, 40) < -15


def test_a_normal_film_under_a_signed_map_is_not_tinted_all_over():
    grid = np.zeros(GRID, dtype=np.float32)
    grid[2, 2], grid[8, 10] = -0.01, 0.012
    mapped, plain = drawn(fake(film(480, 560), grid=grid))
    assert (np.abs(mapped - plain).max(axis=2) > 0).mean() < 0.1


def test_signed_terms_are_centred_too_and_a_nonnegative_map_is_min_max():
    grid = 0.3 + 0.7 * blob(0.7, 0.3, 0.1)
    mapped, plain = drawn(fake(film(480, 560), grid=grid))
    height, width = mapped.shape[:2]
    assert np.abs(mapped - plain)[height // 2 :, : width // 3].max() <= 2
    assert [layer.scale.signed for layer in layers(fake(components={"gradient": -grid}))][:1] == [True]


def test_contours_lie_on_both_sides_of_zero():
    explanation = fake(film(480, 560), grid=bipolar())
    strength = ColourScale.of(explanation.image.raw).strength(explanation.image.raw)
    alpha = np.asarray(contours(strength))[..., 1]
    assert alpha[:240, :280].max() > 100
    assert alpha[240:, 280:].max() > 60  # half as far below 0 as above: the line of 50 %


def test_the_sides_are_grey_and_questioned_where_they_are_assumed():
    for changes, colour in (({}, (174, 180, 187)), ({"oriented": True}, (255, 255, 255))):
        black = film(480, 560, pixels=np.zeros((480, 560), dtype=np.uint8), **changes)
        pixels = np.asarray(overlay(fake(black, grid=np.zeros(GRID, dtype=np.float32))))[10:70]
        for part in (pixels[:, :120], pixels[:, -120:]):
            assert part.reshape(-1, 3).max(axis=0).tolist() == list(colour)


def test_what_the_caller_says_about_the_sides_is_stated():
    read = film(view=None)
    assert not read.known_as("PA", None).oriented
    for mirrored in (False, True):
        assert read.known_as(None, mirrored).oriented
    assert letters(fake(read.known_as(None, False))) == ("R", "L", False)
    assert film(oriented=True).known_as("PA", None).oriented


def test_a_film_drawn_larger_than_the_reduced_copy_comes_from_its_own_pixels():
    large = film(1600, 1400)
    picture = draw_film(large, (1600, 1400))
    np.testing.assert_array_equal(np.asarray(picture)[..., 0], large.pixels)
    small = np.asarray(draw_film(large, (400, 350)))[..., 0].astype(float)
    direct = np.asarray(Image.fromarray(large.pixels).resize((350, 400), Image.Resampling.LANCZOS)).astype(float)
    assert np.abs(small - direct).mean() < 1


def test_contours_follow_the_levels():
    ramp = np.tile(np.linspace(0, 1, 401), (100, 1))
    alpha = np.asarray(contours(ramp))[50, :, 1]
    centres = [round(level * 400) for level in LEVELS]
    assert all(alpha[centre] > 100 for centre in centres)
    assert all(alpha[x] == 0 for x in (20, 100, 250, 330, 390))


def test_contours_are_left_out_of_maps_that_change_from_pixel_to_pixel():
    noise = np.kron(np.random.default_rng(5).random((60, 60)), np.ones((8, 8)))
    assert np.asarray(contours(noise))[..., 1].max() == 0


def test_contours_draw_no_edge_along_the_unseen_part():
    values = np.full((200, 300), np.nan)
    values[:, 60:240] = 0.95
    assert np.asarray(contours(values))[..., 1].max() == 0


@pytest.mark.parametrize(
    ("changes", "domain", "expected"),
    [
        ({}, "chest", ("R?", "L?", True)),
        ({"view": None}, "chest", ("R?", "L?", True)),
        ({"oriented": True}, "chest", ("R", "L", False)),
        ({"mirrored": True, "oriented": True}, "chest", ("L", "R", False)),
        ({"view": "LATERAL", "oriented": True}, "chest", None),
        ({"view": "LATERAL"}, "chest", None),
        ({"view": "LL"}, "chest", None),
        ({}, "natural", None),
    ],
)
def test_letters_name_the_patients_sides(changes, domain, expected):
    assert letters(fake(film(**changes), provenance={"domain": domain})) == expected


@pytest.mark.parametrize(
    "view", [None, "", "PA", "ap", "AP_SUPINE", "Antero-posterior", "FRONTAL", "LL", "RL", "LATERAL", "RLD", "SWIMMERS"]
)
def test_a_film_has_letters_where_it_has_a_spatial_prior(view):
    centres = (np.arange(9) + 0.5) / 9
    prior = spatial_prior(parse(PHRASE), centres, centres, view=view)
    assert (letters(fake(film(view=view))) is None) == prior.neutral


def test_interpolating_to_the_drawn_size_agrees_with_the_map_in_original_pixels():
    placement = Placement.fit((300, 260), (192, 224), (16, 16), "pad")
    grid = blob(0.4, 0.7, 0.2)
    np.testing.assert_allclose(at_size(grid, placement, (300, 260)), placement.map_to_original(grid))
    half = at_size(grid, placement, (150, 130))
    assert half.shape == (150, 130)
    assert np.nanmax(np.abs(half - placement.map_to_original(grid)[::2, ::2])) < 0.05


def test_the_labels_of_both_narrow_bands_are_turned_alike():
    seen = np.ones((800, 1000), bool)
    seen[:, :90] = seen[:, -130:] = False
    plates = np.asarray(draw_unseen(seen).getchannel("R")) < 38  # darker than the hatching
    for band in (plates[:, :90], plates[:, -130:]):
        high, wide = np.ptp(np.flatnonzero(band.any(axis=1))), np.ptp(np.flatnonzero(band.any(axis=0)))
        assert high > 2 * wide > 0
