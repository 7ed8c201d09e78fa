"""The spatial prior: the paper's formula, the sides, masks, and everything that makes it neutral."""

import dataclasses
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matex.errors import InputError
from matex.geometry import Placement
from matex.phrases import Mention, parse
from matex.priors.atlas import COLLECTIONS, HEART, LUNGS, REGIONS
from matex.priors.image_context import ImageContext
from matex.priors.lungs import lung_boxes
from matex.priors.shapes import gaussian, parabola, plateau
from matex.priors.spatial import KINDS, active_regions, joined, spatial_prior
from tests.reference import priors as twin

GRID = (np.arange(7) + 0.5) / 7
COLUMNS, ROWS = (np.arange(65) + 0.5) / 65, (np.arange(48) + 0.5) / 48


def prior(text, x=COLUMNS, y=ROWS, **settings):
    if settings.get("laterality") == "paper":
        with pytest.warns(UserWarning, match="laterality='paper'"):
            return spatial_prior(parse(text), x, y, **settings)
    return spatial_prior(parse(text), x, y, **settings)


def mention(region, side=None, weight=1.0):
    return Mention("", 0, 0, region, side, False, False, False, weight)


# ---------------------------------------------------------------------------------------------- the formula


def test_parabola_peaks_at_a_quarter_per_axis_and_vanishes_on_the_border():
    box = (0.2, 0.1, 0.8, 0.5)
    assert parabola(np.array([0.5]), np.array([0.3]), box)[0, 0] == pytest.approx(1 / 16, abs=1e-15)
    edges = parabola(np.array([0.2, 0.8, 0.1, 0.9]), np.array([0.1, 0.5]), box)
    assert np.abs(edges).max() < 1e-15


def test_right_apex_as_printed_has_the_numbers_worked_out_by_hand():
    raw = parabola(GRID, GRID, (0.5, 0, 1, 0.4))
    expected = np.zeros((7, 7))
    expected[:3, 4:] = [[0.0299, 0.0359, 0.0180], [0.0508, 0.0609, 0.0305], [0.0195, 0.0234, 0.0117]]
    np.testing.assert_allclose(raw, expected, atol=5e-5)
    printed = prior("nodule in the right apex", GRID, GRID, laterality="paper")
    np.testing.assert_allclose(printed.values, raw / raw.max(), atol=1e-15)


def test_left_base_as_printed_lies_in_the_lower_left_of_the_image():
    printed = prior("left base", GRID, GRID, laterality="paper")
    assert printed.values[:4].max() == 0
    assert printed.values[:, 4:].max() == 0
    assert printed.values.max() == 1


def test_gaussian_is_one_at_the_centre_and_falls_to_exp_minus_two_at_the_edge():
    values = gaussian(np.array([0.3, 0.4, 0.5]), np.array([0.6]), (0.3, 0.5, 0.5, 0.7))
    np.testing.assert_allclose(values, [[np.exp(-2), 1, np.exp(-2)]], rtol=1e-12)


def test_plateau_is_flat_inside_and_falls_by_its_own_width_outside():
    values = plateau(np.array([0.4, 0.45, 0.5, 0.53]), np.array([0.6, 0.74]), (0.4, 0.5, 0.5, 0.7), (0.03, 0.04))
    np.testing.assert_allclose(values[0], [1, 1, 1, np.exp(-0.5)], rtol=1e-12)
    np.testing.assert_allclose(values[1, 0], np.exp(-0.5), rtol=1e-12)


PAPER = {  # the paper's boxes of the patient's right side, from its text (apex, base) and our reading
    "apex": [0, 0, 0.5, 0.4],
    "lower zone": [0, 0.6, 0.5, 1],
    "mid zone": [0, 0.3, 0.5, 0.7],
    "hilum": [0.3, 0.3, 0.5, 0.6],
    "costophrenic angle": [0, 0.8, 0.25, 1],
    "heart": [0.35, 0.45, 0.8, 0.9],
    "mediastinum": [0.35, 0, 0.65, 0.7],
    "trachea": [0.4, 0, 0.6, 0.35],
}


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("laterality", ["patient", "paper"])
@pytest.mark.parametrize(
    "wanted",
    [
        [("apex", "right", 1.0)],
        [("apex", "left", 1.0), ("lower zone", "right", 1.0)],
        [("lower zone", "left", 0.5), ("costophrenic angle", "left", 0.5)],
        [("heart", None, 1.0), ("mid zone", "right", 0.6), ("mid zone", "left", 1.0)],
        [("mediastinum", None, 1.0), ("trachea", None, 0.3), ("hilum", "left", 0.6)],
    ],
)
@pytest.mark.filterwarnings("ignore:laterality")
@pytest.mark.parametrize(
    ("kind", "profile"),
    [
        ("parabola", twin.ramp_product),
        ("paper-gaussian", twin.bell),
        ("paper-box", lambda z, low, high: float(low <= z <= high)),
    ],
)
def test_kinds_on_the_papers_boxes_agree_with_the_slow_twin(wanted, laterality, mirrored, kind, profile):
    boxes = []
    for region, side, _ in wanted:
        box = twin.mirror(PAPER[region]) if side == "left" else PAPER[region]
        boxes.append(twin.mirror(box) if mirrored != (laterality == "paper") else box)
    x, y = np.linspace(-0.1, 1.1, 23), np.linspace(-0.2, 1.1, 17)
    expected = twin.normalized_sum(x, y, boxes, [weight for *_, weight in wanted], profile)
    found = spatial_prior(
        [mention(*each) for each in wanted], x, y, kind=kind, laterality=laterality, mirrored=mirrored
    )
    np.testing.assert_allclose(found.values, expected, atol=1e-12)


def test_gaussians_are_joined_by_their_maximum():
    boxes = [list(REGIONS["heart"].box), list(REGIONS["mediastinum"].box)]
    found = spatial_prior([mention("heart"), mention("mediastinum", weight=0.5)], COLUMNS, ROWS, kind="gaussian")
    expected = twin.normalized_sum(COLUMNS, ROWS, boxes, [1.0, 0.5], twin.bell, max)
    np.testing.assert_allclose(found.values, expected, atol=1e-12)


# ------------------------------------------------------------------------------------------- left and right


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("region", [key for key, region in REGIONS.items() if region.sided])
@pytest.mark.parametrize("side", ["right", "left"])
def test_a_patients_right_lies_on_the_images_left(kind, region, side):
    x = np.linspace(0, 1, 101)
    found = spatial_prior([mention(region, side)], x, x, kind=kind)
    assert not found.neutral
    mass = found.values.sum(axis=0)
    on_its_side = mass[x < 0.5].sum() if side == "right" else mass[x > 0.5].sum()
    touches = not REGIONS[region].inside or kind == "paper-gaussian"  # a hilum, and bells on half-image boxes
    assert on_its_side > (0.8 if touches else 0.98) * mass.sum()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["right upper lobe", "left base", "enlarged heart", "lingula", "retrocardiac opacity"])
def test_a_mirrored_film_has_the_flipped_prior(kind, text):
    straight, mirrored = prior(text, kind=kind), prior(text, kind=kind, mirrored=True)
    np.testing.assert_allclose(mirrored.values, straight.values[:, ::-1], atol=1e-12)
    assert np.abs(mirrored.values - straight.values).max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_the_papers_laterality_is_the_mirror_image_and_warns(kind):
    straight, printed = prior("right apex", kind=kind), prior("right apex", kind=kind, laterality="paper")
    np.testing.assert_allclose(printed.values, straight.values[:, ::-1], atol=1e-12)
    assert "patient's right drawn on the image's right" in printed.reason
    assert "patient's right drawn on the image's left" in straight.reason


def test_the_paper_on_a_mirrored_film_is_the_patient_on_a_straight_one():
    twice = prior("left base", laterality="paper", mirrored=True)
    np.testing.assert_allclose(twice.values, prior("left base").values, atol=1e-12)


def test_the_patients_laterality_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prior("right apex")


def test_lobes_overlap_where_radiologists_place_nodules_in_both():
    y = np.array([0.35, 0.42, 0.47])  # heights that occur in the upper and in the lower lobe
    x = np.array([0.25])
    both = np.linspace(0, 1, 201)
    for lobe in ("upper", "lower"):
        found = prior(f"right {lobe} lobe", both, both, kind="atlas")
        rows = [int(np.abs(both - height).argmin()) for height in y]
        assert found.values[rows, int(np.abs(both - x[0]).argmin())].min() > 0.75
    zones = (
        prior("right upper zone", both, both, kind="box").values
        + prior("right lower zone", both, both, kind="box").values
    )
    assert zones.max() == 1


def boxed(boxes, size=1000):
    """A lung mask of two rectangles, by the patient's side."""
    mask = np.zeros((size, size), np.uint8)
    for label, side in ((1, "right"), (2, "left")):
        x0, y0, x1, y1 = (round(size * edge) for edge in boxes[side])
        mask[y0:y1, x0:x1] = label
    return mask


@pytest.mark.parametrize(("lobe", "mean", "sd"), [("upper", 0.29, 0.11), ("middle", 0.54, 0.07)])
def test_the_gaussian_of_a_lobe_is_the_measured_spread_of_its_nodules(lobe, mean, sd):
    """The nodules are those of JSRT, so the lobe is read in lungs of JSRT's size."""
    jsrt = boxed({"right": COLLECTIONS["JSRT"].right, "left": COLLECTIONS["JSRT"].left})
    y = np.linspace(0, 1, 2001)
    column = prior(f"right {lobe} lobe", np.array([0.265]), y, kind="gaussian", lung_mask=jsrt).values[:, 0]
    assert y[column.argmax()] == pytest.approx(mean, abs=0.01)
    half = y[column >= np.exp(-0.5)]
    assert (half[-1] - half[0]) / 2 == pytest.approx(sd, abs=0.01)


def test_every_collection_counts_alike_in_the_atlas():
    np.testing.assert_allclose(LUNGS["right"], (0.1198, 0.1272, 0.4562, 0.8050), atol=6e-4)  # by hand
    np.testing.assert_allclose(LUNGS["left"], (0.5430, 0.1252, 0.8790, 0.8094), atol=6e-4)
    np.testing.assert_allclose(HEART, (0.3627, 0.4130, 0.7817, 0.7550), atol=6e-4)
    assert HEART == (0.363, 0.413, 0.782, 0.755)  # rounded to three digits


def outside(region, side, box, kind):
    """Share of a region's weight outside a lung box, and above it."""
    x0, y0, x1, y1 = box
    z = (np.arange(400) + 0.5) / 400
    values = spatial_prior([mention(region, side)], z, z, kind=kind).values
    within = values[np.ix_((z > y0) & (z < y1), (z > x0) & (z < x1))].sum()
    return 1 - within / values.sum(), values[z < y0].sum() / values.sum()


ZONES = [
    (key, side)
    for key, region in REGIONS.items()
    for side in ("right", "left")
    if region.inside and region.only in (None, side)
]


@pytest.mark.parametrize("kind", ["gaussian", "box", "atlas"])
@pytest.mark.parametrize(("region", "side"), ZONES)
def test_zones_lie_in_the_lungs_of_every_collection(kind, region, side):
    for collection in COLLECTIONS.values():
        box = collection.right if side == "right" else collection.left
        if box is not None:
            beside, above = outside(region, side, box, kind)
            assert above < 0.3
            assert beside < (0.4 if region == "peripheral lung" else 0.3)


@pytest.mark.parametrize("kind", ["gaussian", "box", "atlas"])
def test_the_right_apex_does_not_lie_above_the_lung_on_films_of_shenzhen(kind):
    assert outside("apex", "right", COLLECTIONS["Shenzhen"].right, kind)[1] < 0.06  # the first atlas: .39


def test_upper_and_lower_lobe_meet_where_they_part_the_nodules_best():
    (_, _, _, bottom), (_, top, _, _) = REGIONS["upper lobe"].box, REGIONS["lower lobe"].box
    assert (top + bottom) / 2 == pytest.approx(0.47, abs=0.01)  # of the lung's height


def test_the_heart_lies_towards_the_patients_left_as_measured():
    found = prior("enlarged heart", COLUMNS, ROWS, kind="box").values
    columns, rows = COLUMNS[found.any(axis=0)], ROWS[found.any(axis=1)]
    np.testing.assert_allclose([columns[0], columns[-1]], [0.363, 0.782], atol=1 / 65)
    np.testing.assert_allclose([rows[0], rows[-1]], [0.41, 0.76], atol=1 / 48)


def test_every_box_has_an_inside_and_every_paper_box_lies_in_the_film():
    for region in REGIONS.values():
        assert region.box[0] < region.box[2]
        assert region.box[1] < region.box[3]
        assert 0 <= region.paper[0] < region.paper[2] <= 1
        assert 0 <= region.paper[1] < region.paper[3] <= 1
        assert not region.sided or region.paper[2] <= 0.5


def test_the_table_in_the_documentation_is_the_atlas():
    page = (Path(__file__).parents[2] / "docs" / "anatomy.md").read_text()
    for region in REGIONS.values():
        x0, y0, x1, y1 = region.box
        if region.sided:
            left, top, right, bottom = LUNGS["right"]
            x0, x1 = left + (right - left) * x0, left + (right - left) * x1
            y0, y1 = top + (bottom - top) * y0, top + (bottom - top) * y1
        a0, b0, a1, b1 = region.paper
        side = region.only or ("both" if region.sided else "midline")
        codes = ", ".join(dict.fromkeys([*region.radlex.values(), *region.snomed.values()]))
        row = f"{x0:.2f}-{x1:.2f}, {y0:.2f}-{y1:.2f} | {a0:.2f}-{a1:.2f}, {b0:.2f}-{b1:.2f} | {codes} |"
        assert f"| {region.key} | {side} | {row}" in page


def test_the_documentation_shows_the_collections_and_what_of_a_zone_lies_outside_their_lungs():
    page = (Path(__file__).parents[2] / "docs" / "anatomy.md").read_text()
    for name, collection in COLLECTIONS.items():
        boxes = (collection.right, collection.left, collection.heart)
        cells = ["–" if box is None else "{0:.3f}-{2:.3f}, {1:.3f}-{3:.3f}".format(*box) for box in boxes]
        assert f"| {name} | {collection.films} | {' | '.join(cells)} |" in page
    for region in dict.fromkeys(region for region, _ in ZONES):
        cells = []
        for collection in COLLECTIONS.values():
            boxes = {"right": collection.right, "left": collection.left}
            sides = [side for key, side in ZONES if key == region and boxes[side] is not None]
            shares = [[outside(region, side, boxes[side], kind)[0] for side in sides] for kind in ("atlas", "gaussian")]
            cells += [" / ".join(f"{100 * np.mean(share):.0f}" for share in shares)] if sides else []
        assert f"| {region} | {' | '.join(cells)} |" in page


# ------------------------------------------------------------------------------------- weights and neutrality


def test_an_uncertain_phrase_pushes_half_as_hard():
    np.testing.assert_allclose(prior("possible left base opacity").values, 0.5 * prior("left base opacity").values)


def test_the_lesser_side_gets_less():
    values = prior("bilateral effusions, left greater than right", kind="atlas").values
    assert values[:, COLUMNS > 0.5].max() == 1
    assert values[:, COLUMNS < 0.5].max() == pytest.approx(0.6, abs=1e-6)


def test_the_largest_weight_of_a_region_counts_in_any_order():
    certain, possible = mention("apex", "left"), mention("apex", "left", 0.5)
    assert active_regions([certain, possible]) == active_regions([possible, certain]) == {("apex", "left"): 1.0}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["enlarged heart", "possible left apical nodule"])
def test_a_prior_runs_from_0_to_its_largest_weight(kind, text):
    values = prior(text, kind=kind).values
    assert (values.min(), values.max()) == (0, max(m.weight for m in parse(text)))


def test_the_edges_of_the_image_are_part_of_it():
    ends = np.array([0.0, 0.5, 1.0])
    values = prior("upper abdomen", ends, ends, kind="atlas").values
    assert (prior("thoracic spine", ends, ends, kind="box").values[:, 1] == 1).all()
    assert (values[1:, [0, 2]] > 0).all()


@pytest.mark.parametrize(("mirrored", "end"), [(False, "patient)"), (True, "patient, mirrored film)")])
def test_the_reason_names_regions_and_convention(mirrored, end):
    side = "right" if mirrored else "left"
    expected = f"heart, left apex; the patient's right drawn on the image's {side} (laterality {end}"
    assert prior("enlarged heart and left apical nodule", mirrored=mirrored).reason == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_region_named_twice_counts_once(kind):
    twice = prior("nodule in the left apex, left apex", kind=kind)
    np.testing.assert_array_equal(twice.values, prior("left apex", kind=kind).values)


@pytest.mark.parametrize("kind", KINDS)
def test_a_region_without_side_is_drawn_on_both_sides(kind):
    np.testing.assert_array_equal(prior("lower zone", kind=kind).values, prior("both lower zones", kind=kind).values)


def test_a_region_of_one_side_needs_no_side_word():
    assert active_regions([mention("lingula")]) == {("lingula", "left"): 1.0}


NOT_ACTIVE = "every region in the phrase is negated, normal or of the past"


@pytest.mark.parametrize(
    ("text", "settings", "reason"),
    [
        ("pneumonia", {}, "the phrase names no region"),
        ("", {}, "the phrase names no region"),
        ("no effusion in the left base", {}, NOT_ACTIVE),
        ("lungs are clear", {}, NOT_ACTIVE),
        ("status post left lower lobectomy", {}, NOT_ACTIVE),
        ("right base opacity", {"view": "LL"}, "view LL is not frontal: the regions are only known on frontal films"),
        ("enlarged heart", {"view": "RLO"}, "view RLO is not frontal: the regions are only known on frontal films"),
        (
            "the dog on the left",
            {"domain": "natural"},
            "not a chest film (domain 'natural'): left and right are no patient's sides",
        ),
        ("right base opacity", {"domain": "sound"}, "a sound has no anatomical regions"),
        ("right base opacity", {"domain": "sensor"}, "a depth, thermal or IMU reading has no anatomical regions"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_prior_is_neutral_and_says_why(text, settings, reason, kind):
    found = prior(text, kind=kind, **settings)
    assert found.neutral
    assert found.reason == reason
    assert found.values.shape == (48, 65)
    assert not found.values.any()


@pytest.mark.parametrize("view", [None, "", "PA", "AP", "ap", "PA_ERECT", "AP SUPINE", "postero-anterior"])
def test_frontal_views_have_a_prior(view):
    assert not prior("right base opacity", view=view).neutral


def test_a_region_too_thin_for_the_grid_is_neutral_not_nan():
    found = prior("left clavicle", np.array([0.1, 0.9]), np.array([0.5, 0.8]), kind="box")
    assert found.neutral
    assert "no sample point falls into left clavicle" in found.reason
    assert not np.isnan(found.values).any()


def test_a_region_that_covers_everything_alike_is_neutral():
    found = prior("right lung", np.array([0.2, 0.3]), np.array([0.4, 0.5]), kind="box")
    assert found.neutral
    assert "covers every sample point alike" in found.reason


@pytest.mark.parametrize("kind", KINDS)
def test_padding_outside_the_image_gets_nothing(kind):
    x = np.linspace(-0.5, 1.5, 41)
    values = prior("bilateral opacities", x, x, kind=kind).values
    outside = (x < 0) | (x > 1)
    assert not values[outside].any()
    assert not values[:, outside].any()


@settings(max_examples=150, deadline=None)
@given(
    mentions=st.lists(
        st.builds(
            mention,
            st.sampled_from(sorted(REGIONS)),
            st.sampled_from(["right", "left", None]),
            st.sampled_from([0, 0.3, 0.5, 1.0]),
        ),
        max_size=5,
    ),
    x=st.lists(st.floats(-2, 3), min_size=1, max_size=5),
    y=st.lists(st.floats(-2, 3), min_size=1, max_size=4),
    kind=st.sampled_from(KINDS),
    mirrored=st.booleans(),
)
def test_values_stay_between_0_and_1_whatever_is_asked(mentions, x, y, kind, mirrored):
    found = spatial_prior(mentions, np.array(x), np.array(y), kind=kind, mirrored=mirrored)
    assert found.values.shape == (len(y), len(x))
    assert found.values.dtype == np.float64
    assert np.isfinite(found.values).all()
    assert found.values.min() >= 0
    assert found.values.max() <= 1
    assert found.reason
    assert found.neutral == (not found.values.any())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"kind": "parabolic"},
            "Expected kind to be one of parabola, gaussian, box, atlas, paper-gaussian, paper-box, got",
        ),
        ({"laterality": "radiologist"}, "Expected laterality to be one of patient, paper"),
        ({"domain": "cat"}, "Expected domain to be one of chest, natural"),
    ],
)
def test_unknown_choices_are_refused_with_the_known_ones(wrong, message):
    with pytest.raises(ValueError, match=message):
        spatial_prior(parse("left base"), GRID, GRID, **wrong)


def test_the_warning_about_the_papers_laterality_says_what_to_do_at_the_line_of_the_caller():
    with pytest.warns(UserWarning, match="laterality='paper'") as caught:
        spatial_prior(parse("left base"), GRID, GRID, laterality="paper")
    (warning,) = caught
    assert str(warning.message) == (
        "laterality='paper' draws the patient's right on the image's right, as MATEX prints it; films are "
        "displayed the other way round (docs/laterality.md). Use it only to reproduce the paper."
    )
    assert warning.filename == __file__


@pytest.mark.parametrize("samples", [np.zeros((2, 2)), np.array([]), np.array([0.1, np.nan])])
def test_samples_that_are_no_vector_of_fractions_are_refused(samples):
    with pytest.raises(ValueError, match="Expected x to be a vector of finite fractions"):
        spatial_prior(parse("left base"), samples, GRID)
    with pytest.raises(ValueError, match="Expected y to be a vector of finite fractions"):
        spatial_prior(parse("left base"), GRID, samples)


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e6])
def test_a_prior_is_scaled_to_one_whatever_its_size(size):
    """Samples far from a region read its tail alone; only rounding errors are no differences."""
    x, y = np.array([0.25, 0.75]), np.array([0.5])
    values, named = joined([size * np.array([[0.25, 1.0]])], False, x, y, "a region")
    np.testing.assert_allclose(values, [[0, 1]])
    assert named == "a region"
    alike = size * np.array([[1 - 1e-13, 1.0]])
    assert joined([alike], False, x, y, "a region") == (None, "a region covers every sample point alike")


# -------------------------------------------------------------------------------------------------- lung masks


def lungs(height=200, width=300):
    """Two half ellipses, the image's left one smaller and higher: 1 and 2 as on a displayed film."""
    y, x = np.mgrid[:height, :width]
    y, x = (y + 0.5) / height, (x + 0.5) / width
    mask = np.zeros((height, width), np.uint8)
    mask[((x - 0.3) / 0.12) ** 2 + ((y - 0.4) / 0.2) ** 2 < 1] = 1
    mask[((x - 0.72) / 0.15) ** 2 + ((y - 0.5) / 0.3) ** 2 < 1] = 2
    return mask


def test_lung_boxes_are_those_of_the_mask():
    boxes = lung_boxes(lungs())
    np.testing.assert_allclose(boxes["right"], (0.18, 0.2, 0.42, 0.6), atol=0.01)
    np.testing.assert_allclose(boxes["left"], (0.57, 0.2, 0.87, 0.8), atol=0.01)
    assert lung_boxes(lungs() > 0) == boxes
    assert lung_boxes(np.where(lungs() == 2, 0, lungs())) == {"right": boxes["right"]}


def test_touching_lungs_are_parted_at_the_narrowest_column():
    mask = lungs() > 0
    mask[90:100, 100:200] = True
    boxes = lung_boxes(mask)
    assert 0.42 < boxes["right"][2] == boxes["left"][0] < 0.6


def test_a_mirrored_mask_of_both_lungs_changes_sides():
    mask = lungs() > 0
    straight, mirrored = lung_boxes(mask), lung_boxes(mask[:, ::-1], mirrored=True)
    for side in ("right", "left"):
        np.testing.assert_allclose(mirrored[side], twin.mirror(straight[side]), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_places_the_zones_in_this_patients_lungs(kind):
    found = prior("right base", kind=kind, lung_mask=lungs())
    assert not found.neutral
    row, column = np.unravel_index(found.values.argmax(), found.values.shape)
    assert 0.18 < COLUMNS[column] < 0.42
    assert 0.4 < ROWS[row] < 0.6
    outside = ~((COLUMNS > 0.14) & (COLUMNS < 0.46))
    assert found.values[:, outside].max() < 0.02
    assert np.abs(found.values - prior("right base", kind=kind).values).max() > 0.3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["right apex", "left lower lobe", "enlarged heart", "left hilum"])
def test_a_mask_flips_with_its_film(kind, text):
    straight = prior(text, kind=kind, lung_mask=lungs())
    mirrored = prior(text, kind=kind, lung_mask=lungs()[:, ::-1], mirrored=True)
    np.testing.assert_allclose(mirrored.values, straight.values[:, ::-1], atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("named", "drawn"), [("right", "left"), ("left", "right")])
def test_the_papers_laterality_uses_the_other_lung_of_the_mask(kind, named, drawn):
    printed = prior(f"{named} base", kind=kind, lung_mask=lungs(), laterality="paper")
    np.testing.assert_allclose(printed.values, prior(f"{drawn} base", kind=kind, lung_mask=lungs()).values, atol=1e-12)


def test_a_mask_with_the_average_lungs_changes_midline_regions_not_at_all():
    mask = boxed(LUNGS)
    for kind in ("gaussian", "box", "atlas"):
        found = prior("enlarged heart", kind=kind, lung_mask=mask)
        np.testing.assert_allclose(found.values, prior("enlarged heart", kind=kind).values, atol=1e-9)


def contoured():
    """What a mask of the visible lungs looks like: a heart cut out of the left one, domes cut out of both bases."""
    y, x = (np.mgrid[:500, :400] + 0.5) / np.array([500, 400])[:, None, None]
    mask = np.zeros((500, 400), np.uint8)
    mask[(x > 0.12) & (x < 0.45) & (y > 0.1) & (y < 0.8)] = 1
    mask[(x > 0.55) & (x < 0.88) & (y > 0.1) & (y < 0.8)] = 2
    mask[((x - 0.57) / 0.18) ** 2 + ((y - 0.65) / 0.2) ** 2 < 1] = 0  # heart
    for middle in (0.3, 0.73):
        mask[((x - middle) / 0.16) ** 2 + ((y - 0.83) / 0.17) ** 2 < 1] = 0
    return mask


def at(found, x, y, size=200):
    return found.values[int(y * size), int(x * size)]


@pytest.mark.parametrize("kind", ["gaussian", "box", "atlas"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_with_a_mask_the_lower_lobe_reaches_behind_heart_and_diaphragm(kind, mirrored):
    mask = contoured()
    centres = (np.arange(200) + 0.5) / 200

    def draw(text):
        found = prior(
            text, centres, centres, kind=kind, lung_mask=mask[:, ::-1] if mirrored else mask, mirrored=mirrored
        )
        assert found.values.max() == pytest.approx(1)
        return dataclasses.replace(found, values=found.values[:, ::-1]) if mirrored else found

    left, right = draw("nodule in the left lower lobe"), draw("nodule in the right lower lobe")
    assert mask[325, 236] == mask[375, 292] == mask[375, 120] == 0  # behind the heart, under the domes
    assert at(left, 0.59, 0.65) > 0.1
    assert at(left, 0.73, 0.75) > 0.1
    assert at(right, 0.30, 0.75) > 0.1
    assert at(left, 0.73, 0.86) < 0.02  # no further down than the lung
    assert at(left, 0.48, 0.65) < 0.02  # nor into the other half of the heart
    assert at(left, 0.30, 0.75) < 0.02
    assert at(draw("left upper lobe"), 0.59, 0.55) < 0.05  # only what lies behind the heart does
    assert at(draw("opacity at the left base"), 0.62, 0.7) > 0.1


BOOLEANS = "For both lungs in one value pass booleans (mask > 0)."


def test_a_lung_that_the_mask_lacks_makes_its_prior_neutral():
    only_right = np.where(lungs() == 2, 0, lungs())
    missing = prior("left base", lung_mask=only_right)
    assert missing.neutral
    assert missing.reason == "the lung mask has no lung on the side that the phrase names"
    assert not prior("right base", lung_mask=only_right).neutral


def test_a_lung_that_the_mask_lacks_neither_scales_nor_names_the_prior_of_the_other():
    only_right = np.where(lungs() == 2, 0, lungs())
    found = prior("opacity in the left base, possible opacity in the right base", lung_mask=only_right)
    alone = prior("possible opacity in the right base", lung_mask=only_right)
    np.testing.assert_array_equal(found.values, alone.values)
    assert found.reason == alone.reason


@pytest.mark.parametrize("kind", KINDS)
def test_padding_around_a_film_with_a_mask_gets_nothing(kind):
    x = np.linspace(-0.5, 1.5, 81)
    found = prior("right base", x, x, kind=kind, lung_mask=lungs())
    seen = (x >= 0) & (x <= 1)
    inner = prior("right base", x[seen], x[seen], kind=kind, lung_mask=lungs())
    np.testing.assert_array_equal(found.values[np.ix_(seen, seen)], inner.values)
    assert not found.values[~seen].any()
    assert not found.values[:, ~seen].any()


def test_the_samples_are_read_in_double_precision():
    single = GRID.astype(np.float32)
    found = prior("left base", single, single)
    np.testing.assert_array_equal(found.values, prior("left base", single.astype(float), single.astype(float)).values)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            np.zeros((10, 10), bool),
            "Expected a lung mask with lungs in it, got an empty one. Leave lung_mask out to use averages.",
        ),
        (
            np.ones((10, 10, 3), bool),
            "Expected a lung mask [height, width], got shape (10, 10, 3). Pass one channel of one image.",
        ),
        (lungs() * 255, "Expected a lung mask of 0, 1 (patient's right) and 2 (left), got 0, 254, 255. " + BOOLEANS),
        (lungs() / 2.0, "Expected a lung mask of 0, 1 (patient's right) and 2 (left), got 0.0, 0.5, 1.0. " + BOOLEANS),
        (
            np.arange(6).reshape(2, 3),
            "Expected a lung mask of 0, 1 (patient's right) and 2 (left), got 0, 1, 2, 3. " + BOOLEANS,
        ),
        (
            lungs()[:, ::-1],
            "Expected label 1 on the patient's right lung and 2 on the left, got them exchanged for how this film "
            "lies. Swap the labels, or correct `mirrored`: whether the image's left edge is the patient's left.",
        ),
        (
            (lungs() > 0).astype(np.uint8),
            "Expected one lung with label 1, got two. Pass booleans (mask > 0), or label the left lung 2.",
        ),
        (
            lungs() == 1,
            "Expected a mask of two lungs side by side, got one that cannot be parted. Label them 1 (patient's right) "
            "and 2 (left).",
        ),
    ],
)
def test_masks_that_are_no_lung_masks_are_refused(mask, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        prior("left base", lung_mask=mask)


@pytest.mark.parametrize("mirrored", [False, True])
def test_exchanged_lung_labels_are_refused_in_words_that_hold_however_the_film_lies(mirrored):
    """The mask is flipped with a mirrored film: the refusal names no side of the image, and no value of `mirrored`."""
    placement = Placement.fit((200, 300), (64, 64), (16, 16), "squash", mirrored=mirrored)
    right = lungs() if not mirrored else lungs()[:, ::-1]
    ImageContext(parse("left base"), placement, lung_mask=right).prior("atlas", "patient")
    with pytest.raises(InputError, match="Expected label 1 on the patient's right lung") as error:
        ImageContext(parse("left base"), placement, lung_mask=right[:, ::-1]).prior("atlas", "patient")
    assert not re.search(r"image's (left|right),|mirrored=", str(error.value))
