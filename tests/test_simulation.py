"""Simulated films: the ground truth has to be true."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from matex.samples import samples
from matex.simulation import FINDINGS, all_canonical, find_lungs, simulate
from matex.simulation import film as simulation_film
from matex.simulation.findings import TIERS

NORMALS = [sample for sample in samples() if sample.normal]
PLACES = [place for _, *place in all_canonical()]


def load(index, size=None):
    film = Image.open(NORMALS[index].path).convert("L")
    return np.asarray(film if size is None else film.resize(size))


def middle_of(mask):
    """x and y of the mask's centre in fractions of the image."""
    ys, xs = np.nonzero(mask)
    return (xs.mean() + 0.5) / mask.shape[1], (ys.mean() + 0.5) / mask.shape[0]


def roughness(film):
    """How much each pixel differs from the mean of its two neighbours in the row."""
    values = film.astype(float)
    return np.abs(values - (np.roll(values, 1, 1) + np.roll(values, -1, 1)) / 2)


@pytest.fixture(scope="module")
def film():
    return load(0)


@pytest.fixture(scope="module")
def lungs(film):
    return find_lungs(film)


@pytest.mark.parametrize("index", range(len(NORMALS)))
def test_the_right_lung_lies_on_the_left_of_the_image(index):
    lungs = find_lungs(load(index))
    assert lungs.measured
    for side, low, high in (("right", 0.0, 0.52), ("left", 0.48, 1.0)):
        x, y = middle_of(lungs.field(side))
        assert low < x < high
        assert 0.25 < y < 0.65
    assert not (lungs.right & lungs.left).any()
    assert lungs.air + 30 < lungs.tissue


@pytest.mark.parametrize(("finding", "side", "zone"), PLACES)
def test_every_finding_lies_where_its_record_says(finding, side, zone):
    for index in range(len(NORMALS)):
        film = load(index)
        lungs = find_lungs(film)
        made = simulate(film, index, finding=finding, side=side, zone=zone, lungs=lungs)
        (one,) = made.findings
        assert (one.finding, one.side, one.zone) == (finding, side, zone)
        assert one.mask.shape == made.image.shape == film.shape
        x, y = middle_of(one.mask)
        if side in ("right", "left"):
            assert (x < 0.5) == (side == "right")
            top, bottom = lungs.extent(side)
            third = min(2, int(3 * (y - top) / (bottom - top)))
            assert ("upper", "mid", "lower")[third] == zone
        x0, y0, x1, y1 = one.box
        assert one.mask[y0:y1, x0:x1].sum() == one.mask.sum()
        assert one.mask[y0].any()
        assert one.mask[y1 - 1].any()
        assert one.mask[:, x0].any()
        assert one.mask[:, x1 - 1].any()


@pytest.mark.parametrize("finding", [name for name in FINDINGS if name != "cardiomegaly"])
def test_the_film_changes_in_the_mask_and_hardly_elsewhere(film, lungs, finding):
    made = simulate(film, 3, finding=finding, lungs=lungs)
    change = np.abs(made.image.astype(int) - film)
    mask = made.findings[0].mask
    assert (change[mask] > 0).mean() > 0.9
    assert change[mask].mean() > 10 * change[~mask].mean()


def test_an_enlarged_heart_changes_inside_its_borders_and_widens(film, lungs):
    made = simulate(film, 3, finding="cardiomegaly", lungs=lungs)
    change = made.image.astype(int) - film
    mask = made.findings[0].mask
    assert change[mask].mean() > 5
    row = int((made.findings[0].box[1] * 0.4) + made.findings[0].box[3] * 0.6)
    bright = made.image[row] > (lungs.air + lungs.tissue) / 2
    was = film[row] > (lungs.air + lungs.tissue) / 2
    middle = slice(int(0.25 * film.shape[1]), int(0.75 * film.shape[1]))
    assert bright[middle].sum() > was[middle].sum() + 0.05 * film.shape[1]


@pytest.mark.parametrize("finding", list(FINDINGS))
@pytest.mark.parametrize("size", [(112, 112), (131, 160), (97, 75), (512, 448)])
def test_any_shape_of_film_serves(finding, size):
    film = load(1, size)
    made = simulate(film, 11, finding=finding)
    assert made.image.shape == (size[1], size[0])
    assert made.image.dtype == np.uint8
    assert made.findings[0].mask.shape == (size[1], size[0])
    assert made.findings[0].mask.any()


@pytest.mark.parametrize("finding", ["nodule", "mass", "pleural effusion", "pneumothorax"])
def test_a_seed_means_the_same_finding_at_any_size(finding):
    """At half the size the finding is half as large in pixels and lies at the same place."""
    lungs = find_lungs(load(0))
    whole = simulate(load(0, (448, 448)), 5, finding=finding, lungs=lungs).findings[0]
    half = simulate(load(0, (224, 224)), 5, finding=finding, lungs=lungs).findings[0]
    assert (whole.side, whole.zone) == (half.side, half.zone)
    np.testing.assert_allclose(middle_of(whole.mask), middle_of(half.mask), atol=0.02)
    assert whole.size == pytest.approx(half.size, rel=0.1)


def test_the_same_seed_gives_the_same_bytes_whatever_else_draws(film, lungs):
    first = simulate(film, 7, findings=2)
    np.random.seed(1)  # noqa: NPY002
    again = simulate(film.copy(), 7, findings=2, lungs=lungs)
    assert first.image.tobytes() == again.image.tobytes()
    assert first.phrase == again.phrase
    for one, other in zip(first.findings, again.findings, strict=True):
        assert one.box == other.box
        assert (one.mask == other.mask).all()
    assert simulate(film, 8, findings=2).image.tobytes() != first.image.tobytes()


def test_the_film_given_is_left_alone(film):
    before = film.copy()
    for finding in FINDINGS:
        simulate(film, 1, finding=finding)
    assert (film == before).all()


def test_two_findings_keep_apart(film, lungs):
    for seed in range(40):
        made = simulate(film, seed, findings=2, lungs=lungs)
        first, second = made.findings
        assert not (first.mask & second.mask).any()
        assert (first.side, first.zone) != (second.side, second.zone)


@pytest.mark.parametrize("count", [3, 7, 12])
def test_many_findings_have_places_of_their_own(film, lungs, count):
    for seed in range(3):
        made = simulate(film, seed, findings=count, lungs=lungs)
        assert simulate(film, seed, findings=count).image.tobytes() == made.image.tobytes()
        assert len(made.findings) == count
        assert np.sum([one.mask for one in made.findings], axis=0).max() == 1  # none over another
        assert len({(one.finding, one.side, one.zone) for one in made.findings}) == count
        thirds = Counter((one.side, one.zone) for one in made.findings if one.zone)
        assert max(thirds.values()) <= (1 if count <= 6 else 2)
        assert "cardiomegaly" not in [one.finding for one in made.findings[1:]]


def test_two_findings_come_in_the_order_asked_for(film, lungs):
    made = simulate(
        film,
        2,
        findings=2,
        finding=("nodule", "cardiomegaly"),
        side=("right", None),
        zone=("upper", None),
        lungs=lungs,
    )
    assert [one.finding for one in made.findings] == ["nodule", "cardiomegaly"]
    assert made.findings[0].side == "right"


def test_no_finding_is_the_film_itself_with_a_sentence_that_denies(film):
    made = simulate(film, 3, findings=0)
    assert (made.image == film).all()
    assert made.image is not film
    assert made.findings == ()
    assert made.phrase


@pytest.mark.parametrize("side", ["right", "left"])
def test_an_effusion_lies_on_the_base_and_climbs_the_chest_wall(film, lungs, side):
    for seed in range(6):
        mask = simulate(film, seed, finding="pleural effusion", side=side, lungs=lungs).findings[0].mask
        height = mask.shape[0]
        _, bottom = lungs.extent(side)
        lowest = np.flatnonzero(mask.any(axis=1))[-1] + 1
        assert lowest / height == pytest.approx(bottom, abs=0.06)
        columns = np.flatnonzero(mask.any(axis=0))
        upper = np.array([np.argmax(mask[:, column]) for column in columns])
        if side == "left":
            upper = upper[::-1]
        outermost, centre = upper[1], upper[len(upper) // 2]
        assert outermost < centre - 0.02 * height  # higher at the wall: the meniscus
        wall = upper[: len(upper) // 2]
        assert (np.diff(wall) >= -1).all()


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_pneumothorax_is_dark_under_a_bright_line(film, lungs, side):
    made = simulate(film, 4, finding="pneumothorax", side=side, lungs=lungs)
    mask = made.findings[0].mask
    change = made.image.astype(int) - film
    assert change[mask].mean() < -5
    assert np.percentile(change[~mask], 99.9) > 10
    inner = mask & np.roll(mask, 6, 1) & np.roll(mask, -6, 1)
    assert roughness(made.image)[inner].mean() < 0.8 * roughness(film)[inner].mean()  # no lung markings beyond


@pytest.mark.parametrize("finding", list(FINDINGS))
def test_tiers_fall_in_contrast(finding):
    contrast = {tier: [] for tier in TIERS}
    for index in range(len(NORMALS)):
        film = load(index)
        lungs = find_lungs(film)
        for seed in range(4):
            for tier in TIERS:
                (one,) = simulate(film, seed, finding=finding, tier=tier, lungs=lungs).findings
                assert one.tier == tier
                contrast[tier].append(one.contrast)
    means = [np.mean(contrast[tier]) for tier in TIERS]
    assert means[0] > 1.15 * means[1] > 1.3 * means[2] > 0


def test_a_mass_is_larger_than_any_nodule(film, lungs):
    sizes = {
        name: [
            simulate(film, seed, finding=name, tier=tier, lungs=lungs).findings[0].size
            for seed in range(8)
            for tier in TIERS
        ]
        for name in ("nodule", "mass")
    }
    assert max(sizes["nodule"]) < 3.0 < min(sizes["mass"])
    assert max(sizes["mass"]) < 6.5


def test_drawn_findings_cover_the_table(film, lungs):
    seen = {simulate(film, seed, lungs=lungs).findings[0].finding for seed in range(80)}
    assert seen == set(FINDINGS)
    sides = {simulate(film, seed, zone="mid", lungs=lungs).findings[0].side for seed in range(20)}
    assert sides == {"right", "left"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"finding": "fracture"}, "Expected a finding among nodule"),
        ({"finding": "pneumothorax", "zone": "lower"}, "Expected a place where pneumothorax occurs"),
        ({"finding": "nodule", "side": "both"}, "Expected a place where nodule occurs"),
        ({"tier": "easy"}, "Expected a tier among obvious, moderate, subtle, got 'easy'"),
        ({"findings": 13}, "Expected 0 to 12 findings, got 13"),
        ({"findings": 2, "finding": ("nodule",)}, "Expected 2 values, one per finding, got 1"),
        (
            {"findings": 2, "finding": ("nodule", "mass"), "side": ("left",) * 2, "zone": ("upper",) * 2},
            "Expected two findings in different thirds",
        ),
        ({"seed": -1}, "Expected a seed of 0 or more, got -1"),
        ({"findings": 0, "finding": "nodule"}, "with findings=0, got 'nodule'"),
        ({"findings": 0, "side": "left"}, "with findings=0, got 'left'"),
        ({"findings": 0, "zone": ("upper",)}, "with findings=0, got"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(film, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        simulate(film, options.pop("seed", 1), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "film",
    [np.zeros((128, 128), np.float32), np.zeros((128, 128, 3), np.uint8), np.zeros((40, 128), np.uint8)],
)
def test_other_than_a_grey_film_is_refused(film):
    with pytest.raises(ValueError, match="Expected a grey film"):
        simulate(film, 1)


@pytest.mark.parametrize("grey", [250, 255])
@pytest.mark.parametrize("finding", [None, *FINDINGS])
def test_a_film_on_which_nothing_can_show_is_refused_in_one_line(grey, finding):
    with pytest.raises(ValueError, match="grey levels of change") as caught:
        simulate(np.full((128, 128), grey, np.uint8), 1, finding=finding)
    assert "\n" not in str(caught.value)


def test_what_is_claimed_is_in_the_pixels():
    """From black to white, a finding is refused or changes its mask by half a grey level, rounding included."""
    for grey in range(0, 256, 3):
        film = np.full((96, 96), grey, np.uint8)
        try:
            made = simulate(film, grey, tier="subtle")
        except ValueError:
            assert grey > 200
            continue
        (one,) = made.findings
        assert one.contrast > 0
        assert np.abs(made.image.astype(int) - film)[one.mask].mean() > 0.25


@pytest.mark.parametrize("index", range(len(NORMALS)))
def test_the_floor_changes_no_finding_on_a_bundled_film(index, monkeypatch):
    film = load(index, (224, 224))
    lungs = find_lungs(film)
    settings = [{"seed": seed, "tier": tier, "findings": 1 + seed % 2} for seed in range(8) for tier in TIERS]
    with_floor = [simulate(film, lungs=lungs, **one) for one in settings]
    monkeypatch.setattr(simulation_film, "FAINTEST", -1.0)
    for made, one in zip(with_floor, settings, strict=True):
        before = simulate(film, lungs=lungs, **one)
        assert made.image.tobytes() == before.image.tobytes()
        assert made.phrase == before.phrase
